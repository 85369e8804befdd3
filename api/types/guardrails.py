"""Guardrails: what holds a mailbox or a sequence back when too much of its mail bounces or is reported as spam."""

from datetime import datetime

import strawberry

from api.types import enums as enums
from domain.rules.guardrails import GuardrailCause

_BOUNCES = "Above how many per cent of bounces sending is held."
_COMPLAINTS = "Above how many per cent of spam complaints sending is held."
_SENDS = "Below how many messages no rate is judged."
_DAYS = "Over how many days messages are counted."
_WORKSPACE = "Null: what the workspace says."


@strawberry.type(description="Above which rates sending is held.")
class GuardrailLimits:
    bounce_percent: float = strawberry.field(description=_BOUNCES)
    complaint_percent: float = strawberry.field(description=_COMPLAINTS)
    minimum_sends: int = strawberry.field(description=_SENDS)
    window_days: int = strawberry.field(description=_DAYS)


@strawberry.type(description="The limits that a mailbox or a sequence has of its own.")
class GuardrailOwnLimits:
    bounce_percent: float | None = strawberry.field(description=f"{_BOUNCES} {_WORKSPACE}")
    complaint_percent: float | None = strawberry.field(description=f"{_COMPLAINTS} {_WORKSPACE}")
    minimum_sends: int | None = strawberry.field(description=f"{_SENDS} {_WORKSPACE}")
    window_days: int | None = strawberry.field(description=f"{_DAYS} {_WORKSPACE}")


@strawberry.type(description="Why sending is held, with the figures of the moment when it was.")
class GuardrailHold:
    since: datetime = strawberry.field(description="Since when.")
    cause: GuardrailCause = strawberry.field(description="What there was too much of.")
    count: int = strawberry.field(description="How many messages bounced, or were reported as spam.")
    sent: int = strawberry.field(description="Of how many that were handed over.")
    percent: float = strawberry.field(description="The rate of the two, in per cent.")
    limit_percent: float = strawberry.field(description="The limit it was above, in per cent.")
    message: str = strawberry.field(description="All of it in one sentence, and who can release it.")


@strawberry.type(
    description="What watches over a mailbox or a sequence. It counts the messages handed over within its window, or "
    "since it was last released; a bounce or complaint counts with the message it is about, whatever the recipient's "
    "status was by then."
)
class Guardrail:
    hold: GuardrailHold | None = strawberry.field(
        description="Why sending is held, until a person releases it (guardrailRelease); null while it is not."
    )
    sent: int = strawberry.field(description="How many messages the sample has.")
    bounced: int = strawberry.field(description="How many of them came back because their address is dead.")
    complained: int = strawberry.field(description="How many of them were reported as spam.")
    bounce_percent: float = strawberry.field(description="The rate of bounces in the sample, in per cent.")
    complaint_percent: float = strawberry.field(description="The rate of complaints in the sample, in per cent.")
    limits: GuardrailLimits = strawberry.field(description="The limits that count.")
    own_limits: GuardrailOwnLimits = strawberry.field(description="Those of them that are its own.")
    released_at: datetime | None = strawberry.field(
        description="When a person last released it; messages handed over before are in no sample."
    )
