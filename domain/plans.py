"""Sequences as the rules see them: the one place where rows of `sequences` and `steps` become a `Plan`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx
from domain.refusals import NotFound
from domain.rules.plan import Plan, SequenceStatus, Step, StepKind
from domain.rules.timing import SendingWindow, Wait, WaitUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSettings:
    """What a sequence is told beside its steps. Stored as JSON; every value has a default."""

    time_zone: str = "UTC"
    window: SendingWindow | None = None
    stop_on_reply: bool = True
    stop_on_company_reply: bool = False  # one reply ends the others of the same company's domain
    reenrolment: str = "AFTER_END"  # NEVER, AFTER_END, AFTER_END_PLUS_DAYS
    reenrolment_days: int = 0
    exclusive: bool = False  # it shares nobody: a person is not open in it and in another sequence at once
    on_unconfirmed_delivery: str = "ASK"  # or ASSUME_SENT: go on as if it had been sent

    def as_json(self) -> dict[str, Any]:
        return {
            "timeZone": self.time_zone,
            "window": self.window.as_json() if self.window else None,
            "stopOnReply": self.stop_on_reply,
            "stopOnCompanyReply": self.stop_on_company_reply,
            "reenrolment": self.reenrolment,
            "reenrolmentDays": self.reenrolment_days,
            "exclusive": self.exclusive,
            "onUnconfirmedDelivery": self.on_unconfirmed_delivery,
        }

    @staticmethod
    def from_json(stored: str | bytes | dict[str, Any]) -> "SequenceSettings":
        found = stored if isinstance(stored, dict) else orjson.loads(stored)
        window = found.get("window")
        return SequenceSettings(
            time_zone=found.get("timeZone", "UTC"),
            window=SendingWindow.from_json(window) if window else None,
            stop_on_reply=found.get("stopOnReply", True),
            stop_on_company_reply=found.get("stopOnCompanyReply", False),
            reenrolment=found.get("reenrolment", "AFTER_END"),
            reenrolment_days=found.get("reenrolmentDays", 0),
            exclusive=found.get("exclusive", False),
            on_unconfirmed_delivery=found.get("onUnconfirmedDelivery", "ASK"),
        )

    @property
    def zones(self) -> tuple[object, ...]:
        """What decides in which zone a recipient's days are counted."""
        if self.window is None:
            return (self.time_zone,)
        return (self.window.time_zone, self.window.use_recipient_time_zone, True)

    @property
    def reenrolment_pause(self) -> timedelta | None:
        """How long after an end a person may be enrolled again; None = never."""
        if self.reenrolment == "NEVER":
            return None
        return timedelta(days=self.reenrolment_days if self.reenrolment == "AFTER_END_PLUS_DAYS" else 0)


def to_step(row: asyncpg.Record) -> Step:
    return Step(
        id=row["id"],
        position=row["position"],
        kind=StepKind(row["kind"]),
        wait=Wait(row["wait_amount"], WaitUnit(row["wait_unit"])),
        removed=row["removed_at"] is not None,
        revision=row["revision"],
        wait_revision=row["wait_revision"],
        placed_revision=row["placed_revision"],
    )


def to_plan(sequence: asyncpg.Record, steps: Iterable[asyncpg.Record]) -> Plan:
    settings = SequenceSettings.from_json(sequence["settings"])
    return Plan(
        status=SequenceStatus(sequence["status"]),
        steps=tuple(to_step(row) for row in steps),
        window=settings.window,
        time_zone=settings.time_zone,
        assumes_sent=settings.on_unconfirmed_delivery == "ASSUME_SENT",
        revision=sequence["revision"],
    )


async def load_plans(t: Tx, sequence_ids: Iterable[UUID]) -> dict[UUID, Plan]:
    """Return the plans of these sequences of the transaction's workspace."""
    ids = list(set(sequence_ids))
    sequences = await t.fetch(
        "SELECT id, status, settings, revision FROM sequences WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
        t.workspace_id,
        ids,
    )
    steps = await t.fetch(
        "SELECT * FROM steps WHERE workspace_id = $1 AND sequence_id = ANY($2::uuid[]) ORDER BY sequence_id, position",
        t.workspace_id,
        ids,
    )
    return {row["id"]: to_plan(row, [step for step in steps if step["sequence_id"] == row["id"]]) for row in sequences}


async def load_plan(t: Tx, sequence_id: UUID) -> Plan:
    """Return one plan.

    Raises:
        NotFound: the workspace has no such sequence.
    """
    plans = await load_plans(t, [sequence_id])
    if sequence_id not in plans:
        raise NotFound("sequence", field=["sequenceId"])
    return plans[sequence_id]
