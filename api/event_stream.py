"""GraphQL over Server-Sent Events, in “distinct connections mode”: one request, one stream of `next` and `complete`.

A stream is answered only where it is wanted: a subscription whose Accept names `text/event-stream`, or any operation
whose Accept names it before the JSON types. (urql lists it after JSON with every query.) Between events a comment
keeps proxies from closing the line, and a key that has expired or was revoked ends its streams.

Source: the GraphQL-over-SSE protocol; api.md "Transport".
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, MutableMapping
from contextlib import aclosing, suppress
from typing import Any, Final

import orjson
from graphql import DocumentNode, OperationDefinitionNode
from starlette.responses import StreamingResponse
from starlette.types import Send

from api.context import Caller
from api.errors import RequestRefused, formatted
from api.key_set import KeySetUnreachable
from api.ring import Batch
from api.server_parts import ServerParts
from api.sharing import Selection
from api.telling import NotExecuted, subscribed
from domain.connections import lost

EVENT_STREAM: Final = "text/event-stream"
_ALIVE_EVERY_SECONDS: Final = 12.0
_LOOKED_AT_EVERY_SECONDS: Final = 1.5  # the key of a stream; with what is remembered of it, less than 5 s in all
_UNREAD_AT_MOST_SECONDS: Final = 30.0
_TOLD_AT_ONCE: Final = 100
_COMPLETE: Final = b"event: complete\ndata:\n\n"


def wants_events(accept: str) -> bool:
    """Return whether an Accept header names the media type of streams at all."""
    return any(one.split(";")[0].strip() == EVENT_STREAM for one in accept.lower().split(","))


def as_next(payload: bytes) -> bytes:
    """Return one result as an event; JSON has no line breaks, so it is one line."""
    return b"event: next\ndata: " + payload + b"\n\n"


def whole(answer: Mapping[str, Any]) -> bytes:
    """Return the stream of an operation with one result."""
    return as_next(orjson.dumps(answer)) + _COMPLETE


class EventStream(StreamingResponse):
    """A stream whose reader has to read."""

    async def stream_response(self, send: Send) -> None:
        async def bounded(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(_UNREAD_AT_MOST_SECONDS):
                await send(message)

        with suppress(TimeoutError):
            await super().stream_response(bounded)


async def subscription_stream(
    process: ServerParts,
    caller: Caller,
    secret: str | None,
    text: str,
    document: DocumentNode,
    definition: OperationDefinitionNode,
    variables: Mapping[str, Any],
    request_id: str,
) -> EventStream:
    """Return the stream of a subscription that is valid and allowed. What is wrong with its arguments is told in it."""
    body: AsyncIterator[bytes]
    try:
        batches, joined = await subscribed(process, caller, text, document, definition, variables)
    except Exception as problem:
        body = _only(_told(problem, request_id) + _COMPLETE)
    else:

        async def following() -> AsyncGenerator[bytes, None]:
            try:
                with process.subscriptions.taken(caller), joined as selection:
                    async with aclosing(_events(process, batches, selection, secret, request_id)) as events:
                        async for chunk in events:
                            yield chunk
            except RequestRefused as full:  # by others, since the request came in
                yield _told(full, request_id) + _COMPLETE

        body = following()
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventStream(body, headers=headers, media_type=f"{EVENT_STREAM}; charset=utf-8")


async def _only(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


async def _events(
    process: ServerParts,
    batches: AsyncGenerator[Batch[Any], None],
    selection: Selection,
    secret: str | None,
    request_id: str,
) -> AsyncGenerator[bytes, None]:
    """Yield what is told until the key ends, the reader falls behind, or this server does.

    Only the last ends without `complete`: clients take that for a lost connection and come again.
    """
    yield b":\n\n"  # what stands before may wait for the first byte
    said_at = time.monotonic()
    async with aclosing(batches):
        upcoming = asyncio.ensure_future(anext(batches))
        closing = asyncio.ensure_future(process.closing.wait())
        try:
            while not closing.done():
                await asyncio.wait(
                    {upcoming, closing}, timeout=_LOOKED_AT_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                try:
                    await process.keys.caller(secret)
                except Exception as problem:  # whose key it is may not be known now
                    if not isinstance(problem, KeySetUnreachable) and not lost(problem):
                        raise
                if upcoming.done():
                    events = upcoming.result().events
                    for start in range(0, len(events), _TOLD_AT_ONCE):
                        told = await selection.payloads(events[start : start + _TOLD_AT_ONCE])
                        yield b"".join(map(as_next, told))
                        said_at = time.monotonic()
                    upcoming = asyncio.ensure_future(anext(batches))
                elif time.monotonic() - said_at >= _ALIVE_EVERY_SECONDS:
                    yield b":\n\n"
                    said_at = time.monotonic()
        except Exception as problem:
            yield _told(problem, request_id) + _COMPLETE
        finally:
            for task in (upcoming, closing):
                task.cancel()
            await asyncio.gather(upcoming, closing, return_exceptions=True)


def _told(problem: Exception, request_id: str) -> bytes:
    if isinstance(problem, NotExecuted):
        errors = formatted(problem.errors, request_id, document=problem.document)
    else:
        errors = formatted([problem], request_id)
    return as_next(orjson.dumps({"errors": errors, "extensions": {"requestId": request_id}}))
