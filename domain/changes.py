"""What a verb decided for one recipient: from what to what, why, and what opens or ends with it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.rules.actor import Actor
from domain.rules.event_types import EventType
from domain.rules.plan import StepKind
from domain.rules.recipient import Recipient
from domain.rules.tally import NOBODY, Outcomes, difference


@dataclass(frozen=True, slots=True, kw_only=True)
class NewError:
    id: UUID
    code: str
    detail: str | None = None
    message_id: UUID | None = None
    mailbox_id: UUID | None = None
    # When what it was judged on was read; the time of the transaction when left out. What changed after it may have
    # cleared the cause.
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPending:
    id: UUID
    step_id: UUID
    kind: StepKind
    subject: str | None = None
    body: str | None = None
    task_kind: str | None = None
    task_title: str | None = None
    task_notes: str | None = None
    assignee_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one recipient becomes, and why."""

    before: Recipient
    after: Recipient
    type: EventType
    actor: Actor
    step_id: UUID | None = None
    message_id: UUID | None = None
    done: str | None = None  # "CARRIED_OUT" or "SKIPPED": the outcome of step_id
    done_at: datetime | None = None  # None: now
    opens: NewError | None = None
    puts: NewPending | None = None
    completes: bool = False  # a person completed the pending task
    note: str | None = None  # written by whoever completed the task
    # The revision of the sequence that this was decided on. Given when the words of a step were read for it.
    seen_revision: int | None = None

    @property
    def decided_on(self) -> int | None:
        """The revision that the sequence must still have: it goes to a step, or took words, as of that revision."""
        moves = self.after.current_step_id not in (None, self.before.current_step_id)
        return self.after.plan_revision if moves else self.seen_revision

    @property
    def goes_back(self) -> bool:
        """A failed delivery takes the recipient back to a step that counted as done."""
        return self.opens is not None and self.after.current_step_id != self.before.current_step_id

    def outcomes_after(self, now: datetime) -> Outcomes:
        """Return what became of its steps once this is written."""
        outcomes = dict(self.before.outcomes)
        if self.done is not None and self.step_id is not None:
            outcomes[self.step_id] = (self.done, self.done_at or now)
        if self.goes_back and self.after.current_step_id is not None:
            outcomes.pop(self.after.current_step_id, None)
        return outcomes

    def counted(self, now: datetime) -> str | None:
        """Return what it adds to the counters of the reports and takes from them."""
        return difference(self.before, self.before.outcomes, self.after, self.outcomes_after(now))

    @property
    def mailbox_left(self) -> UUID | None:
        """The mailbox it is counted with no more; None: it keeps its own."""
        return None if self.before.mailbox_id == self.after.mailbox_id else self.before.mailbox_id or NOBODY
