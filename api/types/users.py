"""The people of a workspace."""

from datetime import datetime

import strawberry

from api.types import enums as enums
from api.types.node import Connection, Node
from domain.rules.access import Role


@strawberry.type(description="A person of the workspace.")
class User(Node):
    name: str = strawberry.field(description="The name.")
    email: str | None = strawberry.field(description="The address, where it is known.")
    role: Role = strawberry.field(description="What the person may do.")
    deactivated_at: datetime | None = strawberry.field(description="Since when the person may do nothing any more.")


@strawberry.type(description="One page of users.")
class UserConnection(Connection[User]):
    pass
