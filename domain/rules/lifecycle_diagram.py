"""The state diagram, found by trying: specimens of every open status, put through every action, signal and turn.

Nothing here says where an arrow goes. The arrows are what the transitions do.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from domain.rules import holds, moves, timers
from domain.rules.lifecycle import ACTIONS, ENDED, OPEN, SIGNALS, Action, Effect, EndReason, Signal, Status
from domain.rules.plan import Plan, SequenceStatus, Step, StepKind
from domain.rules.recipient import Recipient
from domain.rules.timing import Wait, WaitUnit

Move = Callable[[Recipient], Recipient]
Arrow = tuple[Status, Status, str]

_NOW = datetime(2026, 1, 5, tzinfo=UTC)
_FIRST, _MIDDLE, _LAST = (UUID(int=number) for number in (1, 2, 3))
_SOMETHING = UUID(int=9)
_PLAN = Plan(
    status=SequenceStatus.ACTIVE,
    steps=tuple(
        Step(id=step_id, position=position, kind=StepKind.MANUAL_EMAIL, wait=Wait(1, WaitUnit.DAYS))
        for position, step_id in enumerate((_FIRST, _MIDDLE, _LAST))
    ),
    window=None,
    time_zone="UTC",
)


def arrows() -> list[Arrow]:
    """Return (from, to, by what) for every change of status that can happen, in the order of the enums."""
    found: dict[Arrow, None] = {}
    for specimen in _specimens():
        for label, move in _moves(specimen):
            arrow = (specimen.status, move(specimen).status, label)
            if arrow[0] is not arrow[1]:
                found[arrow] = None
    order = list(Status)
    return sorted(found, key=lambda arrow: (order.index(arrow[0]), order.index(arrow[1])))


def mermaid() -> str:
    """Return the arrows as a Mermaid state diagram. What leads from every open status to one is drawn once."""
    labels: dict[tuple[Status, Status], list[str]] = {}
    for source, target, label in arrows():
        labels.setdefault((source, target), []).append(label)
    lines = ["stateDiagram-v2", "    [*] --> Open : enrolled", "    state Open {", "        [*] --> SCHEDULED"]
    outside: list[str] = []
    for target in Status:
        shared = _shared_by_all_open(target, labels)
        if shared:
            outside.append(f"    Open --> {target} : {', '.join(shared)}")
        for source in Status:
            own = [label for label in labels.get((source, target), []) if label not in shared or source in ENDED]
            if own and {source, target} <= OPEN:
                lines.append(f"        {source} --> {target} : {', '.join(own)}")
            elif own:
                outside.append(f"    {source} --> {target} : {', '.join(own)}")
    return "\n".join([*lines, "    }", *outside])


def _shared_by_all_open(target: Status, labels: dict[tuple[Status, Status], list[str]]) -> list[str]:
    by_source = [labels.get((source, target), []) for source in Status if source in OPEN]
    return [label for label in by_source[0] if all(label in others for others in by_source)] if target in ENDED else []


def _specimens() -> Iterator[Recipient]:
    """Return recipients of every status: open ones at the first, a middle and the last step (which may also be the
    only one), held and not."""
    for step_id, begun in ((_FIRST, False), (_MIDDLE, True), (_LAST, True), (_LAST, False)):
        start = Recipient(
            id=_SOMETHING,
            workspace_id=_SOMETHING,
            sequence_id=_SOMETHING,
            contact_id=_SOMETHING,
            version=1,
            time_zone=None,
            mailbox_id=None,
            current_step_id=step_id,
            begun=begun,
        )
        waiting = timers.settle(start, _PLAN, _NOW)
        pending = moves.put_before_person(waiting, _PLAN, _SOMETHING, _NOW)
        chosen = moves.release(pending, _PLAN, _NOW, _NOW)
        failed = moves.fail(waiting, _PLAN, _SOMETHING, _NOW)
        for specimen in (waiting, pending, chosen, failed):
            yield specimen
            yield holds.pause(specimen, _PLAN, _NOW)
    for reason in EndReason:
        yield moves.end(waiting, _PLAN, reason, _NOW)


def _moves(specimen: Recipient) -> Iterator[tuple[str, Move]]:
    yield from ((action.value, move) for action, move in _by_action(specimen) if action in ACTIONS[specimen.status])
    for signal in Signal:
        move = _by_effect(SIGNALS[signal][specimen.status], specimen)
        if move is not None:
            yield signal.value.replace("_", " ").lower(), move
    yield from _by_turn(specimen)


def _by_action(specimen: Recipient) -> Iterator[tuple[Action, Move]]:
    yield Action.PAUSE, lambda r: holds.pause(r, _PLAN, _NOW)
    yield Action.RESUME, lambda r: holds.resume(r, _PLAN, _NOW)
    yield Action.SKIP_STEP, _leave
    yield Action.STOP, lambda r: moves.end(r, _PLAN, EndReason.STOPPED, _NOW)
    if specimen.error_id is not None:
        yield Action.RESUME, lambda r: holds.resume(r, _PLAN, _NOW, retry=True)
        yield Action.EDIT_CONTENT, lambda r: moves.try_again(r, _PLAN, _NOW)


def _by_effect(effect: Effect, specimen: Recipient) -> Move | None:
    reason = effect.end_reason
    if reason is not None:
        return lambda r: moves.end(r, _PLAN, reason, _NOW)
    if effect is Effect.OPEN_ERROR:
        return lambda r: moves.fail(r, _PLAN, _SOMETHING, _NOW, step_id=_LAST)
    if effect is Effect.CARRY_OUT and (specimen.pending_id is None or specimen.scheduled_for is not None):
        return _leave
    return None


def _by_turn(specimen: Recipient) -> Iterator[tuple[str, Move]]:
    """What happens by itself, or by what a person does about a pending action or an error."""
    if specimen.status in (Status.SCHEDULED, Status.IN_PROGRESS):
        yield "step carried out", _leave
        yield "step fails", lambda r: moves.fail(r, _PLAN, _SOMETHING, _NOW)
        if specimen.pending_id is None:
            yield "manual step due", lambda r: moves.put_before_person(r, _PLAN, _SOMETHING, _NOW)
        else:
            yield "schedule cancelled", lambda r: moves.take_back(r, _PLAN, _NOW)
    if specimen.status is Status.PENDING_ACTION:
        yield "done by a person", _leave
        yield "sent or scheduled", lambda r: moves.release(r, _PLAN, _NOW, _NOW)
    if specimen.status is Status.ERROR:
        yield "retried", lambda r: moves.try_again(r, _PLAN, _NOW)


def _leave(recipient: Recipient) -> Recipient:
    return moves.leave_step(recipient, _PLAN, _NOW, _NOW)
