"""What hangs on a recipient, as plain rows: messages, errors and pending actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.rules.ids import Prefix, to_public
from domain.rules.plan import StepKind
from domain.rules.text_messages import segments


@dataclass(frozen=True, slots=True)
class MessageRow:
    type_name: ClassVar[str] = "Message"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "recipient_id", "step_id", "direction", "channel", "state", "classification", "subject", "text"),
        *("html", "from_address", "to_address", "at", "created_at", "quoted_text", "delivery", "delivery_at"),
    )

    key: UUID
    recipient_key: UUID
    step_key: UUID | None
    direction: str
    channel: str
    state: str
    classification: str | None
    subject: str | None
    text: str | None
    html: str | None
    from_: str | None
    to_address: str | None
    happened_at: datetime | None
    created_at: datetime
    quoted_text: str | None
    delivery: str | None
    delivery_at: datetime | None

    @property
    def segments(self) -> int | None:
        """Return in how many parts a text message goes; None for an email, and for one whose text was erased."""
        return segments(self.text) if self.channel == "SMS" and self.text is not None else None

    @property
    def id(self) -> str:
        return to_public(Prefix.MESSAGE, self.key)

    @property
    def to(self) -> Sequence[str]:
        return [self.to_address] if self.to_address else []

    @property
    def at(self) -> datetime:
        return self.happened_at or self.created_at


@dataclass(frozen=True, slots=True)
class SuggestedFix:
    """What to do about a problem."""

    code: str
    message: str
    target_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepErrorRow:
    type_name: ClassVar[str] = "StepError"

    key: UUID
    recipient_key: UUID
    step_key: UUID | None
    code: str
    message: str
    suggested_fix: SuggestedFix
    available_actions: Sequence[str]
    occurred_at: datetime
    resolved_at: datetime | None
    cause_gone_at: datetime | None
    auto_retry_at: None = None  # what Relance tries again by itself waits, and is no error

    @property
    def id(self) -> str:
        return to_public(Prefix.STEP_ERROR, self.key)


@dataclass(frozen=True, slots=True)
class GroupRetryRow:
    """How far the last retry of a group has come."""

    asked_at: datetime
    matched: int
    retried: int
    refused: int
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroupRow:
    type_name: ClassVar[str] = "ErrorGroup"

    key: UUID
    code: str
    message: str
    count: int
    newest_at: datetime
    suggested_fix: SuggestedFix
    target_prefix: Prefix | None
    target_key: UUID | None
    retry: GroupRetryRow | None

    @property
    def id(self) -> str:
        return to_public(Prefix.ERROR_GROUP, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingActionRow:
    type_name: ClassVar[str] = "PendingAction"

    key: UUID
    recipient_key: UUID
    step_key: UUID
    kind: StepKind
    subject: str | None
    body: str | None
    task_kind: str | None
    task_title: str | None
    task_notes: str | None
    note: str | None
    due_since: datetime
    scheduled_for: datetime | None
    available_actions: Sequence[str]
    closed_at: datetime | None
    actor_kind: str | None
    actor_key: UUID | None
    outcome: str | None
    assignee_key: UUID | None
    version: int

    @property
    def id(self) -> str:
        return to_public(Prefix.PENDING_ACTION, self.key)
