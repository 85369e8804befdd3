"""A sequence as the rules see it: its steps in order, its window, and whether its waits run.

Source: product.md sections 2 "Sequences" and 3.
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sequence as the rules see it: where a recipient goes next, and when."""

    status: SequenceStatus
    steps: tuple[Step, ...]  # by position, removed ones included
    window: SendingWindow | None
    time_zone: str
    assumes_sent: bool = False  # an unconfirmed delivery counts as sent, instead of asking a person

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

    def following(self, step_id: UUID | None) -> Step | None:
        """Return the step after this one; None after the last."""
        here = self.step(step_id)
        if here is None:
            return None
        return next((s for s in self.steps if s.position > here.position and not s.removed), None)
