"""Nested lists and far relations, many at a time: one statement for all of a page, whatever its length.

A loader belongs to what it reads and to the arguments (and wanted relations) of the field: fields with equal
arguments share it. Rows stand for the types whose attributes they have.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from strawberry.dataloader import DataLoader

from api.connections import Connection, to_slice
from api.filters import counted_filter, recipient_filter, recipient_order, step_error_filter
from api.selections import counted, wanted, wanted_of_page
from domain import feed, settling
from domain.reading import (
    actors,
    bulk,
    contacts,
    error_groups,
    events,
    guardrails,
    mailboxes,
    messages,
    pending_actions,
    recipients,
    schedules,
    sequences,
    step_errors,
    users,
    webhooks,
)
from domain.reading.pages import Page
from domain.rules.ids import Prefix

if TYPE_CHECKING:
    from api.context import Info

_TARGETS: Final = {
    Prefix.MAILBOX: mailboxes.by_ids,
    Prefix.STEP: sequences.steps_by_ids,
    Prefix.SEQUENCE: sequences.by_ids,
}
Load = Callable[[list[Any]], Awaitable[Sequence[Any]]]


class Loaders:
    """The loaders of one operation of one workspace."""

    def __init__(self, workspace_id: UUID) -> None:
        self._workspace_id = workspace_id
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}

    def forget(self) -> None:
        """Read everything afresh from now on: something was written."""
        self._loaders.clear()

    async def _load(self, name: Hashable, key: Any, load: Load) -> Any:
        loader = self._loaders.get(name)
        if loader is None:

            async def batch(keys: list[Any]) -> list[Any]:
                return list(await load(keys))

            loader = self._loaders[name] = DataLoader(load_fn=batch)
        return await loader.load(key)

    async def _found(self, name: Hashable, key: UUID | None, verb: Callable[..., Awaitable[Any]], **more: Any) -> Any:
        """Return what a verb finds by this key; None where it finds nothing."""
        if key is None:
            return None

        async def load(keys: list[UUID]) -> list[Any]:
            found = await verb(self._workspace_id, keys, **more)
            return [found.get(key) for key in keys]

        return await self._load(name, key, load)

    # ---- far relations

    async def recipient_of(self, info: "Info", row: Any) -> Any:
        wants = wanted(info, "")
        return await self._found(("recipient", wants), row.recipient_key, recipients.by_ids, wants=wants)

    async def schedule_of(self, row: Any) -> Any:
        return await self._found("schedule", row.key, schedules.of_recipients)

    async def step_of(self, row: Any) -> Any:
        return await self._found("step", row.step_key, sequences.steps_by_ids)

    async def sequence_of(self, row: Any) -> Any:
        return await self._found("sequence", row.sequence_key, sequences.by_ids)

    async def mailbox_of(self, row: Any) -> Any:
        return await self._found("mailbox", row.mailbox_key, mailboxes.by_ids)

    async def message_of(self, row: Any) -> Any:
        return await self._found("message", row.message_key, messages.by_ids)

    async def step_error_of(self, row: Any) -> Any:
        return await self._found("step_error", row.step_error_key, step_errors.by_ids)

    async def contact_of(self, row: Any) -> Any:
        return await self._found("contact", row.contact_key, contacts.by_ids)

    async def user_of(self, key: UUID | None) -> Any:
        return await self._found("user", key, users.by_ids)

    async def endpoint_of(self, row: Any) -> Any:
        return await self._found("endpoint", row.endpoint_key, webhooks.endpoints_by_ids)

    async def attempts_of(self, row: Any) -> Any:
        return await self._found("attempts", row.key, webhooks.attempts)

    async def assignee_of(self, row: Any) -> Any:
        return await self.user_of(row.assignee_key)

    async def pending_action_of(self, row: Any) -> Any:
        return await self._found("pending_action", row.pending_key, pending_actions.by_ids)

    async def target_of(self, row: Any) -> Any:
        """Return what the errors of a group have in common."""
        if row.target_prefix is None:
            return None
        return await self._found(("target", row.target_prefix), row.target_key, _TARGETS[row.target_prefix])

    async def error_group_of(self, row: Any) -> Any:
        return await self._found("error_group", row.cause_key, error_groups.by_ids)

    async def retryable_of_group(self, row: Any) -> Any:
        return await self._found("retryable", row.key, error_groups.retryable)

    async def bulk_operation_of(self, row: Any) -> Any:
        return await self._found("bulk_operation", row.bulk_operation_key, bulk.by_ids)

    async def summary_of_bulk_operation(self, row: Any) -> Any:
        async def load(keys: list[Any]) -> list[str]:
            return await bulk.summaries(self._workspace_id, keys)

        return await self._load("bulk_summary", row, load)

    async def refusals_of_bulk_operation(self, info: "Info", row: Any, first: int | None, after: str | None) -> Any:
        return await self._nested(info, "refusals", row, first, after, bulk.refusals_of)

    async def actor_of(self, row: Any) -> Any:
        if row.actor_kind is None:
            return None

        async def load(keys: list[Any]) -> list[Any]:
            found = await actors.named(self._workspace_id, keys)
            return [found[key] for key in keys]

        return await self._load("actor", (row.actor_kind, row.actor_key), load)

    async def standing_of_contact(self, row: Any) -> Any:
        return await self._found("standing", row.key, contacts.standing)

    async def use_of_mailbox(self, row: Any) -> Any:
        return await self._found("use", row.key, mailboxes.use)

    async def guardrail_of_mailbox(self, row: Any) -> Any:
        return await self._found("guardrail_of_mailbox", row.key, guardrails.of_mailboxes)

    async def guardrail_of_sequence(self, row: Any) -> Any:
        return await self._found("guardrail_of_sequence", row.key, guardrails.of_sequences)

    async def steps_of_sequence(self, row: Any) -> Any:
        return await self._found("steps", row.key, sequences.steps)

    async def mailboxes_of_sequence(self, row: Any) -> Any:
        return await self._found("mailboxes", row.key, sequences.mailboxes)

    async def remaining_of_sequence(self, row: Any) -> Any:
        return await self._found("remaining", row.key, settling.remaining)

    async def counts_of_sequence(self, row: Any) -> Any:
        return await self._found("counts", row.key, sequences.counts)

    # ---- nested lists

    async def recipients_of_sequence(
        self, info: "Info", row: Any, first: int | None, after: str | None, filter: Any, order_by: Any
    ) -> Any:
        return await self._recipients(info, "sequence", row, first, after, filter, order_by)

    async def recipients_of_contact(
        self, info: "Info", row: Any, first: int | None, after: str | None, filter: Any
    ) -> Any:
        return await self._recipients(info, "contact", row, first, after, filter, None)

    async def recipients_of_error_group(self, info: "Info", row: Any, first: int | None, after: str | None) -> Any:
        return await self._recipients(info, "error_group", row, first, after, None, None)

    async def _recipients(
        self, info: "Info", owner: str, row: Any, first: int | None, after: str | None, given: Any, order_by: Any
    ) -> Any:
        slice_ = to_slice(first, after)
        order = recipient_order(order_by)
        kept = recipient_filter(given)
        wants = wanted_of_page(info)
        page_wants = wanted(info, "")
        # The feed's place is read before the page: page and events together then miss nothing.
        cursor = await self._events_cursor() if "events_cursor" in page_wants else None

        async def load(keys: list[UUID]) -> Sequence[Page[Any]]:
            return await recipients.pages_by_owner(
                self._workspace_id, owner, keys, filter=kept, order=order, slice=slice_, wants=wants
            )

        name = ("recipients", owner, slice_, order.mark, repr(kept), wants)
        connection = Connection(await self._load(name, row.key, load), events_cursor=cursor)
        if page_wants & {"status_counts", "stage_counts"}:
            counts = await self._counts_of_owner(owner, row.key, counted_filter(kept))
            connection.status_counts, connection.stage_counts = counts.by_status, counts.by_stage
        return connection

    async def _events_cursor(self) -> Any:
        async def load(keys: list[UUID]) -> list[str]:
            head = await feed.state(self._workspace_id)
            return [head.cursor for _ in keys]

        return await self._load("events_cursor", self._workspace_id, load)

    async def _counts_of_owner(self, owner: str, key: UUID, kept: Any) -> Any:
        async def load(keys: list[UUID]) -> list[Any]:
            found = await sequences.counts_by_owner(self._workspace_id, owner, keys, kept)
            return [found[key] for key in keys]

        return await self._load(("counts", owner, repr(kept)), key, load)

    async def open_errors_of_recipient(self, info: "Info", row: Any, first: int | None, after: str | None) -> Any:
        return await self._step_errors(info, "recipient", row, first, after, step_errors.OPEN_ONES)

    async def step_errors_of_contact(
        self, info: "Info", row: Any, first: int | None, after: str | None, filter: Any
    ) -> Any:
        return await self._step_errors(info, "contact", row, first, after, step_error_filter(filter))

    async def _step_errors(
        self, info: "Info", owner: str, row: Any, first: int | None, after: str | None, kept: Any
    ) -> Any:
        slice_ = to_slice(first, after)
        counts = counted(info)

        async def load(keys: list[UUID]) -> Sequence[Page[Any]]:
            return await step_errors.pages_of(
                self._workspace_id, owner, keys, filter=kept, slice=slice_, counted=counts
            )

        return Connection(await self._load(("errors", owner, slice_, repr(kept), counts), row.key, load))

    async def messages_of_recipient(self, info: "Info", row: Any, first: int | None, after: str | None) -> Any:
        return await self._nested(info, "messages_of_recipient", row, first, after, messages.pages_of_recipients)

    async def messages_of_contact(self, info: "Info", row: Any, first: int | None, after: str | None) -> Any:
        return await self._nested(info, "messages_of_contact", row, first, after, messages.pages_of_contacts)

    async def events_of_recipient(self, info: "Info", row: Any, first: int | None, after: str | None) -> Any:
        return await self._nested(info, "events_of_recipient", row, first, after, events.pages_of_recipients)

    async def _nested(
        self,
        info: "Info",
        name: str,
        row: Any,
        first: int | None,
        after: str | None,
        verb: Callable[..., Awaitable[Sequence[Any]]],
    ) -> Any:
        slice_ = to_slice(first, after)
        counts = counted(info)

        async def load(keys: list[UUID]) -> Sequence[Any]:
            return await verb(self._workspace_id, keys, slice=slice_, counted=counts)

        return Connection(await self._load((name, slice_, counts), row.key, load))
