"""Who is calling, and who made a change."""

from uuid import UUID

import strawberry

from api.context import Info
from api.types import enums as enums
from api.types.fields import resolved
from api.types.guardrails import GuardrailLimits
from api.types.users import User
from domain import frequency, sandbox
from domain.reading import guardrails
from domain.rules.access import SCOPE_MEANING
from domain.rules.actor import ActorKind


@strawberry.type(description="Who or what made a change.")
class Actor:
    kind: ActorKind = strawberry.field(description="What kind of actor.")
    id: strawberry.ID | None = strawberry.field(description="Its id; null for the engine.")
    name: str = strawberry.field(description="Its name as it is now; a plain word where the actor is gone.")


@strawberry.type(description="At most so many automated messages to one person, over all sequences of the workspace.")
class FrequencyCap:
    messages: int = strawberry.field(description="How many.")
    days: int = strawberry.field(description="Within how many days.")


@strawberry.type(description="A tenant. Everything else belongs to exactly one.")
class Workspace:
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Its name.")

    @resolved("Above which rates sending is held, where a mailbox or a sequence has no limits of its own.")
    async def guardrail_limits(self, info: Info) -> GuardrailLimits:
        found: GuardrailLimits = await guardrails.of_workspace(info.context.caller.workspace_id)  # type: ignore[assignment]
        return found

    @resolved(
        "Whether it is a test workspace: nothing of it leaves, magic addresses bring about what may come back, and its "
        "clock can be moved (sandboxClockAdvance). For good; its keys begin with `rel_test_`."
    )
    async def test_mode(self, info: Info) -> bool:
        return await sandbox.is_test(info.context.caller.workspace_id)

    @resolved("How often one person is written to by itself at most, over all sequences; null: no such cap.")
    async def frequency_cap(self, info: Info) -> FrequencyCap | None:
        found: FrequencyCap | None = await frequency.of_workspace(info.context.caller.workspace_id)  # type: ignore[assignment]
        return found


@strawberry.type(description="The API key of a request. The secret is never shown again.")
class ApiKey:
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="The name it was given.")


@strawberry.type(description="Who is calling.")
class Viewer:
    workspace: Workspace = strawberry.field(description="Everything the caller reads and writes belongs to it.")
    api_key: ApiKey | None = strawberry.field(description="The key the caller presented; null for a person.")
    actor: Actor = strawberry.field(description="As whom the caller's changes are recorded.")
    scopes: list[str] = strawberry.field(
        description="What the caller may do; `admin` may do everything. "
        + " ".join(f"`{scope}`: {meaning}." for scope, meaning in SCOPE_MEANING.items())
    )
    user_key: strawberry.Private[UUID | None] = None

    @resolved("The person who calls; null for an API key.")
    async def user(self, info: Info) -> User | None:
        found: User | None = await info.context.loaders.user_of(self.user_key)
        return found
