"""The queries: each names the verb, calls it with the caller's workspace, and wraps the page."""

from datetime import datetime
from typing import Annotated, Any, Final, cast

import strawberry

from api.connections import Connection, connection, to_key, to_slice
from api.context import Info
from api.declaring import query
from api.filters import (
    contact_filter,
    counted_filter,
    pending_action_filter,
    recipient_filter,
    recipient_order,
    sequence_filter,
    step_error_filter,
    webhook_delivery_filter,
)
from api.holiday_calendars import HolidayCalendarQueries
from api.nodes import by_public_ids
from api.previews import PreviewQueries
from api.selections import counted, wanted, wanted_of_page
from api.types.actors import Actor, ApiKey, Viewer, Workspace
from api.types.audit import AuditEntryConnection
from api.types.bulk import BulkOperationConnection
from api.types.contacts import Contact, ContactConnection
from api.types.error_groups import ErrorGroupConnection
from api.types.events import RecipientEventConnection
from api.types.inputs import (
    ContactFilter,
    PendingActionFilter,
    RecipientFilter,
    RecipientOrder,
    SequenceFilter,
    StepErrorFilter,
)
from api.types.limits import RateLimit
from api.types.mailboxes import MailboxConnection
from api.types.node import After, Before, First, Last, Node
from api.types.pending_actions import PendingActionConnection
from api.types.recipients import Recipient, RecipientConnection
from api.types.reports import Report
from api.types.schedules import Schedule
from api.types.sequences import SequenceConnection
from api.types.step_errors import StepErrorConnection
from api.types.suppressions import SuppressionConnection
from api.types.users import UserConnection
from api.types.webhooks import WebhookDeliveryConnection, WebhookDeliveryFilter, WebhookEndpointConnection
from domain import feed, workspace_feed
from domain.reading import (
    audit,
    bulk,
    contacts,
    error_groups,
    events,
    mailboxes,
    pending_actions,
    recipients,
    reports,
    schedules,
    sequences,
    step_errors,
    suppressions,
    users,
    webhooks,
)
from domain.refusals import Invalid
from domain.rules.access import Scope, in_order
from domain.rules.actor import ActorKind
from domain.rules.ids import Prefix, to_public

NODES_AT_MOST: Final = 100
EVENTS_FIRST: Final = 100

_Id = Annotated[strawberry.ID, strawberry.argument(description="An id as the API returned it.")]
_Ids = Annotated[list[strawberry.ID], strawberry.argument(description="At most 100 ids.")]
_ExternalId = Annotated[str, strawberry.argument(description="The partner's own id, as it was given.")]
_RecipientFilter = Annotated[RecipientFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_RecipientOrder = Annotated[
    RecipientOrder | None, strawberry.argument(description="In which order; newest enrolment first when left out.")
]
_SequenceFilter = Annotated[SequenceFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_ContactFilter = Annotated[ContactFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_StepErrorFilter = Annotated[StepErrorFilter | None, strawberry.argument(description="Which ones; all when left out.")]
_PendingFilter = Annotated[
    PendingActionFilter | None, strawberry.argument(description="Which ones; the open ones when left out.")
]
_DeliveryFilter = Annotated[
    WebhookDeliveryFilter | None, strawberry.argument(description="Which ones; all when left out.")
]
_SuppressionSearch = Annotated[
    str | None,
    strawberry.argument(description="A piece of the address, domain, number or name; at most 200 characters."),
]
_IncludeLifted = Annotated[bool | None, strawberry.argument(description="Those that were lifted, too.")]
_EventsFirst = Annotated[int | None, strawberry.argument(description="How many: 0 to 200; 100 when left out.")]
_EventsAfter = Annotated[
    str | None,
    strawberry.argument(description="An `eventsCursor` or the `cursor` of an event; from the oldest when left out."),
]
_ObjectId = Annotated[strawberry.ID | None, strawberry.argument(description="The id of any object.")]
_PreviewedSequence = Annotated[strawberry.ID, strawberry.argument(description="The sequence.")]
_TimeZone = Annotated[
    str | None, strawberry.argument(description="The person's time zone, an IANA name; unknown when left out.")
]
_StartAt = Annotated[
    datetime | None, strawberry.argument(description="No wait begins before then. Left out: the first begins now.")
]
_StartStep = Annotated[
    strawberry.ID | None, strawberry.argument(description="The step at which the person starts; the first if left out.")
]
_ReportSequence = Annotated[
    strawberry.ID | None, strawberry.argument(description="Of this sequence; of all when left out.")
]
_ReportMailbox = Annotated[
    strawberry.ID | None,
    strawberry.argument(description="Of those written to from this mailbox; of all when left out."),
]
_EventsSequence = Annotated[strawberry.ID | None, strawberry.argument(description="Only those of this sequence.")]


@strawberry.type(description="Everything that can be read.")
class Query(PreviewQueries, HolidayCalendarQueries):
    @query(
        "Any object by its id. Null when there is none, or not in this workspace. A text that is not an "
        "id of this API is a BAD_USER_INPUT error: that is a mistake of the client, not a missing object.",
        scope=Scope.READ,
    )
    async def node(self, info: Info, id: _Id) -> Node | None:
        found: Node | None = (await by_public_ids(info, [id]))[0]
        return found

    @query("Many objects by their ids, in the order given; null for each that is not there.", scope=Scope.READ)
    async def nodes(self, info: Info, ids: _Ids) -> list[Node | None]:
        if len(ids) > NODES_AT_MOST:
            raise Invalid(f"`ids` takes at most {NODES_AT_MOST} ids; these are {len(ids)}.", field=["ids"])
        found: list[Node | None] = await by_public_ids(info, ids)
        return found

    @query("Who is calling.", scope=None)
    async def viewer(self, info: Info) -> Viewer | None:
        caller = info.context.caller
        kind, key = caller.actor.kind, caller.actor.id
        assert key is not None
        by_key, by_user = kind is ActorKind.API_KEY, kind is ActorKind.USER
        id = strawberry.ID(to_public(Prefix.USER if by_user else Prefix.API_KEY, key))
        workspace = strawberry.ID(to_public(Prefix.WORKSPACE, caller.workspace_id))
        return Viewer(
            workspace=Workspace(id=workspace, name=caller.workspace_name),
            api_key=ApiKey(id=id, name=caller.name) if by_key else None,
            user_key=key if by_user else None,
            actor=Actor(kind=kind, id=id, name=caller.name),
            scopes=[str(scope) for scope in in_order(caller.scopes)],
        )

    @query("What the caller may still ask for. Null where nothing is counted.", scope=None)
    async def rate_limit(self, info: Info) -> RateLimit | None:
        charge = info.context.charge
        if charge is None:
            return None
        now = charge.standing
        return RateLimit(
            limit=now.limit,
            cost=charge.requested,
            remaining=now.remaining,
            restore_rate=now.restore_rate,
            reset_at=now.reset_at,
        )

    @query("The sequences, newest first.", scope=Scope.READ)
    async def sequences(
        self, info: Info, first: First = 50, after: After = None, filter: _SequenceFilter = None
    ) -> SequenceConnection | None:
        page = await sequences.page(
            info.context.caller.workspace_id,
            filter=sequence_filter(filter),
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(SequenceConnection, page)

    @query("The recipients of all sequences.", scope=Scope.READ)
    async def recipients(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        last: Last = None,
        before: Before = None,
        filter: _RecipientFilter = None,
        order_by: _RecipientOrder = None,
    ) -> RecipientConnection | None:
        workspace_id = info.context.caller.workspace_id
        kept = recipient_filter(filter)
        wants = wanted(info, "")
        # Read before the page: page and events after it together then miss nothing.
        cursor = (await feed.state(workspace_id)).cursor if "events_cursor" in wants else None
        page = await recipients.page(
            workspace_id,
            filter=kept,
            order=recipient_order(order_by),
            slice=to_slice(first, after, last, before),
            wants=wanted_of_page(info),
        )
        found = Connection(page, events_cursor=cursor)
        if wants & {"status_counts", "stage_counts"}:
            counts = await sequences.counts_of_filter(workspace_id, counted_filter(kept))
            found.status_counts, found.stage_counts = counts.by_status, counts.by_stage
        return cast(RecipientConnection, found)

    @query("What became of recipients, in numbers, each with the filter that lists whom it counts.", scope=Scope.READ)
    async def report(
        self, info: Info, sequence_id: _ReportSequence = None, mailbox_id: _ReportMailbox = None
    ) -> Report | None:
        scope = reports.Scope(
            info.context.caller.workspace_id,
            None if sequence_id is None else to_key(sequence_id, Prefix.SEQUENCE, "sequenceId"),
            None if mailbox_id is None else to_key(mailbox_id, Prefix.MAILBOX, "mailboxId"),
        )
        if not await reports.exists(scope):
            return None
        # Read before the numbers: they and the events after it together then miss nothing.
        cursor = (await feed.state(scope.workspace_id)).cursor
        return Report(scope=scope, totals=await reports.totals(scope), events_cursor=cursor)

    @query("The recipient with a partner's id.", scope=Scope.READ)
    async def recipient_by_external_id(self, info: Info, external_id: _ExternalId) -> Recipient | None:
        workspace_id = info.context.caller.workspace_id
        found: Any = await recipients.by_external_id(workspace_id, external_id, wants=wanted(info, ""))
        return cast(Recipient | None, found)

    @query("The contacts, newest first.", scope=Scope.READ)
    async def contacts(
        self, info: Info, first: First = 50, after: After = None, filter: _ContactFilter = None
    ) -> ContactConnection | None:
        page = await contacts.page(
            info.context.caller.workspace_id,
            filter=contact_filter(filter),
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(ContactConnection, page)

    @query("The contact with a partner's id.", scope=Scope.READ)
    async def contact_by_external_id(self, info: Info, external_id: _ExternalId) -> Contact | None:
        found: Any = await contacts.by_external_id(info.context.caller.workspace_id, external_id)
        return cast(Contact | None, found)

    @query("The mailboxes, by address.", scope=Scope.READ)
    async def mailboxes(self, info: Info, first: First = 50, after: After = None) -> MailboxConnection | None:
        page = await mailboxes.page(
            info.context.caller.workspace_id, slice=to_slice(first, after), counted=counted(info)
        )
        return connection(MailboxConnection, page)

    @query(
        "The suppression list, newest first: whom nobody in the workspace may write to.",
        scope=Scope.READ,
    )
    async def suppressions(
        self,
        info: Info,
        first: First = 50,
        after: After = None,
        search: _SuppressionSearch = None,
        include_lifted: _IncludeLifted = False,
    ) -> SuppressionConnection | None:
        page = await suppressions.page(
            info.context.caller.workspace_id,
            search=search,
            lifted=bool(include_lifted),
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(SuppressionConnection, page)

    @query("The people of the workspace, by name; those who were deactivated too.", scope=Scope.READ)
    async def users(self, info: Info, first: First = 50, after: After = None) -> UserConnection | None:
        page = await users.page(info.context.caller.workspace_id, slice=to_slice(first, after), counted=counted(info))
        return connection(UserConnection, page)

    @query("What waits for a person, the longest waiting first.", scope=Scope.READ)
    async def pending_actions(
        self, info: Info, first: First = 50, after: After = None, filter: _PendingFilter = None
    ) -> PendingActionConnection | None:
        workspace_id = info.context.caller.workspace_id
        # Read before the page: page and events after it together then miss nothing.
        cursor = (await feed.state(workspace_id)).cursor if "events_cursor" in wanted(info, "") else None
        page = await pending_actions.page(
            workspace_id, filter=pending_action_filter(filter), slice=to_slice(first, after), counted=counted(info)
        )
        return cast(PendingActionConnection, Connection(page, events_cursor=cursor))

    @query("What went wrong, newest first.", scope=Scope.READ)
    async def step_errors(
        self, info: Info, first: First = 50, after: After = None, filter: _StepErrorFilter = None
    ) -> StepErrorConnection | None:
        page = await step_errors.page(
            info.context.caller.workspace_id,
            filter=step_error_filter(filter),
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(StepErrorConnection, page)

    @query(
        "The open errors grouped by their cause, those with the newest error first. The filter chooses the groups; "
        "what a group says is of all its errors.",
        scope=Scope.READ,
    )
    async def error_groups(
        self, info: Info, first: First = 50, after: After = None, filter: _StepErrorFilter = None
    ) -> ErrorGroupConnection | None:
        page = await error_groups.page(
            info.context.caller.workspace_id,
            filter=step_error_filter(filter),
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(ErrorGroupConnection, page)

    @query("What was ordered for many recipients at once, the newest first; kept for 30 days.", scope=Scope.READ)
    async def bulk_operations(
        self, info: Info, first: First = 50, after: After = None
    ) -> BulkOperationConnection | None:
        page = await bulk.page(info.context.caller.workspace_id, slice=to_slice(first, after), counted=counted(info))
        return connection(BulkOperationConnection, page)

    @query(
        "Who did what through the API, newest first; with `objectId` only what changed that object.", scope=Scope.ADMIN
    )
    async def audit_trail(
        self, info: Info, first: First = 50, after: After = None, object_id: _ObjectId = None
    ) -> AuditEntryConnection | None:
        page = await audit.page(
            info.context.caller.workspace_id,
            object_id=object_id,
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(AuditEntryConnection, page)

    @query("What happened, in the order of the feed. Its cursors are good for subscriptions too.", scope=Scope.READ)
    async def recipient_events(
        self,
        info: Info,
        first: _EventsFirst = 100,
        after: _EventsAfter = None,
        sequence_id: _EventsSequence = None,
    ) -> RecipientEventConnection | None:
        sequence = None if sequence_id is None else to_key(sequence_id, Prefix.SEQUENCE, "sequenceId")
        page = await events.page(
            info.context.caller.workspace_id,
            sequence_id=sequence,
            slice=to_slice(first, after, default=EVENTS_FIRST),
            counted=counted(info),
        )
        return connection(RecipientEventConnection, page)

    @query(
        "Where `workspaceEvents` stand now. Read it before your lists, and subscribe after it: nothing is missed in "
        "between.",
        scope=Scope.READ,
    )
    async def workspace_events_cursor(self, info: Info) -> str | None:
        return (await workspace_feed.after(info.context.caller.workspace_id, None)).cursor

    @query(
        "When the steps of a sequence would come for somebody enrolled now, also before it is activated. Null when "
        "there is no such sequence.",
        scope=Scope.READ,
    )
    async def sequence_schedule_preview(
        self,
        info: Info,
        sequence_id: _PreviewedSequence,
        time_zone: _TimeZone = None,
        start_at: _StartAt = None,
        start_step_id: _StartStep = None,
    ) -> Schedule | None:
        if start_at is not None and start_at.tzinfo is None:
            raise Invalid("A time needs its offset, such as 2027-01-04T09:00:00+01:00 or …Z.", field=["startAt"])
        found = await schedules.of_sequence(
            info.context.caller.workspace_id,
            to_key(sequence_id, Prefix.SEQUENCE, "sequenceId"),
            time_zone=time_zone,
            start_at=start_at,
            start_step_id=to_key(start_step_id, Prefix.STEP, "startStepId") if start_step_id is not None else None,
        )
        return cast("Schedule | None", found)

    @query("The webhook endpoints, the oldest first.", scope=Scope.READ)
    async def webhook_endpoints(
        self, info: Info, first: First = 50, after: After = None
    ) -> WebhookEndpointConnection | None:
        page = await webhooks.endpoints(
            info.context.caller.workspace_id, slice=to_slice(first, after), counted=counted(info)
        )
        return connection(WebhookEndpointConnection, page)

    @query("What was sent to webhook endpoints, the newest first; kept for 30 days.", scope=Scope.READ)
    async def webhook_deliveries(
        self, info: Info, first: First = 50, after: After = None, filter: _DeliveryFilter = None
    ) -> WebhookDeliveryConnection | None:
        page = await webhooks.deliveries(
            info.context.caller.workspace_id,
            filter=webhook_delivery_filter(filter),
            slice=to_slice(first, after),
            counted=counted(info),
        )
        return connection(WebhookDeliveryConnection, page)
