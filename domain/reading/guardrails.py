"""What the guardrails of mailboxes and sequences say: their samples, limits and holds."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from domain.database import fetch
from domain.guardrails import Guarded, sample_sql
from domain.rules.guardrails import FROM_MAILBOX, IN_SEQUENCE, GuardrailCause, Hold, Limits

_HELD: Final = {Guarded.MAILBOX: FROM_MAILBOX, Guarded.SEQUENCE: IN_SEQUENCE}


@dataclass(frozen=True, slots=True)
class HoldView:
    """Why sending is held, in the words of a screen."""

    since: datetime
    cause: GuardrailCause
    count: int
    sent: int
    percent: float
    limit_percent: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLimits:
    """What a mailbox or sequence says itself. None: what the workspace says counts."""

    bounce_percent: float | None = None
    complaint_percent: float | None = None
    minimum_sends: int | None = None
    window_days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailView:
    """One guardrail at the moment of reading."""

    hold: HoldView | None
    sent: int
    bounced: int
    complained: int
    limits: Limits
    own_limits: OwnLimits
    released_at: datetime | None

    @property
    def bounce_percent(self) -> float:
        return round(self.bounced * 100 / self.sent, 2) if self.sent else 0.0

    @property
    def complaint_percent(self) -> float:
        return round(self.complained * 100 / self.sent, 2) if self.sent else 0.0


async def of_mailboxes(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, GuardrailView]:
    """Return the guardrails of these mailboxes, counted now."""
    return await _views(workspace_id, Guarded.MAILBOX, ids)


async def of_sequences(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, GuardrailView]:
    """Return the guardrails of these sequences, counted now."""
    return await _views(workspace_id, Guarded.SEQUENCE, ids)


async def of_workspace(workspace_id: UUID) -> Limits:
    """Return the limits that count where a mailbox or a sequence has none of its own."""
    rows = await fetch("SELECT guardrail_limits FROM workspaces WHERE id = $1", workspace_id)
    return Limits(**orjson.loads(rows[0]["guardrail_limits"]))


async def _views(workspace_id: UUID, guarded: Guarded, ids: Collection[UUID]) -> dict[UUID, GuardrailView]:
    rows = await fetch(sample_sql(guarded), workspace_id, list(ids))
    return {
        row["id"]: GuardrailView(
            hold=_hold(row["guardrail_hold"], _HELD[guarded]),
            sent=row["sent"],
            bounced=row["bounced"],
            complained=row["complained"],
            limits=Limits(**orjson.loads(row["limits"])),
            own_limits=OwnLimits(**orjson.loads(row["own_limits"])),
            released_at=row["guardrail_released_at"],
        )
        for row in rows
    }


def _hold(stored: str | None, held: str) -> HoldView | None:
    if stored is None:
        return None
    hold = Hold.from_json(orjson.loads(stored))
    return HoldView(hold.since, hold.cause, hold.count, hold.sent, hold.percent, hold.limit_percent, hold.message(held))
