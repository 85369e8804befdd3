"""The schema: every type, field and error, and its text `schema.graphql`."""

import strawberry
from graphql import GraphQLError, Undefined
from strawberry import Schema
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext

from api.documents import UsePrepared
from api.mutations.bulk import BulkMutations
from api.mutations.bulk_contacts import BulkContactMutations
from api.mutations.deliveries import DeliveryMutations
from api.mutations.error_groups import ErrorGroupMutations
from api.mutations.guardrails import GuardrailMutations
from api.mutations.inbox import InboxMutations
from api.mutations.incoming import IncomingMutations
from api.mutations.mailboxes import MailboxMutations
from api.mutations.people import PeopleMutations
from api.mutations.recipients import RecipientMutations
from api.mutations.refusals import ERROR_TYPES
from api.mutations.sequences import SequenceMutations
from api.mutations.signing import SigningMutations
from api.mutations.sms_mailboxes import SmsMailboxMutations
from api.mutations.steps import StepMutations
from api.mutations.suppressions import SuppressionMutations
from api.mutations.trial_mails import TrialMailMutations
from api.mutations.webhooks import WebhookMutations
from api.mutations.workspace import WorkspaceMutations
from api.queries import Query
from api.subscriptions import Subscription
from api.types.fields import attribute

_HEADING = """\
# The schema of Relance's API. Made from the code; do not edit.
# After a change: relance schema print > schema.graphql

"""


@strawberry.type(description="Everything that can be changed. A refusal is in `errors` of the payload.")
class Mutation(
    PeopleMutations,
    MailboxMutations,
    GuardrailMutations,
    SmsMailboxMutations,
    SigningMutations,
    SequenceMutations,
    StepMutations,
    RecipientMutations,
    InboxMutations,
    DeliveryMutations,
    ErrorGroupMutations,
    BulkMutations,
    BulkContactMutations,
    WebhookMutations,
    SuppressionMutations,
    WorkspaceMutations,
    TrialMailMutations,
    IncomingMutations,
):
    pass


class RelanceSchema(Schema):
    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing here: `api.errors` logs what is our fault, with the id that the client gets."""


schema = RelanceSchema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=ERROR_TYPES,
    extensions=[UsePrepared],
    config=StrawberryConfig(default_resolver=attribute),
)


def _drop_null_defaults() -> None:
    """“= null” says nothing that the nullable type does not say: the SDL goes without it."""
    for type_ in schema._schema.type_map.values():
        for field in getattr(type_, "fields", {}).values():
            for given in (field, *getattr(field, "args", {}).values()):
                if getattr(given, "default_value", Undefined) is None:
                    given.default_value = Undefined


_drop_null_defaults()


def sdl() -> str:
    """Return the text of `schema.graphql`."""
    return f"{_HEADING}{schema.as_str().strip()}\n"
