"""What an open error allows now, and trying its step again: for one recipient, or for all of a cause.

Source: product.md section 2 "Retry belongs to the error".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from domain import causes
from domain.database import Tx
from domain.refusals import RetryNotAvailable
from domain.rules import moves
from domain.rules.plan import Plan
from domain.rules.recipient import Recipient, why_held
from domain.rules.step_errors import CATALOGUE, StepErrorAction, StepErrorCode, available_error_actions, fix_sentence
from domain.rules.timers import is_shut_out


@dataclass(frozen=True, slots=True)
class ErrorNow:
    """An open error as it is at this moment."""

    code: StepErrorCode
    cause_gone: bool
    mailbox_address: str | None

    @property
    def offers_retry(self) -> bool:
        """Whether it can be tried again now, once nothing holds its recipient."""
        actions = available_error_actions(self.code, open=True, recipient_ended=False, cause_gone=self.cause_gone)
        return StepErrorAction.RETRY in actions

    @property
    def why_not(self) -> str:
        """Why it offers no retry, and the way out."""
        if not CATALOGUE[self.code].retryable:
            return (
                "It is not certain whether this message was delivered, so it is not sent again by a retry. "
                "Say whether it was sent, or order it to be sent again."
            )
        return f"Its cause is still there. {fix_sentence(self.code, mailbox_address=self.mailbox_address)}"


async def errors_now(t: Tx, error_ids: Collection[UUID]) -> dict[UUID, ErrorNow]:
    """Return these errors of the transaction's workspace."""
    rows = await t.fetch(
        f"SELECT e.id, e.code, {causes.GONE_AT} IS NOT NULL AS gone, m.address FROM step_errors e {causes.JOINS} "
        "WHERE e.workspace_id = $1 AND e.id = ANY($2::uuid[])",
        t.workspace_id,
        list(error_ids),
    )
    return {row["id"]: ErrorNow(StepErrorCode(row["code"]), row["gone"], row["address"]) for row in rows}


async def with_mailboxes(t: Tx, recipients: Sequence[Recipient]) -> dict[UUID, Recipient]:
    """Return the recipients by id, those enrolled before their sequence had a mailbox with one of its mailboxes."""
    without = {one.sequence_id for one in recipients if one.mailbox_id is None or one.sms_mailbox_id is None}
    choices: dict[tuple[UUID, str], list[UUID]] = {}
    if without:
        for row in await t.fetch(
            "SELECT l.sequence_id, l.mailbox_id, m.channel FROM sequence_mailboxes l "
            "JOIN mailboxes m ON m.workspace_id = l.workspace_id AND m.id = l.mailbox_id "
            "WHERE l.workspace_id = $1 AND l.sequence_id = ANY($2::uuid[]) ORDER BY l.position",
            t.workspace_id,
            list(without),
        ):
            choices.setdefault((row["sequence_id"], row["channel"]), []).append(row["mailbox_id"])
    return {
        one.id: replace(
            one,
            mailbox_id=one.mailbox_id or _chosen(one, choices.get((one.sequence_id, "EMAIL"))),
            sms_mailbox_id=one.sms_mailbox_id or _chosen(one, choices.get((one.sequence_id, "SMS"))),
        )
        for one in recipients
    }


def _chosen(recipient: Recipient, choices: Sequence[UUID] | None) -> UUID | None:
    # The end of an id is chance: each mailbox gets its share, and a repetition the same one.
    return choices[recipient.id.int % len(choices)] if choices else None


def tried_again(before: Recipient, able: Recipient, error: ErrorNow | None, plan: Plan, now: datetime) -> Recipient:
    """Return what a recipient becomes when its open error is tried again now; `able` is it with its mailbox.

    Raises:
        RetryNotAvailable: no error is open, it is held, or the error offers no retry.
    """
    if error is None or before.ended:
        raise RetryNotAvailable("There is no open error to retry.")
    if not error.offers_retry:  # nor does a resume try it again
        raise RetryNotAvailable(error.why_not)
    if (held := why_held(before, plan, "Resume it: the step is then tried again.")) is not None:
        raise RetryNotAvailable(held)
    after = moves.try_again(able, plan, now)
    if is_shut_out(after, plan):
        raise RetryNotAvailable(f"Its cause is still there. {fix_sentence(StepErrorCode.WINDOW_NEVER_OPENS)}")
    return after
