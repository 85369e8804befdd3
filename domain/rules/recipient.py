"""One recipient as facts.

Every verb is: read the row, change facts by one of the moves (`moves`, `holds`, `following`), write it back guarded by
its version. Each move ends in `timers.settle`, which puts the timers in step with the facts.

Three facts hold the wait before the current step:
    anchor_at      when the wait began (the step before was carried out), holds since then left out; None until it has
    wait_ends_at   when it ends; None while the clock stands
    wait_left      the rest of it while the clock stands
and `due_at` is when the step may be carried out: `wait_ends_at`, or what holds it longer (the other side's "later", the
pacing of its domain, the person's absence), moved into the sending window.

Two facts hold its place: `current_step_id`, and `last_step_id`, the step it went on from. `plan_revision` is the edit
of the sequence that these two and the wait are in step with (following.py).

Source: product.md sections 2 and 3; architecture.md "Facts, not memories".
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain.rules.lifecycle import (
    RESUME_THE_SEQUENCE,
    Action,
    EndReason,
    Facts,
    Stage,
    Status,
    available_actions,
    shown_status,
    stage_of,
    status_of,
)
from domain.rules.plan import Plan, StepKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """The facts of one recipient: exactly the columns that the one writer writes, and the keys."""

    id: UUID
    workspace_id: UUID
    sequence_id: UUID
    contact_id: UUID
    version: int
    time_zone: str | None  # the contact's
    out_of_office_until: datetime | None = None  # the contact's: nothing goes out by itself before
    mailbox_id: UUID | None
    sms_mailbox_id: UUID | None = None
    end_reason: EndReason | None = None
    ended_at: datetime | None = None
    paused_at: datetime | None = None  # held by a person, for this recipient
    sequence_paused_at: datetime | None = None  # held by the pause of the sequence
    error_id: UUID | None = None  # the open step error
    pending_id: UUID | None = None  # the open pending action
    # The time a person chose for a pending email, which may be now: it is then not pending, it goes out by itself.
    scheduled_for: datetime | None = None
    begun: bool = False
    current_step_id: UUID | None = None
    last_step_id: UUID | None = None  # its last done step; for one that has done none, the step before its first
    plan_revision: int = 0
    done: Set[UUID] = frozenset()  # the steps carried out or skipped; read, never written
    # Likewise, with what became of them (CARRIED_OUT or SKIPPED) and when.
    outcomes: Mapping[UUID, tuple[str, datetime]] = field(default_factory=dict, compare=False)
    left_step_id: UUID | None = None  # at which it was when it ended
    bounced_step_id: UUID | None = None  # whose message bounced
    enrolled_at: datetime | None = None  # read, never written
    # Rises when a step is tried again as a new message, and never falls: whatever step the recipient goes back to,
    # its next message is a new one.
    step_run: int = 1
    start_at: datetime | None = None  # no wait begins before
    anchor_at: datetime | None = None
    wait_ends_at: datetime | None = None
    wait_left: timedelta | None = None
    due_at: datetime | None = None
    due_kind: StepKind | None = None  # which queue it waits in; set exactly while due_at is
    retry_at: datetime | None = None  # a hand-over was refused for now; tried again then
    paced_until: datetime | None = None  # the turn of the domain that it goes to comes then, or the person's
    frequency_capped: bool = False  # it is the person's: written to often enough until then
    contacted_at: datetime | None = None  # the first email or SMS was sent
    replied_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def facts(self) -> Facts:
        return Facts(
            end_reason=self.end_reason,
            paused_by_recipient=self.paused_at is not None,
            paused_by_sequence=self.sequence_paused_at is not None,
            error_open=self.error_id is not None,
            action_pending=self.pending_id is not None and self.scheduled_for is None,
            begun=self.begun,
        )

    @property
    def status(self) -> Status:
        return status_of(self.facts)

    @property
    def stage(self) -> Stage:
        return stage_of(self.status, contacted=self.contacted_at is not None)

    @property
    def held_since(self) -> datetime | None:
        """The time of the first of the two holds; None while it is not held."""
        return min((at for at in (self.paused_at, self.sequence_paused_at) if at is not None), default=None)

    @property
    def held(self) -> bool:
        return self.held_since is not None

    @property
    def ended(self) -> bool:
        return self.end_reason is not None


def why_held(recipient: Recipient, plan: Plan, way_out: str = "Resume it first.") -> str | None:
    """Return why nothing can be done about what waits for the recipient, with the way out; None: it is not held."""
    if plan.paused:
        return RESUME_THE_SEQUENCE
    if recipient.paused_at is not None:
        return f"It is paused. {way_out}"
    return "Its sequence goes on just now. Try again in a moment." if recipient.held else None


def present(recipient: Recipient, plan: Plan) -> tuple[Status, tuple[Action, ...]]:
    """Return what a refusal says: the status as it is shown, and what is available."""
    return (
        shown_status(recipient.status, sequence_paused=plan.paused),
        available_actions(recipient.status, sequence_paused=plan.paused),
    )
