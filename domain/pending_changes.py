"""How a pending action is changed: guarded by what may be done about it, for one of all who try at once.

Two people at once: one wins, the other is decided again against what it has become, and is told who did what.

Source: product.md section 2 "Pending actions".
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

import asyncpg

from domain.changes import Change
from domain.database import Tx, tx
from domain.plans import load_plan
from domain.reading import actors
from domain.refusals import ActionNotAvailable, NotFound, PendingActionNotAvailable, VersionMismatch
from domain.rules.inbox import PendingActionAction, Waiting, available_pending_actions, unavailable_because
from domain.rules.plan import Plan, StepKind
from domain.rules.recipient import Recipient, present, why_held
from domain.settling import catch_up
from domain.writing import read, write

ROUNDS: Final = 20  # a row that moves more often between two statements does not exist in practice

Decide = Callable[[Tx, Recipient, Plan, asyncpg.Record], Change]
Afterwards = Callable[[Tx, asyncpg.Record], Awaitable[None]]

# The recipient's version and the present with the row: whoever released it before this was read did so in the past.
_ROW: Final = """
    SELECT p.*, r.version AS recipient_version,
        clock_timestamp() + make_interval(secs => w.clock_offset_seconds) AS present
    FROM pending_actions p
    JOIN recipients r ON r.workspace_id = p.workspace_id AND r.id = p.recipient_id
    JOIN workspaces w ON w.id = p.workspace_id
    WHERE p.workspace_id = $1 AND p.id = $2
"""


async def act(
    workspace_id: UUID,
    pending_id: UUID,
    action: PendingActionAction,
    decide: Decide,
    afterwards: Afterwards | None = None,
    *,
    expected_version: int | None = None,
) -> UUID:
    """Do what `decide` says about an open pending action, when that is available. Return the recipient's id.

    `afterwards` writes what else belongs to it, in the same transaction and only for the winner of a race.

    Raises:
        NotFound, VersionMismatch, PendingActionNotAvailable, ActionNotAvailable
    """

    async def work(t: Tx) -> UUID:
        for _ in range(ROUNDS):
            row, before = await open_pending(t, pending_id)
            if before is None:
                continue
            plan = await load_plan(t, before.sequence_id)
            waiting = _guarded(before, plan, row, action, expected_version)
            if not await write(t, [decide(t, before, plan, row)]):
                continue
            if action is not PendingActionAction.SKIP and await _being_sent(t, before):
                # Only now is it certain: our row lock and the second mark exclude each other.
                raise _not_available(row, replace(waiting, being_sent=True), action)
            if afterwards is not None:
                await afterwards(t, row)
            return before.id
        raise never_still()

    return await told(workspace_id, work)


async def open_pending(t: Tx, pending_id: UUID) -> tuple[asyncpg.Record, Recipient | None]:
    """Return an open pending action and its recipient; None when that is being changed: read again what it became.

    Raises:
        NotFound, PendingActionNotAvailable
    """
    row = await t.fetchrow(_ROW, t.workspace_id, pending_id)
    if row is None:
        raise NotFound("pending action", field=["id"])
    if row["closed_at"] is not None:
        raise _closed(row)
    if await catch_up(t, [row["recipient_id"]]):
        return row, None
    before = (await read(t, [row["recipient_id"]])).get(row["recipient_id"])
    if before is None or before.version != row["recipient_version"] or before.pending_id != pending_id:
        return row, None
    return row, before


def never_still() -> PendingActionNotAvailable:
    """Return the refusal of a change that others were faster than, again and again."""
    return PendingActionNotAvailable("Others are changing this recipient at this moment. Try again.")


async def told(workspace_id: UUID, work: Callable[[Tx], Awaitable[UUID]]) -> UUID:
    """Return what `work` returns in its transaction; its refusal names who was faster."""
    try:
        return await tx(workspace_id, work)
    except PendingActionNotAvailable as refusal:
        raise await _telling_who(workspace_id, refusal) from None


def _guarded(
    before: Recipient, plan: Plan, row: asyncpg.Record, action: PendingActionAction, expected_version: int | None
) -> Waiting:
    """Return what it waits for, when this may be done about it. The field `availableActions` asks the same table.

    Raises:
        ActionNotAvailable, VersionMismatch, PendingActionNotAvailable
    """
    if (held := why_held(before, plan)) is not None:
        raise ActionNotAvailable(held, *present(before, plan))
    if expected_version is not None and expected_version != row["version"]:
        raise VersionMismatch(expected_version, row["version"], *present(before, plan))
    waiting = Waiting(
        kind=StepKind(row["kind"]),
        now=row["present"],
        failed=before.error_id is not None,
        scheduled_for=before.scheduled_for,
    )
    if unavailable_because(action, waiting) is not None:
        raise _not_available(row, waiting, action)
    return waiting


async def _being_sent(t: Tx, before: Recipient) -> bool:
    found: bool = await t.fetchval(
        "SELECT EXISTS (SELECT FROM messages WHERE workspace_id = $1 AND recipient_id = $2 AND step_id = $3 "
        "AND state = 'HANDING_OVER')",
        t.workspace_id,
        before.id,
        before.current_step_id,
    )
    return found


def _not_available(row: asyncpg.Record, waiting: Waiting, action: PendingActionAction) -> PendingActionNotAvailable:
    ordered = waiting.released or waiting.being_sent
    return PendingActionNotAvailable(
        unavailable_because(action, waiting) or "",
        by_kind=row["released_by_kind"] if ordered else None,
        by_id=row["released_by_id"] if ordered else None,
        available=available_pending_actions(waiting),
    )


_CLOSED: Final[Mapping[str, str]] = {
    "COMPLETED": "It was completed already, by {who}.",
    "SENT": "It was sent already, by {who}.",
    "SKIPPED": "It was skipped already, by {who}.",
    "REPLIED": "The person has replied, so it is closed.",
    "STOPPED": "The recipient was stopped, so it is closed.",
    "OPTED_OUT": "The person has opted out, so it is closed.",
    "BOUNCED": "Mail to this person bounced, so it is closed.",
    "DELETED": "The recipient was deleted, so it is closed.",
}


def _closed(row: asyncpg.Record) -> PendingActionNotAvailable:
    return PendingActionNotAvailable(
        _CLOSED[row["outcome"]],
        outcome=row["outcome"],
        by_kind=row["closed_by_kind"],
        by_id=row["closed_by_id"],
    )


async def _telling_who(workspace_id: UUID, refusal: PendingActionNotAvailable) -> PendingActionNotAvailable:
    """Return the refusal with the name of whoever was faster. Read apart: a transaction holds one connection only."""
    if "{who}" not in refusal.message:
        return refusal
    name = "Someone"
    if refusal.by_kind is not None:
        key = refusal.by_kind, refusal.by_id
        name = (await actors.named(workspace_id, [key]))[key].name
    return PendingActionNotAvailable(
        refusal.message.replace("{who}", name),
        outcome=refusal.outcome,
        by_kind=refusal.by_kind,
        by_id=refusal.by_id,
        available=refusal.available,
    )
