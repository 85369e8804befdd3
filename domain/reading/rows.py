"""What is read: plain rows. Their attributes are what a screen asks for; computing is left to the rules.

Keys (`key`, `contact_key`) are the database's; `id` is the outside form, made when it is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson

from domain.plans import SequenceSettings
from domain.reading.history_rows import PendingActionRow
from domain.rules.dkim import record_name, record_value
from domain.rules.guardrails import FROM_MAILBOX, Hold
from domain.rules.holidays import PublicHolidays
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Action, EndReason, Stage, Status, available_actions
from domain.rules.plan import SequenceStatus, StepKind
from domain.rules.standing import ActionAvailability, PausedBy, View, WaitingReason, actions_of
from domain.rules.timing import Wait, WaitUnit

_WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


@dataclass(frozen=True, slots=True)
class ContactRow:
    type_name: ClassVar[str] = "Contact"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "external_id", "email", "phone", "first_name", "last_name", "company", "time_zone"),
        *("custom_fields", "email_bounced_at", "out_of_office_until", "created_at"),
    )

    key: UUID
    external_id: str | None
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None
    company: str | None
    time_zone: str | None
    custom_fields: str  # JSON as it is stored
    email_bounced_at: datetime | None
    out_of_office_until: datetime | None
    created_at: datetime

    @property
    def id(self) -> str:
        return to_public(Prefix.CONTACT, self.key)

    @property
    def fields(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = orjson.loads(self.custom_fields)
        return found


@dataclass(frozen=True, slots=True)
class MailboxRow:
    type_name: ClassVar[str] = "Mailbox"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "address", "display_name", "state", "state_code", "state_message", "daily_limit"),
        *("minimum_gap_seconds", "created_at", "ramp_up_start", "ramp_up_step", "ramp_up_started_at"),
        *("domain_gap_seconds", "dkim_domain", "dkim_selector", "dkim_public_key", "guardrail_hold"),
        *("channel", "sms_api_url", "sms_account"),
    )

    key: UUID
    address: str
    display_name: str | None
    state: str
    state_code: str | None
    state_words: str | None
    daily_limit: int
    minimum_gap_seconds: int
    created_at: datetime
    ramp_up_start: int | None
    ramp_up_step: int | None
    ramp_up_started_at: datetime | None
    domain_gap_seconds: int
    dkim_domain: str | None
    dkim_selector: str | None
    dkim_public_key: str | None
    guardrail_hold: str | None  # JSON as it is stored
    channel: str
    sms_api_url: str | None
    sms_account: str | None

    @property
    def id(self) -> str:
        return to_public(Prefix.MAILBOX, self.key)

    @property
    def state_message(self) -> str | None:
        if self.state == "HELD" and self.guardrail_hold is not None:
            return Hold.from_json(orjson.loads(self.guardrail_hold)).message(FROM_MAILBOX)
        return self.state_words

    @property
    def ramp_up(self) -> "RampUpView | None":
        if self.ramp_up_start is None or self.ramp_up_step is None or self.ramp_up_started_at is None:
            return None
        return RampUpView(self.ramp_up_start, self.ramp_up_step, self.ramp_up_started_at)

    @property
    def dkim_key(self) -> "DkimKeyView | None":
        if self.dkim_domain is None or self.dkim_selector is None or self.dkim_public_key is None:
            return None
        return DkimKeyView(
            self.dkim_domain,
            self.dkim_selector,
            record_name(self.dkim_domain, self.dkim_selector),
            record_value(self.dkim_public_key),
        )


@dataclass(frozen=True, slots=True)
class DkimKeyView:
    """The public half of the key with which a mailbox signs, as it is published."""

    domain: str
    selector: str
    record_name: str
    record_value: str


@dataclass(frozen=True, slots=True)
class RampUpView:
    """The slow start of a mailbox."""

    start: int
    step: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class WindowView:
    """A sending window in the words of a screen."""

    weekdays: Sequence[str]
    opens: str
    closes: str
    time_zone: str
    use_recipient_time_zone: bool
    blackout_dates: Sequence[str]
    public_holidays: "PublicHolidaysView | None"


@dataclass(frozen=True, slots=True)
class PublicHolidaysView:
    """The public holidays that a window keeps, in the words of a screen."""

    country: str
    subdivision: str | None
    dates: "Sequence[HolidayView]"


@dataclass(frozen=True, slots=True)
class HolidayView:
    """One public holiday."""

    date: str
    name: str


@dataclass(frozen=True, slots=True)
class SettingsView:
    """A sequence's settings in the words of a screen."""

    time_zone: str
    window: WindowView | None
    stop_on_reply: bool
    stop_on_company_reply: bool
    reenrolment: str
    reenrolment_days: int
    exclusive: bool
    on_unconfirmed_delivery: str


@dataclass(frozen=True, slots=True)
class SequenceRow:
    type_name: ClassVar[str] = "Sequence"
    COLUMNS: ClassVar[tuple[str, ...]] = ("id", "external_id", "name", "status", "settings", "created_at")

    key: UUID
    external_id: str | None
    name: str
    status: SequenceStatus
    stored_settings: str  # JSON as it is stored
    created_at: datetime

    @property
    def id(self) -> str:
        return to_public(Prefix.SEQUENCE, self.key)

    @property
    def settings(self) -> SettingsView:
        found = SequenceSettings.from_json(self.stored_settings)
        window = None
        if found.window is not None:
            stored: dict[str, Any] = found.window.as_json()
            words = {"weekdays": [_WEEKDAYS[day] for day in stored["weekdays"]]}
            window = WindowView(**stored | words | {"public_holidays": _holidays(found.window.public_holidays)})
        return SettingsView(
            found.time_zone,
            window,
            found.stop_on_reply,
            found.stop_on_company_reply,
            found.reenrolment,
            found.reenrolment_days,
            found.exclusive,
            found.on_unconfirmed_delivery,
        )


def _holidays(kept: PublicHolidays | None) -> PublicHolidaysView | None:
    if kept is None:
        return None
    days = [HolidayView(day.isoformat(), name) for day, name in sorted(kept.names.items())]
    return PublicHolidaysView(kept.country, kept.subdivision, days)


@dataclass(frozen=True, slots=True)
class StepRow:
    type_name: ClassVar[str] = "Step"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "sequence_id", "position", "kind", "wait_amount", "wait_unit", "subject", "body", "task_kind"),
        *("task_title", "task_notes", "send_as_reply", "removed_at"),
    )

    key: UUID
    sequence_key: UUID
    position: int
    kind: StepKind
    wait_amount: int
    wait_unit: WaitUnit
    subject: str | None
    body: str | None
    task_kind: str | None
    task_title: str | None
    task_notes: str | None
    send_as_reply: bool
    removed_at: datetime | None

    @property
    def id(self) -> str:
        return to_public(Prefix.STEP, self.key)

    @property
    def wait(self) -> Wait:
        return Wait(self.wait_amount, WaitUnit(self.wait_unit))


@dataclass(frozen=True, slots=True)
class RecipientStepRow:
    """One step as it is for one recipient."""

    step: StepRow
    state: str
    subject: str | None
    body: str | None
    task_title: str | None
    task_notes: str | None
    edited: bool
    editable: bool
    planned_for: datetime | None
    carried_out_at: datetime | None
    message_key: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRow:
    """One recipient as it is at the moment of reading. What was not wanted is None."""

    type_name: ClassVar[str] = "Recipient"

    key: UUID
    external_id: str | None
    status: Status  # with the pause of the sequence, whether or not the row has followed it yet
    sequence_paused: bool
    stage: Stage
    end_reason: EndReason | None
    paused_by_recipient: bool
    paused_by: PausedBy | None
    version: int
    opens: View | None
    contact_key: UUID
    sequence_key: UUID
    current_step_key: UUID | None
    actor_kind: str
    actor_key: UUID | None
    enrolled_at: datetime
    status_changed_at: datetime
    updated_at: datetime
    replied_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    sort_name: str
    status_message: str | None = None
    waiting_reason: WaitingReason | None = None
    next_attempt_at: datetime | None = None
    contact: ContactRow | None = None
    sequence: SequenceRow | None = None
    mailbox: MailboxRow | None = None
    sms_mailbox: MailboxRow | None = None
    current_step: StepRow | None = None
    next_step: StepRow | None = None
    pending_action: PendingActionRow | None = None
    steps: Sequence[RecipientStepRow] = ()

    @property
    def id(self) -> str:
        return to_public(Prefix.RECIPIENT, self.key)

    @property
    def needs_attention(self) -> bool:
        return self.status is Status.PENDING_ACTION or self.status is Status.ERROR

    @property
    def available_actions(self) -> Sequence[Action]:
        return available_actions(self.status, sequence_paused=self.sequence_paused)

    @property
    def actions(self) -> Sequence[ActionAvailability]:
        return actions_of(self.status, self.sequence_paused)


@dataclass(frozen=True, slots=True)
class ActorRow:
    """Who did something, by the name it has now."""

    kind: str
    id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class StatusCount:
    status: Status
    count: int


@dataclass(frozen=True, slots=True)
class StageCount:
    stage: Stage
    count: int


@dataclass(frozen=True, slots=True)
class MailboxUse:
    """How a mailbox is used at the moment, and may be."""

    limit_now: int
    sent_last_24_hours: int
    waiting_recipients: int
    read: bool  # whether it has an IMAP server
    read_at: datetime | None
    reading_problem_code: str | None
    reading_problem_words: str | None


@dataclass(frozen=True, slots=True)
class AddressStanding:
    """What is known about writing to a contact."""

    email_state: str
    suppressed: bool
