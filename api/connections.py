"""Pages as Relay connections, and what callers give, as the engine takes it: slices, ids, filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

from domain.reading.events import EventPage
from domain.reading.pages import FIRST, Page, Slice
from domain.reading.rows import StageCount, StatusCount
from domain.refusals import Invalid
from domain.rules.ids import IdMalformed, Prefix, from_public

T = TypeVar("T")

_NOWHERE = UUID(int=0)


@dataclass(slots=True)
class Edge:
    cursor: str
    node: Any


@dataclass(slots=True)
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@dataclass(slots=True)
class Connection:
    """A page with the attributes that connections read. Counts and the cursor of the feed are of recipients only."""

    page: Page[Any] | EventPage
    events_cursor: str | None = None
    status_counts: Sequence[StatusCount] | None = None
    stage_counts: Sequence[StageCount] | None = None

    @property
    def nodes(self) -> Sequence[Any]:
        return self.page.rows

    @property
    def edges(self) -> Sequence[Edge]:
        return [Edge(cursor, row) for cursor, row in zip(self.page.cursors, self.page.rows, strict=True)]

    @property
    def page_info(self) -> PageInfo:
        page = self.page
        start, end = (page.cursor(0), page.cursor(-1)) if page.rows else (None, None)
        return PageInfo(page.has_next_page, page.has_previous_page, start, end)

    @property
    def total_count(self) -> int | None:
        return self.page.total_count


def connection(type_: type[T], page: Page[Any] | EventPage) -> T:
    """Return a page as a connection of this type: it has the same attributes."""
    return cast(T, Connection(page))


def to_slice(
    first: int | None, after: str | None, last: int | None = None, before: str | None = None, *, default: int = FIRST
) -> Slice:
    """Return the slice that a caller asked for, checked.

    Raises:
        Invalid: the size is out of bounds, or both ends were asked for.
    """
    slice_ = Slice(default if first is None and last is None else first, after, last, before)
    _ = slice_.size
    return slice_


def to_key(text: str, prefix: Prefix, field: str) -> UUID:
    """Return the key of an id that must name such an object. One that names another kind names nothing.

    Raises:
        Invalid: it is not an id at all.
    """
    try:
        found, key = from_public(text)
    except IdMalformed as problem:
        raise Invalid(str(problem), field=[field]) from None
    return key if found is prefix else _NOWHERE
