"""Random edits of a sequence under way, random progress, against a model that knows nothing of revisions or rows: a
list of steps, what was done in which order, and the sentences of product.md section 3 "Live edits".
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from domain.rules import holds, moves, plan_edits, timers
from domain.rules.following import follow
from domain.rules.plan import Plan, SequenceStatus, Step, StepKind
from domain.rules.recipient import Recipient
from domain.rules.timing import Wait, WaitUnit
from tests.rules.recipient_facts import ERROR, MINUTE, NOW, PENDING, fresh


@dataclass
class Model:
    """One recipient as a person with a pencil would follow it."""

    order: list[int]  # every step ever written, by place
    removed: set[int] = field(default_factory=set)
    waits: dict[int, int] = field(default_factory=dict)  # minutes
    done: list[int] = field(default_factory=list)  # in the order of time
    current: int | None = None
    state: str = "waiting"  # waiting, pending, failed, sending, completed
    began_at: datetime | None = NOW  # of the wait, pauses left out; None: it begins with the resume
    due_at: datetime | None = None
    paused_at: datetime | None = None
    sent: list[int] = field(default_factory=list)
    # A step that failed where the sequence was edited meanwhile, and is tried again, is its place: behind which one?
    tried_again_behind: tuple[int | None] | None = None

    def next_step(self) -> int | None:
        """The next step of a recipient is the first after its last done one that it has not done."""
        last = self.done[-1] if self.done else None
        if self.tried_again_behind is not None:
            (last,) = self.tried_again_behind
        behind = self.order[self.order.index(last) + 1 :] if last else self.order
        return next((n for n in behind if n not in self.removed and n not in self.done), None)

    def wait_anew(self) -> None:
        self.current = self.next_step()
        if self.current is None:
            self.state = "completed"
        else:
            self.state = "waiting"
            self.due_at = self.began_at + self.waits[self.current] * MINUTE if self.began_at else None

    def leave(self, now: datetime) -> None:
        assert self.current is not None
        assert self.current not in self.done, "a step was done twice"
        self.done.append(self.current)
        self.tried_again_behind = None
        self.began_at = None if self.paused_at else now
        self.wait_anew()

    def before_current(self) -> int | None:
        assert self.current is not None
        return ([None, *self.order])[self.order.index(self.current)]

    def settle(self, now: datetime, *, new_waits: set[int], moved: set[int]) -> None:
        """What the edits since the last time come to."""
        if self.state in ("completed", "sending"):
            return
        if self.state in ("pending", "failed"):
            if self.current in self.removed:
                self.leave(now)
            return
        if self.tried_again_behind and self.tried_again_behind[0] in moved - set(self.done):
            self.tried_again_behind = (self.before_current(),)
        if self.next_step() != self.current or self.current in new_waits:
            self.wait_anew()


class Walk:
    def __init__(self, steps: int) -> None:
        self.plan = Plan(status=SequenceStatus.ACTIVE, steps=(), window=None, time_zone="UTC")
        self.now = NOW
        self.model = Model(order=[])
        self.new_waits: set[int] = set()
        self.moved: set[int] = set()
        for _ in range(steps):
            self.add(len(self.model.order), 5)
        self.row: Recipient = timers.settle(
            fresh(current_step_id=_id(self.model.order[0]), plan_revision=self.plan.revision), self.plan, NOW
        )
        self.model.wait_anew()
        self.new_waits.clear()

    # ---- edits

    def there(self) -> list[int]:
        return [n for n in self.model.order if n not in self.model.removed]

    def add(self, place: int, wait: int) -> None:
        number, before = len(self.model.order) + 1, (self.there() + [None] * 99)[place % (len(self.there()) + 1)]
        at = self.model.order.index(before) if before else len(self.model.order)
        self.model.order.insert(at, number)
        self.model.waits[number] = wait
        step = Step(id=_id(number), position=0, kind=StepKind.AUTOMATED_EMAIL, wait=_wait(wait))
        self.plan = plan_edits.with_step(self.plan, step, _id(before) if before else None)

    def edit(self, what: int, place: int, other: int) -> None:
        there = self.there()
        if what == 0 or len(there) < 2:
            self.add(place, other * 7)
            return
        number = there[place % len(there)]
        if what == 1:
            self.model.removed.add(number)
            self.plan = plan_edits.without_step(self.plan, _id(number))
        elif what == 2:
            before = ([n for n in there if n != number] + [None])[other % len(there)]
            self.model.order.remove(number)
            at = self.model.order.index(before) if before else len(self.model.order)
            self.model.order.insert(at, number)
            self.moved.add(number)
            self.plan = plan_edits.with_step_moved(self.plan, _id(number), _id(before) if before else None)
        else:
            self.model.waits[number] = other * 7
            self.new_waits.add(number)
            self.plan = plan_edits.with_wait(self.plan, _id(number), _wait(other * 7))

    def settle(self) -> None:
        sending = self.model.state == "sending"
        self.row = follow(self.row, self.plan, self.now, being_sent=sending)
        assert follow(self.row, self.plan, self.now, being_sent=sending) == self.row
        self.model.settle(self.now, new_waits=self.new_waits, moved=self.moved)
        if not sending:
            self.new_waits.clear()
            self.moved.clear()

    # ---- progress: only those are taken up who have followed, as claim and mark ask

    def progress(self, what: int, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        model, row = self.model, self.row
        followed = self.plan.is_followed(row.current_step_id, row.plan_revision)
        may = followed and model.state == "waiting" and not model.paused_at and row.due_at and row.due_at <= self.now
        if model.state == "sending" and what < 4:
            model.state = "waiting"
            if what < 2:
                model.sent.append(model.current or 0)
                model.leave(self.now)
                self.row = moves.carry_out(row, self.plan, row.current_step_id, self.now, self.now)
            else:
                model.state, model.due_at = "failed", None
                self.row = moves.fail(row, self.plan, ERROR, self.now)
        elif may and what < 3:
            model.state = "sending"
        elif may and what == 3:
            model.state, model.due_at = "pending", None
            self.row = moves.put_before_person(row, self.plan, PENDING, self.now)
        elif what == 4 and not model.paused_at and model.state in ("waiting", "pending", "failed") and followed:
            model.leave(self.now)
            self.row = moves.leave_step(row, self.plan, self.now, self.now)
        elif what == 5 and model.state == "failed" and not model.paused_at and followed:
            model.state, model.due_at = "waiting", self.now
            if model.next_step() != model.current:
                model.tried_again_behind = (model.before_current(),)
            self.row = moves.try_again(row, self.plan, self.now)
        elif what == 6 and model.state != "completed":
            self.pause_or_resume()

    def pause_or_resume(self) -> None:
        model = self.model
        if model.paused_at is None:
            model.paused_at = self.now
            self.row = holds.pause(self.row, self.plan, self.now)
            return
        length = self.now - model.paused_at
        model.paused_at = None
        if model.began_at is None:
            model.began_at = self.now
            if model.current is not None and model.state == "waiting":
                model.due_at = self.now + model.waits[model.current] * MINUTE
        else:
            model.began_at += length if model.due_at is not None else timedelta(0)
            model.due_at = model.due_at + length if model.due_at is not None else None
        if model.due_at is not None:
            model.due_at = max(model.due_at, self.now)
        self.row = holds.resume(self.row, self.plan, self.now)

    # ---- and do they agree?

    def check(self) -> None:
        model, row = self.model, self.row
        assert model.sent == sorted(set(model.sent), key=model.sent.index)
        if model.state == "completed":
            assert (row.end_reason, row.current_step_id) == ("COMPLETED", None)
            return
        assert row.current_step_id == _id(model.current or 0)
        assert row.done == {_id(n) for n in model.done}
        assert (row.pending_id is not None, row.error_id is not None) == (
            model.state == "pending",
            model.state == "failed",
        )
        if model.state == "waiting" and model.paused_at is None:
            assert row.due_at is not None, "nobody is stranded"
            assert model.due_at is not None
            assert max(row.due_at, self.now) == max(model.due_at, self.now)


def _id(number: int) -> UUID:
    return UUID(int=number)


def _wait(minutes: int) -> Wait:
    return Wait(minutes, WaitUnit.MINUTES)


def _moves(chance: random.Random) -> Iterator[tuple[str, int, int, int]]:
    for _ in range(60):
        kind = chance.choices(["edit", "progress", "settle"], [3, 6, 1])[0]
        what = chance.choice([0, 1, 2, 2, 3]) if kind == "edit" else chance.choice([0, 0, 0, 2, 3, 4, 5, 6])
        yield kind, what, chance.randint(0, 15), chance.randint(0, 9)


@settings(max_examples=300, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32))
def test_nobody_is_stranded_sent_back_or_sent_twice_by_any_edit(seed: int) -> None:
    chance = random.Random(seed)
    walk = Walk(chance.randint(1, 5))
    walk.check()
    for kind, what, one, two in _moves(chance):
        if kind == "edit":
            walk.edit(what, one, two)
        elif kind == "progress":
            walk.progress(what, one)
        if kind != "edit":
            walk.settle()
            walk.check()


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 2**32))
def test_whoever_follows_an_edit_has_nothing_to_follow_any_more(seed: int) -> None:
    chance = random.Random(seed)
    walk = Walk(chance.randint(1, 5))
    for kind, what, one, two in _moves(chance):
        if kind == "edit":
            walk.edit(what, one, two)
        row = follow(walk.row, walk.plan, walk.now)
        assert walk.plan.is_followed(row.current_step_id, row.plan_revision)
        # Raised for too few, a revision would leave someone with the old plan: whoever need not follow does not change.
        if kind == "edit" and walk.plan.is_followed(walk.row.current_step_id, walk.row.plan_revision):
            assert replace(row, plan_revision=0) == replace(walk.row, plan_revision=0)
        walk.row = row
