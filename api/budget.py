"""What each key and each person may still ask for: points that are spent by asking and restored with time.

An operation is charged before it is carried out with what its document asks for, and given back afterwards what it
did not use. All processes share one account for each caller, in Redis, but nothing here waits for Redis: a process
grants what was kept for it when the account was last settled, and `api/budget_settling.py` settles it in the
background. Where nothing can be settled, each process grants a quarter of the budget, restored at a quarter of the
rate, and never everything.

Source: api.md "Limits"; reliability.md 2.28.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from api.errors import BAD_USER_INPUT, RequestRefused
from api.limits import refused

OPERATION_COST: Final = 10
MUTATION_COST: Final = 10  # of each mutation in an operation, beside that of the operation
INTROSPECTION_COST: Final = 500
REFUSED_COST: Final = 50  # of a document that is refused: to find out what is wrong with it was work
RATE_LIMITED: Final = "RATE_LIMITED"
ALONE_SHARE: Final = 4  # a process that knows nothing of the others grants the fourth part
LEAST_SHARE: Final = 1 / 8  # kept for a process while there is as much: the largest query passes, however many share
FRESH_SECONDS: Final = 5.0
_FORGOTTEN_AFTER_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Account:
    """One caller's points. `used`: of the whole budget, as last settled; of this process's quarter when alone."""

    at: float  # of the clock; when `used` was right
    alone: bool
    used: float = 0.0
    unsettled: float = 0.0  # spent here and not told to the others
    reserved: float = 0.0  # what was kept for this process when it was settled
    settled_at: float | None = None
    touched_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands now."""

    limit: int
    remaining: int
    restore_rate: float  # points a second
    reset_at: datetime  # when all is restored, if nothing is spent until then


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What one account has to tell the others. `used` is what it believes of the whole, for a Redis that forgot."""

    who: UUID
    spent: float
    used: float
    unsettled: float


class Budgets:
    """The accounts of one process."""

    def __init__(self, capacity: int, restored_per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self.restored_per_second = restored_per_second
        self.wanted = asyncio.Event()  # set when something should be settled soon
        self._clock = clock
        self._accounts: dict[UUID, _Account] = {}
        self._alone = True
        self._processes = 1

    def take(self, who: UUID, cost: int) -> None:
        """Spend points.

        Raises:
            RequestRefused: RATE_LIMITED, there are not enough now; or the budget never holds as many.
        """
        now = self._clock()
        account = self._account(who, now)
        if cost > self.capacity:
            message = f"This costs {cost:,} points; no key has more than {self.capacity:,}. Ask for fewer rows at once."
            raise refused(400, BAD_USER_INPUT, "cost", message, found=cost, allowed=self.capacity)
        remaining, part = self._remaining(account, now), self._part(account, now)
        if cost > part:
            self.wanted.set()
            raise self._too_much(account, cost, remaining)
        self._spend(account, cost, now)
        if not account.alone and account.unsettled > part / 2:
            self.wanted.set()

    def give_back(self, who: UUID, points: int) -> None:
        """Undo the spending of points that were not used."""
        now = self._clock()
        self._spend(self._account(who, now), -points, now)

    def standing(self, who: UUID) -> Standing:
        now = self._clock()
        account = self._account(who, now)
        limit, rate = self._size(account)
        remaining = min(limit, max(0.0, self._remaining(account, now)))
        reset_at = datetime.now(UTC) + timedelta(seconds=(limit - remaining) / rate)
        return Standing(int(limit), int(remaining), rate, reset_at)

    def lost(self) -> None:
        """From now on each account is this process's alone."""
        self._alone = True

    def unsettled(self) -> Iterator[Unsettled]:
        """Yield what is to be settled, and forget accounts that are as good as new."""
        now = self._clock()
        for who, account in list(self._accounts.items()):
            used = self._used(account, now)
            idle = now - account.touched_at
            if used + account.unsettled <= 0 and idle > _FORGOTTEN_AFTER_SECONDS:
                del self._accounts[who]
            elif account.alone:
                spent = min(account.unsettled, used)
                yield Unsettled(who, spent, min(used * ALONE_SHARE, self.capacity), account.unsettled)
            elif account.unsettled or idle <= FRESH_SECONDS:
                yield Unsettled(who, account.unsettled, max(0.0, used + account.unsettled), account.unsettled)

    def settled(self, told: Unsettled, used: float, reserved: float) -> None:
        """Take over what all processes together have used of one account, and what of the rest is kept for this one."""
        if (account := self._accounts.get(told.who)) is None:
            return
        account.used, account.at, account.settled_at, account.alone = used, self._clock(), self._clock(), False
        account.unsettled -= told.unsettled
        account.reserved = reserved

    def together(self, processes: int) -> None:
        """From now on so many processes, this one included, share the accounts."""
        self._alone, self._processes = False, max(1, processes)

    @property
    def alone(self) -> bool:
        return self._alone

    @property
    def processes(self) -> int:
        return self._processes

    def _account(self, who: UUID, now: float) -> _Account:
        account = self._accounts.get(who)
        if account is None:
            account = self._accounts[who] = _Account(now, self._alone)
        elif self._alone and not account.alone:
            used = min(self.capacity, max(0.0, self._used(account, now) + account.unsettled))
            account.used, account.at, account.alone = used / ALONE_SHARE, now, True
        account.touched_at = now
        return account

    def _size(self, account: _Account) -> tuple[float, float]:
        """Return how many points the account has at most, and how many a second are restored."""
        parts = ALONE_SHARE if account.alone else 1
        return self.capacity / parts, self.restored_per_second / parts

    def _used(self, account: _Account, now: float) -> float:
        return max(0.0, account.used - (now - account.at) * self._size(account)[1])

    def _remaining(self, account: _Account, now: float) -> float:
        spent_here = 0.0 if account.alone else account.unsettled
        return self._size(account)[0] - self._used(account, now) - spent_here

    def _part(self, account: _Account, now: float) -> float:
        """Return how many points may be spent here before it is settled again."""
        remaining = self._remaining(account, now)
        if account.alone:
            return remaining
        since = now - account.at
        if account.settled_at is not None and since <= FRESH_SECONDS:
            part = account.reserved + since * self.restored_per_second / self._processes - account.unsettled
            return min(remaining, part)
        return (remaining + account.unsettled) / max(ALONE_SHARE, self._processes) - account.unsettled

    def _spend(self, account: _Account, points: float, now: float) -> None:
        account.unsettled += points
        if account.alone:
            account.used, account.at = max(0.0, self._used(account, now) + points), now

    def _too_much(self, account: _Account, cost: int, remaining: float) -> RequestRefused:
        limit, rate = self._size(account)
        shared_by = 1 if account.alone or self._processes == 1 or cost <= limit * LEAST_SHARE else self._processes + 1
        seconds = max(1, math.ceil((min(cost * shared_by, limit) - remaining) / rate))
        message = (
            f"This costs {cost:,} points and the key has {max(0, int(remaining)):,} of {int(limit):,} left; "
            f"{rate:,.0f} a second are restored. Try again in {seconds} seconds, or ask for fewer rows."
        )
        return RequestRefused(
            429,
            RATE_LIMITED,
            message,
            retryAfterSeconds=seconds,
            requested=cost,
            remaining=max(0, int(remaining)),
            limit=int(limit),
        )
