"""What a request carries from the door to the resolvers: who is calling, and what belongs to this process.

Source: architecture.md "The flow of one read".
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import strawberry

from domain.rules.access import Scope
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings

if TYPE_CHECKING:
    from api.charges import Charge
    from api.loaders import Loaders


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is calling. `workspace_id` is the first argument of every verb called for them."""

    workspace_id: UUID
    workspace_name: str
    actor: Actor
    name: str  # of the key or the person
    scopes: frozenset[Scope]


@dataclass(slots=True, kw_only=True)
class Context:
    """One operation's surroundings. `loaders` belongs to one operation: it must not outlive it."""

    caller: Caller
    settings: Settings
    vault: Vault
    loaders: "Loaders"
    request_id: str = ""  # as the response carries it
    charge: "Charge | None" = None  # None: this is not paid for by itself, such as an event of a subscription
    more: dict[str, Any] = field(default_factory=dict)  # what the transport adds, such as the request


Info = strawberry.Info[Context, None]
