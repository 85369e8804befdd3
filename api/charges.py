"""What one operation costs its caller, and its place among what is carried out at once.

Source: api.md "Limits"; reliability.md 2.26.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from api.budget import RATE_LIMITED, Budgets, Standing
from api.context import Caller
from api.errors import RequestRefused
from domain.metrics import OPERATIONS_OPEN

_AGAIN_AFTER_SECONDS: Final = 1


def account_of(caller: Caller) -> UUID:
    """Return whose budget a caller spends: the key's, or the person's."""
    assert caller.actor.id is not None
    return caller.actor.id


class Places:
    """How many operations of one kind are carried out at once, for each caller and in this process."""

    def __init__(self, kind: str, *, of_each: int, in_all: int) -> None:
        self._kind = kind
        self._of_each = of_each
        self._in_all = in_all
        self._taken: Counter[UUID] = Counter()

    def refuse_when_full(self, caller: Caller) -> None:
        """Return when there is a place for this caller.

        Raises:
            RequestRefused: RATE_LIMITED; there is none.
        """
        who = account_of(caller)
        for limit, found, allowed, of_whom in (
            (f"{self._kind}PerKey", self._taken[who], self._of_each, "of this key"),
            (f"{self._kind}PerProcess", self._taken.total(), self._in_all, "of all keys in this process"),
        ):
            if found >= allowed:
                message = (
                    f"{found + 1:,} {self._kind} {of_whom} would be open at once; at most {allowed:,} are allowed. "
                    "End one first, or try again in a second."
                )
                raise RequestRefused(
                    429,
                    RATE_LIMITED,
                    message,
                    reason="LIMIT_EXCEEDED",
                    limit=limit,
                    found=found + 1,
                    allowed=allowed,
                    retryAfterSeconds=_AGAIN_AFTER_SECONDS,
                )

    @contextmanager
    def taken(self, caller: Caller) -> Iterator[None]:
        """Hold a place while the block runs.

        Raises:
            RequestRefused: RATE_LIMITED; none is free.
        """
        self.refuse_when_full(caller)
        who = account_of(caller)
        self._taken[who] += 1
        OPERATIONS_OPEN.labels(self._kind).inc()
        try:
            yield
        finally:
            OPERATIONS_OPEN.labels(self._kind).dec()
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]


@dataclass(slots=True)
class Charge:
    """What one operation costs its caller: asked for, and used once that is known."""

    budgets: Budgets
    who: UUID
    requested: int
    actual: int | None = None

    def settle(self, actual: int) -> None:
        """Give back what was not used."""
        self.actual = min(actual, self.requested)
        self.budgets.give_back(self.who, self.requested - self.actual)

    @property
    def standing(self) -> Standing:
        return self.budgets.standing(self.who)

    def told(self) -> dict[str, Any]:
        """Return the entry `cost` of a response's extensions."""
        now = self.standing
        return {
            "requested": self.requested,
            "actual": self.requested if self.actual is None else self.actual,
            "limit": now.limit,
            "remaining": now.remaining,
            "restoreRate": now.restore_rate,
            "resetAt": now.reset_at,
        }
