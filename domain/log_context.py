"""What the work at hand is about: which request, workspace, recipient and message, for the lines of the log.

Ids alone, never what stands behind them. They are bound here and nowhere else, and follow whatever is called.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypedDict, Unpack
from uuid import UUID

from domain.rules.ids import Prefix, to_public


class Ids(TypedDict, total=False):
    """The ids that a line of the log can name."""

    request_id: str
    workspace_id: UUID
    recipient_id: UUID
    message_id: UUID


_NAMED: Final = {
    "request_id": ("requestId", None),
    "workspace_id": ("workspaceId", Prefix.WORKSPACE),
    "recipient_id": ("recipientId", Prefix.RECIPIENT),
    "message_id": ("messageId", Prefix.MESSAGE),
}
_NOTHING: Final[Ids] = {}
_bound: ContextVar[Ids] = ContextVar("log_context", default=_NOTHING)


@contextmanager
def about(**ids: Unpack[Ids]) -> Iterator[None]:
    """Let what is logged while the block runs name these ids, beside those that are bound around it."""
    before = _bound.set({**_bound.get(), **ids})
    try:
        yield
    finally:
        _bound.reset(before)


def bind(**ids: Unpack[Ids]) -> None:
    """The same until the end of this task, or of the `about` around it."""
    _bound.set({**_bound.get(), **ids})


def bound() -> Mapping[str, str]:
    """Return what is bound here: names and ids as in the API."""
    named: dict[str, str] = {}
    for name, value in _bound.get().items():
        outside, prefix = _NAMED[name]
        named[outside] = to_public(prefix, value) if prefix is not None and isinstance(value, UUID) else str(value)
    return named
