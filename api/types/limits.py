"""What a caller may still ask for."""

from datetime import datetime

import strawberry


@strawberry.type(
    description="The budget of the calling key or person. Each response says the same in `extensions.cost`."
)
class RateLimit:
    limit: int = strawberry.field(description="How many points there are at most.")
    cost: int = strawberry.field(description="How many this operation asks for; what it does not use is given back.")
    remaining: int = strawberry.field(description="How many are left, this operation's taken off.")
    restore_rate: float = strawberry.field(description="How many are restored each second.")
    reset_at: datetime = strawberry.field(description="When all are restored, if nothing is asked until then.")
