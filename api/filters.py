"""Filters and orders as callers give them, as the engine takes them."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import strawberry

from api.connections import to_key
from api.types.inputs import (
    ContactFilter,
    DateTimeFilter,
    PendingActionFilter,
    RecipientFilter,
    RecipientOrder,
    SequenceFilter,
    StepErrorFilter,
    StepOutcomeFilter,
)
from api.types.webhooks import WebhookDeliveryFilter
from domain.reading import contacts, filters, pending_actions, recipients, sequences, step_errors, webhooks
from domain.reading.pages import Order
from domain.refusals import Invalid
from domain.rules.ids import Prefix, to_public
from domain.rules.lifecycle import Stage, Status

T = TypeVar("T", covariant=True)
V = TypeVar("V")


class _Comparison(Protocol[T]):
    @property
    def eq(self) -> T | None: ...
    @property
    def in_(self) -> Sequence[T] | None: ...
    @property
    def not_in(self) -> Sequence[T] | None: ...


def recipient_filter(given: RecipientFilter | None, depth: int = 1) -> filters.RecipientFilter:
    """Return the filter as the engine takes it.

    Raises:
        Invalid: an id is malformed, or it is nested too deeply.
    """
    if given is None:
        return filters.EVERYTHING
    if depth > filters.DEPTH:
        raise Invalid(f"The filter is nested more than {filters.DEPTH} deep. Make it flatter.", field=["filter"])
    below = depth + 1
    return filters.RecipientFilter(
        ids=_keys(given.ids, Prefix.RECIPIENT, "ids"),
        statuses=_chosen(given.status, Status),
        stages=_chosen(given.stage, Stage),
        end_reasons=given.end_reason,
        paused_by=given.paused_by,
        waiting_reasons=given.waiting_reason,
        error_codes=given.error_code,
        available_action=given.available_action,
        needs_attention=given.needs_attention,
        sequence_id=_key(given.sequence_id, Prefix.SEQUENCE, "sequenceId"),
        mailbox_id=_key(given.mailbox_id, Prefix.MAILBOX, "mailboxId"),
        contact_id=_key(given.contact_id, Prefix.CONTACT, "contactId"),
        step_id=_key(given.step_id, Prefix.STEP, "stepId"),
        step_outcome=_step_outcome(given.step_outcome),
        enrolled_at=_compared(given.enrolled_at),
        updated_at=_compared(given.updated_at),
        due_at=_compared(given.next_attempt_at),
        replied_at=_compared(given.replied_at),
        contacted_at=_compared(given.contacted_at),
        ended_at=_compared(given.ended_at),
        search=given.search,
        all_of=[recipient_filter(part, below) for part in given.and_ or ()],
        any_of=None if given.or_ is None else [recipient_filter(part, below) for part in given.or_],
        none_of=None if given.not_ is None else recipient_filter(given.not_, below),
    )


def _step_outcome(given: StepOutcomeFilter | None) -> filters.StepOutcomes | None:
    if given is None:
        return None
    return filters.StepOutcomes(to_key(given.step_id, Prefix.STEP, "stepId"), given.in_, _compared(given.at))


def given_filter(kept: filters.RecipientFilter) -> dict[str, Any]:
    """Return a filter as a caller would give it: what `recipient_filter` takes for this one.

    Of what reports filter by; what they do not is not written.
    """
    was = kept.step_outcome
    given = {
        "sequenceId": _public(Prefix.SEQUENCE, kept.sequence_id),
        "mailboxId": _public(Prefix.MAILBOX, kept.mailbox_id),
        "status": None if kept.statuses is None else {"in": [str(status) for status in kept.statuses]},
        "stage": None if kept.stages is None else {"in": [str(stage) for stage in kept.stages]},
        "stepOutcome": None
        if was is None
        else {"stepId": _public(Prefix.STEP, was.step_id), "in": [str(outcome) for outcome in was.outcomes]},
        "enrolledAt": _comparison(kept.enrolled_at),
        "repliedAt": _comparison(kept.replied_at),
        "contactedAt": _comparison(kept.contacted_at),
        "endedAt": _comparison(kept.ended_at),
    }
    return {name: value for name, value in given.items() if value is not None}


def _public(prefix: Prefix, key: UUID | None) -> str | None:
    return None if key is None else to_public(prefix, key)


def _comparison(asked: filters.Compared | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    given = {name: None if at is None else at.isoformat() for name, at in (("gte", asked.gte), ("lt", asked.lt))}
    return {name: value for name, value in {**given, "isNull": asked.is_null}.items() if value is not None}


def counted_filter(kept: filters.RecipientFilter) -> filters.RecipientFilter:
    """Return the filter without its status and stage parts: what the counts beside a page count."""
    return replace(kept, statuses=None, stages=None)


def recipient_order(given: RecipientOrder | None) -> Order:
    """Return the order; newest enrolment first where none is given."""
    return recipients.NEWEST_FIRST if given is None else recipients.ORDERS[f"{given.field}_{given.direction}"]


def sequence_filter(given: SequenceFilter | None) -> sequences.SequenceFilter:
    if given is None:
        return sequences.SequenceFilter()
    return sequences.SequenceFilter(
        ids=_keys(given.ids, Prefix.SEQUENCE, "ids"),
        external_ids=given.external_ids,
        statuses=given.status,
        search=given.search,
    )


def contact_filter(given: ContactFilter | None) -> contacts.ContactFilter:
    if given is None:
        return contacts.ContactFilter()
    return contacts.ContactFilter(
        ids=_keys(given.ids, Prefix.CONTACT, "ids"),
        external_ids=given.external_ids,
        email=given.email,
        search=given.search,
    )


def step_error_filter(given: StepErrorFilter | None) -> step_errors.StepErrorFilter:
    if given is None:
        return step_errors.StepErrorFilter()
    return step_errors.StepErrorFilter(
        recipient_id=_key(given.recipient_id, Prefix.RECIPIENT, "recipientId"),
        contact_id=_key(given.contact_id, Prefix.CONTACT, "contactId"),
        sequence_id=_key(given.sequence_id, Prefix.SEQUENCE, "sequenceId"),
        mailbox_id=_key(given.mailbox_id, Prefix.MAILBOX, "mailboxId"),
        codes=given.codes,
        open=given.open,
    )


def pending_action_filter(given: PendingActionFilter | None) -> pending_actions.PendingActionFilter:
    if given is None:
        return pending_actions.PendingActionFilter()
    return pending_actions.PendingActionFilter(
        recipient_id=_key(given.recipient_id, Prefix.RECIPIENT, "recipientId"),
        sequence_id=_key(given.sequence_id, Prefix.SEQUENCE, "sequenceId"),
        kinds=given.kinds,
        assignee_id=_key(given.assignee_id, Prefix.USER, "assigneeId"),
        assigned=given.assigned,
        due_since=_compared(given.due_since),
        scheduled=given.scheduled,
        open=True if given.open is None else given.open,
    )


def _key(text: strawberry.ID | None, prefix: Prefix, field: str) -> UUID | None:
    return None if text is None else to_key(text, prefix, field)


def _keys(texts: Sequence[strawberry.ID] | None, prefix: Prefix, field: str) -> Collection[UUID] | None:
    return None if texts is None else [to_key(text, prefix, field) for text in texts]


def _chosen(given: _Comparison[V] | None, everything: type[V]) -> Collection[V] | None:
    if given is None:
        return None
    chosen: set[V] = set(everything)  # type: ignore[call-overload]
    if given.eq is not None:
        chosen &= {given.eq}
    if given.in_ is not None:
        chosen &= set(given.in_)
    if given.not_in is not None:
        chosen -= set(given.not_in)
    return chosen


def _compared(given: DateTimeFilter | None) -> filters.Compared | None:
    if given is None:
        return None
    return filters.Compared(
        eq=_instant(given.eq),
        gt=_instant(given.gt),
        gte=_instant(given.gte),
        lt=_instant(given.lt),
        lte=_instant(given.lte),
        is_null=given.is_null,
    )


def _instant(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise Invalid("A time needs its zone, such as 2026-11-24T09:00:00Z.", field=["filter"])
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Invalid("A time is of the years 1 to 9999.", field=["filter"]) from None


def webhook_delivery_filter(given: WebhookDeliveryFilter | None) -> webhooks.WebhookDeliveryFilter:
    """Return which deliveries are meant.

    Raises:
        Invalid: an id is not one.
    """
    if given is None:
        return webhooks.WebhookDeliveryFilter()
    endpoint = given.endpoint_id
    return webhooks.WebhookDeliveryFilter(
        endpoint_id=None if endpoint is None else to_key(endpoint, Prefix.WEBHOOK_ENDPOINT, "endpointId"),
        states=None if given.states is None else [state.value for state in given.states],
    )
