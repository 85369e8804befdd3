"""A small sequence and a recipient in it, for the tests of the pure transitions."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

from domain.rules.plan import Plan, SequenceStatus, Step, StepKind
from domain.rules.recipient import Recipient
from domain.rules.timers import settle
from domain.rules.timing import SendingWindow, Wait, WaitUnit

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

FIRST, SECOND, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
ERROR, PENDING = UUID(int=11), UUID(int=12)

NINE_TO_FIVE = SendingWindow(
    weekdays=frozenset(range(5)), opens=time(9), closes=time(17), time_zone="UTC", use_recipient_time_zone=False
)


def plan(*kinds: StepKind, status: SequenceStatus = SequenceStatus.ACTIVE, **more: Any) -> Plan:
    """Return a sequence of these steps (three automated emails unless told), each with a wait of one day."""
    kinds = kinds or (StepKind.AUTOMATED_EMAIL,) * 3
    steps = tuple(
        Step(id=UUID(int=number), position=number * 10, kind=kind, wait=more.get("wait", Wait(1, WaitUnit.DAYS)))
        for number, kind in enumerate(kinds, start=1)
    )
    return Plan(
        status=status,
        steps=more.get("steps", steps),
        window=more.get("window"),
        time_zone=more.get("time_zone", "UTC"),
    )


def fresh(**facts: Any) -> Recipient:
    """Return a recipient before its first step whose timers nobody has set yet."""
    keys: dict[str, Any] = {"id": UUID(int=21), "workspace_id": UUID(int=22), "sequence_id": UUID(int=23)}
    start: dict[str, Any] = {"version": 1, "time_zone": None, "mailbox_id": None, "current_step_id": FIRST}
    return Recipient(contact_id=UUID(int=24), **(keys | start | facts))


def enrolled(sequence: Plan, now: datetime = NOW, **facts: Any) -> Recipient:
    return settle(fresh(**facts), sequence, now)
