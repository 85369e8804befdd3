"""The arithmetic of budgets: what is granted with the others, alone, and on the way from one to the other."""

import random
from dataclasses import dataclass
from uuid import UUID

import pytest

from api.budget import Budgets
from api.errors import RequestRefused

WHO = UUID(int=1)
CAPACITY, RATE = 10_000, 100


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def budgets(clock: Clock) -> Budgets:
    return Budgets(CAPACITY, RATE, clock=clock)


def settle(one: Budgets, *others: Budgets, kept: float = 0.0, reserved: dict[int, float] | None = None) -> float:
    """What Redis does with one process: add what it spent to the sum, and keep it its part of the rest."""
    reserved = {} if reserved is None else reserved
    count = 1 + len(others)
    for told in list(one.unsettled()):
        kept = max(0.0, kept + told.spent)
        free = CAPACITY - kept - sum(points for other, points in reserved.items() if other != id(one))
        reserved[id(one)] = max(0.0, free / count, min(free, CAPACITY / 8))
        one.settled(told, kept, reserved[id(one)])
    one.together(count)
    return kept


def granted(one: Budgets, cost: int = 10) -> int:
    """How many points are granted until none is."""
    points = 0
    for _ in range(10 * CAPACITY // cost):
        try:
            one.take(WHO, cost)
        except RequestRefused:
            return points
        points += cost
    raise AssertionError("endless")


def test_what_is_not_used_is_given_back(clock: Clock) -> None:
    one = budgets(clock)
    settle(one)
    one.take(WHO, 700)
    one.give_back(WHO, 650)
    assert one.standing(WHO).remaining == CAPACITY - 50
    settle(one)
    one.take(WHO, 700)
    settle(one, kept=50)
    one.give_back(WHO, 700)  # settled meanwhile
    assert one.standing(WHO).remaining == CAPACITY - 50


def test_a_process_that_is_alone_with_redis_grants_all_and_then_what_is_restored(clock: Clock) -> None:
    one = budgets(clock)
    settle(one)
    one.take(WHO, 10)
    kept = settle(one)
    assert granted(one) == CAPACITY - 10
    kept = settle(one, kept=kept)
    with pytest.raises(RequestRefused) as refused:
        one.take(WHO, 250)
    assert refused.value.status == 429
    assert refused.value.facts == {"retryAfterSeconds": 3, "requested": 250, "remaining": 0, "limit": CAPACITY}
    clock.now += 3
    one.take(WHO, 250)
    assert one.standing(WHO).remaining == 50


def test_without_redis_a_process_grants_a_quarter_and_restores_a_quarter(clock: Clock) -> None:
    one = budgets(clock)
    assert granted(one) == CAPACITY // 4
    assert one.standing(WHO).limit == CAPACITY // 4
    clock.now += 10
    assert granted(one) == 10 * RATE // 4


def test_a_redis_that_goes_leaves_a_quarter_of_what_was_left_and_all_is_back_with_it(clock: Clock) -> None:
    one = budgets(clock)
    settle(one)
    one.take(WHO, 1_000)
    kept = settle(one)
    one.lost()
    assert one.standing(WHO).remaining == (CAPACITY - 1_000) // 4
    assert granted(one) == (CAPACITY - 1_000) // 4
    clock.now += 1_000  # long enough that all was restored
    one.take(WHO, 100)
    settle(one, kept=max(0.0, kept - 1_000 * RATE))
    assert one.standing(WHO).limit == CAPACITY
    assert one.standing(WHO).remaining == CAPACITY - 100  # what was spent and restored in between is not owed again


def test_what_several_processes_grant_together_is_never_more_than_there_is(clock: Clock) -> None:
    for count in (2, 3, 4, 8):
        all_ = [budgets(clock) for _ in range(count)]
        for one in all_:
            one.together(count)
        chance, total, kept = random.Random(count), 0, 0.0
        reserved: dict[int, float] = {}
        for one in all_[:4]:
            total += granted(one, 10)  # of an account it has not settled yet: a quarter, or less
            kept = settle(one, *(other for other in all_ if other is not one), kept=kept, reserved=reserved)
        for _ in range(60 * count):  # each at its own pace
            one = chance.choice(all_)
            if chance.random() < 0.5:
                kept = settle(one, *(other for other in all_ if other is not one), kept=kept, reserved=reserved)
            elif one in all_[:4]:
                total += granted(one, 10)
        assert CAPACITY * 0.9 <= total <= CAPACITY, count


def test_what_redis_forgot_it_is_told_again(clock: Clock) -> None:
    one = budgets(clock)
    settle(one)
    one.take(WHO, 2_000)
    settle(one)
    (told,) = one.unsettled()
    assert (told.spent, told.used) == (0, 2_000)


def test_more_than_the_whole_budget_is_refused_for_good(clock: Clock) -> None:
    with pytest.raises(RequestRefused) as refused:
        budgets(clock).take(WHO, CAPACITY + 1)
    assert refused.value.code == "BAD_USER_INPUT"
    assert refused.value.facts == {
        "reason": "LIMIT_EXCEEDED",
        "limit": "cost",
        "found": CAPACITY + 1,
        "allowed": CAPACITY,
    }


def test_an_account_that_is_full_again_is_forgotten(clock: Clock) -> None:
    one = budgets(clock)
    settle(one)
    one.take(WHO, 100)
    settle(one)
    clock.now += 100
    assert list(one.unsettled()) == []
    assert one._accounts == {}
