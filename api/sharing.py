"""One execution and one encoding of an event for all who select the same of it.

A selection is a document, its operation and the variables used below the subscription's field, in one workspace. Who
asks first for an event has it executed; the others get the same bytes, for a moment. Every subscriber still reads
at its own pace, so a slow one holds up nobody.

Source: stack.md section 4.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    execute,
    visit,
)
from graphql.execution import ExecutionResult

from api.context import Caller
from api.errors import formatted, new_request_id
from api.process import Process
from domain.feed import Event
from domain.reading.events import EventRow

_SELECTIONS_AT_MOST: Final = 1_000
_KEPT_AT_MOST: Final = 2_000  # events of one selection
_KEPT_SECONDS: Final = 1.0  # `recipient` is as it is now: a later asker gets a later answer

_Key = tuple[UUID, str, str | None, bytes]


class Selection:
    """What equal subscribers want to know of each event."""

    def __init__(
        self, process: Process, caller: Caller, document: DocumentNode, name: str | None, variables: dict[str, Any]
    ) -> None:
        self._process = process
        self._caller = caller
        self._document = document
        self._name = name
        self._variables = variables
        self._made: OrderedDict[int, tuple[float, asyncio.Future[bytes]]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def payloads(self, events: Sequence[Event]) -> list[bytes]:
        """Return the JSON of the payload of each event, in order."""
        now = time.monotonic()
        missing = [event for event in events if not self._has(event.seq, now)]
        futures = {event.seq: asyncio.get_running_loop().create_future() for event in missing}
        if missing:
            for seq, future in futures.items():
                self._made[seq] = (now, future)
                self._made.move_to_end(seq)
            # A task of its own: it outlives the subscriber that asked first, and is fresh for the database.
            task = asyncio.create_task(self._make(missing, futures))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        wanted = [self._made[event.seq][1] for event in events]
        while len(self._made) > _KEPT_AT_MOST:
            self._made.popitem(last=False)
        return [await asyncio.shield(future) for future in wanted]

    def _has(self, seq: int, now: float) -> bool:
        made = self._made.get(seq)
        return made is not None and now - made[0] <= _KEPT_SECONDS

    async def _make(self, events: Sequence[Event], futures: Mapping[int, asyncio.Future[bytes]]) -> None:
        context = self._process.context(self._caller)  # one for all, so that relations are loaded together
        made = await asyncio.gather(*(self._execute(event, context) for event in events))
        for event, payload in zip(events, made, strict=True):
            if not futures[event.seq].done():
                futures[event.seq].set_result(payload)

    async def _execute(self, event: Event, context: Any) -> bytes:
        request_id = new_request_id()
        answer: dict[str, Any] = {"data": None}
        try:
            result = execute(
                self._process.schema._schema,
                self._document,
                root_value=EventRow(event),
                context_value=context,
                variable_values=self._variables,
                operation_name=self._name,
                executor_class=self._process.schema.execution_context_class,
            )
            if not isinstance(result, ExecutionResult):
                result = await result
            answer["data"] = result.data
            if result.errors:
                answer["errors"] = formatted(result.errors, request_id)
        except Exception as problem:
            answer["errors"] = formatted([problem], request_id)
        return orjson.dumps(answer | {"extensions": {"requestId": request_id}})


class Selections:
    """The selections in use, the last ones asked for first to stay."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Selection] = OrderedDict()

    def find(
        self,
        process: Process,
        caller: Caller,
        text: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> Selection:
        """Return the selection of an operation, the same for all who select the same."""
        inner = inner_variables(document, operation)
        below = {name: variables[name] for name in sorted(inner & variables.keys())}
        name = operation.name.value if operation.name else None
        key: _Key = (caller.workspace_id, text, name, orjson.dumps(below, option=orjson.OPT_SORT_KEYS))
        if key not in self._known:
            self._known[key] = Selection(process, caller, document, name, dict(variables))
        self._known.move_to_end(key)
        while len(self._known) > _SELECTIONS_AT_MOST:
            self._known.popitem(last=False)
        return self._known[key]


def root_field(document: DocumentNode, operation: OperationDefinitionNode) -> FieldNode:
    """Return the one field of a valid subscription, also where it stands in a fragment."""
    fragments = _fragments(document)
    waiting: list[SelectionSetNode] = [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                return selection
            if isinstance(selection, FragmentSpreadNode):
                waiting.append(fragments[selection.name.value].selection_set)
            elif (inner := getattr(selection, "selection_set", None)) is not None:
                waiting.append(inner)
    raise AssertionError("a valid document has a field")


def inner_variables(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """Return the variables that what is told depends on: all but those of the subscription field's arguments."""
    fragments = _fragments(document)
    root = root_field(document, operation)
    found = _Variables(root)
    visit(operation.selection_set, found)
    seen: set[str] = set()
    while spread := found.spreads - seen:
        for name in spread:
            seen.add(name)
            visit(fragments[name].selection_set, found)
    return found.names


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


class _Variables(Visitor):
    def __init__(self, root: FieldNode) -> None:
        super().__init__()
        self._arguments = {id(argument) for argument in root.arguments or ()}
        self.names: set[str] = set()
        self.spreads: set[str] = set()

    def enter_argument(self, node: Node, *_: object) -> bool | None:
        return False if id(node) in self._arguments else None

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.spreads.add(node.name.value)
