"""A sequence as the rules see it: its steps in order, its window, and whether its waits run.

Source: product.md sections 2 "Sequences" and 3.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.rules.timing import SendingWindow, Wait


class StepKind(StrEnum):
    AUTOMATED_EMAIL = "AUTOMATED_EMAIL"
    MANUAL_EMAIL = "MANUAL_EMAIL"
    TASK = "TASK"
    SMS = "SMS"


# A person carries out the others: they come due when their wait ends, window or not.
AUTOMATED_KINDS = frozenset({StepKind.AUTOMATED_EMAIL, StepKind.SMS})
EMAIL_KINDS = frozenset({StepKind.AUTOMATED_EMAIL, StepKind.MANUAL_EMAIL})


def channels_of(kinds: Iterable[StepKind]) -> list[str]:
    """Return what steps of these kinds are sent by: EMAIL, SMS, both or neither, in this order."""
    there = set(kinds)
    return [channel for channel, own in (("EMAIL", EMAIL_KINDS), ("SMS", {StepKind.SMS})) if there & own]


class SequenceStatus(StrEnum):
    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a sequence as the rules see it."""

    id: UUID
    position: int  # ascending, not dense
    kind: StepKind
    wait: Wait
    removed: bool = False
    # Which edit of the sequence last …
    revision: int = 0  # … may have changed something for those who wait for it
    wait_revision: int = 0  # … changed its wait
    placed_revision: int = 0  # … put it where it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sequence as the rules see it: where a recipient goes next, and when."""

    status: SequenceStatus
    steps: tuple[Step, ...]  # by position, removed ones included
    window: SendingWindow | None
    time_zone: str
    assumes_sent: bool = False  # an unconfirmed delivery counts as sent, instead of asking a person
    revision: int = 0  # rises with every edit

    @property
    def paused(self) -> bool:
        return self.status is SequenceStatus.PAUSED

    @property
    def running(self) -> bool:
        """Waits begin at activation. They also go on while the sequence is paused: what stops the clock is the hold on
        the recipient, which carries the time of the pause however late its row is rewritten."""
        return self.status in (SequenceStatus.ACTIVE, SequenceStatus.PAUSED)

    def step(self, step_id: UUID | None) -> Step | None:
        return next((step for step in self.steps if step.id == step_id), None)

    def first(self) -> Step | None:
        return next((step for step in self.steps if not step.removed), None)

    def next_after(self, step_id: UUID | None, done: Collection[UUID]) -> Step | None:
        """Return the first step after this one (None: of all) that is not done; None when there is none."""
        here = self.step(step_id)
        later = (s for s in self.steps if here is None or s.position > here.position)
        return next((s for s in later if not s.removed and s.id not in done), None)

    def preceding(self, step_id: UUID | None) -> Step | None:
        """Return the step before this one, be it removed; None before the first."""
        here = self.step(step_id)
        earlier = [s for s in self.steps if here is not None and s.position < here.position]
        return earlier[-1] if earlier else None

    def is_followed(self, step_id: UUID | None, revision: int) -> bool:
        """Return whether whoever waits for this step, as of that revision, has nothing to follow any more."""
        here = self.step(step_id)
        return here is None or revision >= here.revision
