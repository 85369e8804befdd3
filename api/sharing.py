"""One execution and one encoding of an event for all who select the same of it.

A selection is a document, its operation and the variables used below the subscription's field, in one workspace. Who
asks first for an event has it executed; the others get the same bytes, for a moment. Every subscriber still reads
at its own pace, so a slow one holds up nobody.

Source: stack.md section 4.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
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
from domain.feed import Event
from domain.reading.events import EventRow
from domain.workspace_feed import WorkspaceEventRow

if TYPE_CHECKING:
    from api.server_parts import ServerParts

_KEPT_BYTES_AT_MOST: Final = 4 * 1024 * 1024  # of one selection; its newest payloads stay
_KEPT_SECONDS: Final = 1.0  # `recipient` is as it is now: a later asker gets a later answer

AnyEvent = Event | WorkspaceEventRow  # `seq` tells one from the others of its kind
_Key = tuple[UUID, str, str | None, bytes]


@dataclass(slots=True)
class _Kept:
    """The payload of one event, from the moment it was asked for."""

    asked_at: float
    payload: asyncio.Future[bytes]
    size_bytes: int = 0


class Selection:
    """What equal subscribers want to know of each event."""

    def __init__(
        self,
        process: "ServerParts",
        caller: Caller,
        document: DocumentNode,
        name: str | None,
        variables: dict[str, Any],
    ) -> None:
        self._process = process
        self._caller = caller
        self._document = document
        self._name = name
        self._variables = variables
        self._kept: OrderedDict[int, _Kept] = OrderedDict()  # by the event's number; first asked for first
        self._kept_bytes = 0
        self.subscribers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def payloads(self, events: Sequence[AnyEvent]) -> list[bytes]:
        """Return the JSON of the payload of each event, in order.

        Raises:
            Exception: what kept all of them from being executed. Errors of a single one are in its payload.
        """
        self._forget_old()
        missing = [event for event in events if event.seq not in self._kept]
        if missing:
            loop, now = asyncio.get_running_loop(), time.monotonic()
            made = {event.seq: _Kept(now, loop.create_future()) for event in missing}
            self._kept.update(made)
            # A task of its own: it outlives the subscriber that asked first, and is fresh for the database.
            task = asyncio.create_task(self._make(missing, made))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: self._leave_nobody_waiting(made))
            loop.call_later(_KEPT_SECONDS, self._forget_old)
        wanted = [self._kept[event.seq].payload for event in events]
        return [await asyncio.shield(payload) for payload in wanted]

    async def _make(self, events: Sequence[AnyEvent], made: Mapping[int, _Kept]) -> None:
        try:
            context = self._process.context(
                self._caller, new_request_id()
            )  # one for all, so that relations are loaded together
            payloads = await asyncio.gather(*(self._execute(event, context) for event in events))
            for event, payload in zip(events, payloads, strict=True):
                self._fill(event.seq, made[event.seq], payload)
        except Exception as problem:
            for kept in made.values():
                if not kept.payload.done():
                    kept.payload.set_exception(problem)
                    kept.payload.exception()  # whoever asked may be gone: nobody has to look

    def _leave_nobody_waiting(self, made: Mapping[int, _Kept]) -> None:
        for seq, kept in made.items():
            kept.payload.cancel()  # does nothing to what is done
            if not kept.size_bytes and self._kept.get(seq) is kept:
                self._drop(seq)  # the next asker tries again

    def _fill(self, seq: int, kept: _Kept, payload: bytes) -> None:
        kept.payload.set_result(payload)
        kept.size_bytes = len(payload)
        if self._kept.get(seq) is kept:
            self._kept_bytes += kept.size_bytes
        while self._kept_bytes > _KEPT_BYTES_AT_MOST:
            self._drop(next(iter(self._kept)))

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _KEPT_SECONDS
        while self._kept and next(iter(self._kept.values())).asked_at <= oldest:
            self._drop(next(iter(self._kept)))

    def _drop(self, seq: int) -> None:
        self._kept_bytes -= self._kept.pop(seq).size_bytes

    async def _execute(self, event: AnyEvent, context: Any) -> bytes:
        request_id = new_request_id()
        answer: dict[str, Any] = {"data": None}
        try:
            result = execute(
                self._process.schema._schema,
                self._document,
                root_value=EventRow(event) if isinstance(event, Event) else event,
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
    """The selections that someone is subscribed to now."""

    def __init__(self) -> None:
        self._known: dict[_Key, Selection] = {}

    def __len__(self) -> int:
        return len(self._known)

    @contextmanager
    def joined(
        self,
        process: "ServerParts",
        caller: Caller,
        text: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> Iterator[Selection]:
        """Give one subscriber the selection of its operation, the same for all who select the same.

        What is kept for a selection goes with its last subscriber.
        """
        inner = inner_variables(document, operation)
        below = {name: variables[name] for name in sorted(inner & variables.keys())}
        name = operation.name.value if operation.name else None
        key: _Key = (caller.workspace_id, text, name, orjson.dumps(below, option=orjson.OPT_SORT_KEYS))
        if key not in self._known:
            self._known[key] = Selection(process, caller, document, name, dict(variables))
        selection = self._known[key]
        selection.subscribers += 1
        try:
            yield selection
        finally:
            selection.subscribers -= 1
            if not selection.subscribers:
                del self._known[key]


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
