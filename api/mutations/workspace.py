"""What counts for the whole workspace.

Source: product.md section 3 (`waitingReason` FREQUENCY_CAP).
"""

from datetime import datetime, timedelta
from uuid import UUID

import strawberry

from api.context import Info
from api.mutations.carrying_out import carried_out, mutation, repeatable
from api.mutations.payloads import Payload
from api.types.actors import FrequencyCap
from api.types.fields import resolved
from domain import frequency, sandbox
from domain.rules.access import Scope


@strawberry.input(description="At most so many automated messages to one person, over all sequences.")
class FrequencyCapInput:
    messages: int = strawberry.field(description="How many: 1 to 1,000.")
    days: int = strawberry.field(description="Within how many days: 1 to 365.")


@strawberry.input(description="Sets how often one person is written to, or takes the cap away.")
class FrequencyCapChangeInput:
    frequency_cap: FrequencyCapInput | None = strawberry.field(description="The cap. Null: none.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of setting the cap.")
class FrequencyCapChangePayload(Payload):
    workspace_key: strawberry.Private[UUID | None] = None

    @resolved("The cap as it is now; null: none.")
    async def frequency_cap(self, info: Info) -> FrequencyCap | None:
        found: FrequencyCap | None = await frequency.of_workspace(info.context.caller.workspace_id)  # type: ignore[assignment]
        return found


@strawberry.input(description="Moves the clock of a test workspace forward.")
class SandboxClockAdvanceInput:
    seconds: int = strawberry.field(description="By how many seconds: 1 to 31,622,400, which is 366 days.")
    idempotency_key: str | None = repeatable()


@strawberry.type(description="What came of moving the clock.")
class SandboxClockAdvancePayload(Payload):
    workspace_key: strawberry.Private[UUID | None] = None
    now: datetime | None = strawberry.field(
        default=None, description="The time in the workspace now; null when it was refused."
    )


@strawberry.type
class WorkspaceMutations:
    @mutation(
        "Moves the clock of a test workspace forward: what is due by then happens within seconds. The turns of its "
        "mailboxes come nearer by the same span; their daily limits go on counting real time. Never of a workspace "
        "that writes to people.",
        scope=Scope.ADMIN,
    )
    async def sandbox_clock_advance(
        self, info: Info, input: SandboxClockAdvanceInput
    ) -> SandboxClockAdvancePayload | None:
        workspace_id = info.context.caller.workspace_id
        now = await sandbox.advance(workspace_id, timedelta(seconds=input.seconds))
        return SandboxClockAdvancePayload(workspace_key=workspace_id, now=now)

    @mutation(
        "Sets how many automated messages one person gets at most within some days, over all sequences and mailboxes "
        "of the workspace. What is over it waits with FREQUENCY_CAP; what a person sends by hand neither counts nor "
        "waits.",
        scope=Scope.ADMIN,
        transactions_of_its_own=True,
    )
    async def frequency_cap_change(
        self, info: Info, input: FrequencyCapChangeInput
    ) -> FrequencyCapChangePayload | None:
        workspace_id, given = info.context.caller.workspace_id, input.frequency_cap

        async def write() -> FrequencyCapChangePayload:
            cap = frequency.FrequencyCap(given.messages, given.days) if given is not None else None
            await frequency.change(workspace_id, cap)
            return FrequencyCapChangePayload(workspace_key=workspace_id)

        answer = await carried_out(info, input, write)
        await frequency.judge_anew(workspace_id)
        return answer
