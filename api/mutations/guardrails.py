"""Guardrails: their limits, and releasing what they hold.

Source: product.md section 6.
"""

from uuid import UUID

import strawberry
from strawberry import UNSET

from api.context import Info
from api.ids import key_of
from api.mutations.carrying_out import mutation, repeatable
from api.mutations.payloads import MailboxPayload
from api.types.fields import resolved
from api.types.guardrails import GuardrailLimits
from api.types.sequences import Sequence
from domain import guardrails
from domain.guardrails import Guarded
from domain.reading import guardrails as reading
from domain.reading import sequences
from domain.refusals import Invalid
from domain.rules.access import Scope
from domain.rules.guardrails import BOUNDS
from domain.rules.ids import Prefix

_KEEPS = "Left out: kept. Null: what the workspace says, and for the workspace itself {}."


@strawberry.input(
    description="Sets limits of a mailbox, of a sequence, or of the whole workspace where neither is named."
)
class GuardrailUpdateInput:
    mailbox_id: strawberry.ID | None = strawberry.field(default=None, description="Of which mailbox.")
    sequence_id: strawberry.ID | None = strawberry.field(default=None, description="Of which sequence.")
    bounce_percent: float | None = strawberry.field(
        default=UNSET,
        description="Above how many per cent of bounces sending is held: 0.01 to 100; 100 never holds. "
        + _KEEPS.format("5"),
    )
    complaint_percent: float | None = strawberry.field(
        default=UNSET,
        description="Above how many per cent of spam complaints sending is held: 0.01 to 100; 100 never holds. "
        + _KEEPS.format("0.1"),
    )
    minimum_sends: int | None = strawberry.field(
        default=UNSET,
        description=f"Below how many messages no rate is judged: 1 to 100,000. {_KEEPS.format('50')}",
    )
    window_days: int | None = strawberry.field(
        default=UNSET, description=f"Over how many days messages are counted: 1 to 30. {_KEEPS.format('7')}"
    )
    idempotency_key: str | None = repeatable()


@strawberry.input(description="Releases a mailbox or a sequence that a guardrail holds back, or both.")
class GuardrailReleaseInput:
    mailbox_id: strawberry.ID | None = strawberry.field(default=None, description="Which mailbox.")
    sequence_id: strawberry.ID | None = strawberry.field(default=None, description="Which sequence.")
    idempotency_key: str | None = repeatable()


@strawberry.type
class _GuardrailPayload(MailboxPayload):
    sequence_key: strawberry.Private[UUID | None] = None

    @resolved("The sequence as it is now; null when none was named, or the change was refused.")
    async def sequence(self, info: Info) -> Sequence | None:
        if self.sequence_key is None:
            return None
        found = await sequences.by_ids(info.context.caller.workspace_id, [self.sequence_key])
        shown: Sequence | None = found.get(self.sequence_key)  # type: ignore[assignment]
        return shown


@strawberry.type(description="What came of setting limits.")
class GuardrailUpdatePayload(_GuardrailPayload):
    workspace_key: strawberry.Private[UUID | None] = None

    @resolved("The limits of the workspace as they are now.")
    async def workspace_limits(self, info: Info) -> GuardrailLimits:
        found: GuardrailLimits = await reading.of_workspace(info.context.caller.workspace_id)  # type: ignore[assignment]
        return found


@strawberry.type(description="What came of releasing a mailbox or a sequence.")
class GuardrailReleasePayload(_GuardrailPayload):
    pass


def _named(input: GuardrailUpdateInput | GuardrailReleaseInput) -> dict[Guarded, UUID]:
    named = {}
    if input.mailbox_id is not None:
        named[Guarded.MAILBOX] = key_of(Prefix.MAILBOX, input.mailbox_id, ["mailboxId"])
    if input.sequence_id is not None:
        named[Guarded.SEQUENCE] = key_of(Prefix.SEQUENCE, input.sequence_id, ["sequenceId"])
    return named


@strawberry.type
class GuardrailMutations:
    @mutation(
        "Sets above which rates of bounces and spam complaints sending is held: for the whole workspace, or for one "
        "mailbox or one sequence. A rate that is above a new limit holds at once, for the workspace within half a "
        "minute; what is held already waits to be released.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def guardrail_update(self, info: Info, input: GuardrailUpdateInput) -> GuardrailUpdatePayload | None:
        named = _named(input)
        if len(named) > 1:
            raise Invalid("Set the limits of a mailbox or of a sequence, one at a time.", field=["sequenceId"])
        changes = {name: value for name in BOUNDS if (value := getattr(input, name)) is not UNSET}
        guarded, id = next(iter(named.items()), (None, None))
        workspace_id = info.context.caller.workspace_id
        await guardrails.set_limits(workspace_id, changes, guarded, id)
        return GuardrailUpdatePayload(
            workspace_key=None if named else workspace_id,
            mailbox_key=named.get(Guarded.MAILBOX),
            sequence_key=named.get(Guarded.SEQUENCE),
        )

    @mutation(
        "Lets a mailbox or a sequence send again that was held because too much of its mail bounced or was reported "
        "as spam. What was handed over before counts no more. One that is not held stays as it is.",
        scope=Scope.MAILBOXES_WRITE,
    )
    async def guardrail_release(self, info: Info, input: GuardrailReleaseInput) -> GuardrailReleasePayload | None:
        named = _named(input)
        await guardrails.release(info.context.caller.workspace_id, named)
        return GuardrailReleasePayload(mailbox_key=named.get(Guarded.MAILBOX), sequence_key=named.get(Guarded.SEQUENCE))
