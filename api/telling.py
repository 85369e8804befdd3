"""What a subscriber is told, whatever the transport: which events, and the selection it shares with its equals.

Source: architecture.md "The flow of one change"; stack.md section 4.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode
from graphql.execution.values import get_argument_values, get_variable_values

from api.context import Caller
from api.ring import Batch
from api.server_parts import ServerParts
from api.sharing import Selection, root_field
from api.subscriptions import chosen, received, workspace_types


class NotExecuted(Exception):
    """The operation was refused before anything was executed."""

    def __init__(self, errors: Sequence[GraphQLError], *, document: bool = False) -> None:
        super().__init__("not executed")
        self.errors = errors
        self.document = document  # whether they were found in the document itself


async def subscribed(
    process: ServerParts,
    caller: Caller,
    text: str,
    document: DocumentNode,
    definition: OperationDefinitionNode,
    given: Mapping[str, Any],
) -> tuple[AsyncGenerator[Batch[Any], None], AbstractContextManager[Selection]]:
    """Return the events that a valid subscription asks for, in batches, to be closed, and, to be entered,
    what it wants to know of each.

    Raises:
        NotExecuted: a variable is not of its kind.
        NotFound, Invalid
    """
    schema = process.schema._schema
    assert schema.subscription_type is not None
    variables = get_variable_values(schema, definition.variable_definitions or (), dict(given))
    if isinstance(variables, list):
        raise NotExecuted(variables)
    field = root_field(document, definition)
    arguments = get_argument_values(schema.subscription_type.fields[field.name.value], field, variables)
    after = arguments.get("after")
    told: AsyncGenerator[Batch[Any], None]
    if field.name.value == "workspaceEvents":
        told = process.tails.read(caller.workspace_id, after, workspace_types(arguments.get("types")))
    else:
        receivers = await chosen(caller.workspace_id, arguments.get("sequenceId"), arguments.get("recipientIds"), after)
        told = received(process, receivers)
    return told, process.selections.joined(process, caller, text, document, definition, given)
