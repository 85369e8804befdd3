"""Pages of lists: where to begin and end, cursors, and the SQL of one keyset page.

A cursor names a place by the value that the list is sorted by and the id, together with a mark of the list and its
order, and a part of the workspace's id. So a page stays right while rows come and go, and a cursor of another list or
of another workspace is refused.

Source: api.md "Lists".
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import orjson

from domain.refusals import Invalid, Refusal

T = TypeVar("T")

FIRST: Final = 50
AT_MOST: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)


class CursorInvalid(Refusal):
    """The text is not a cursor of this workspace's list in this order."""

    code = "CURSOR_INVALID"

    def __init__(self, field_: str) -> None:
        super().__init__(
            "This is not a cursor of this list in this order. Use a cursor from a page with the same `orderBy`, "
            "or leave it out to start at the beginning.",
            field=[field_],
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a list: from the front with `first`, or from the back with `last`."""

    first: int | None = FIRST
    after: str | None = None
    last: int | None = None
    before: str | None = None

    @property
    def backward(self) -> bool:
        return self.last is not None

    @property
    def size(self) -> int:
        """How many at most.

        Raises:
            Invalid: it is not 0 to 200, or both ends were asked for.
        """
        if self.last is not None and self.first not in (None, FIRST):
            raise Invalid("Give `first` or `last`, not both.", field=["last"])
        name, size = ("last", self.last) if self.last is not None else ("first", self.first)
        size = FIRST if size is None else size
        if not 0 <= size <= AT_MOST:
            raise Invalid(f"`{name}` is {size}; it must be 0 to {AT_MOST}.", field=[name])
        return size


FIRST_PAGE: Final = Slice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a list is sorted: by a column, then by id in the same direction. What is null comes last both ways."""

    mark: str  # names list, order and direction in cursors
    column: str  # SQL
    id_column: str
    type: str = "timestamptz"  # or text
    descending: bool = True
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `total_count` is None unless it was wanted."""

    workspace_id: UUID
    rows: Sequence[T]
    places: Sequence[tuple[Any, UUID]]  # of the rows: the value of the order, and the id
    order: Order
    has_next_page: bool
    has_previous_page: bool
    total_count: int | None = None

    def cursor(self, index: int) -> str:
        """Return the cursor of one row. Made when it is asked for: most pages show only the last."""
        return to_cursor(self.workspace_id, self.order, *self.places[index])

    @property
    def cursors(self) -> Sequence[str]:
        return [self.cursor(index) for index in range(len(self.rows))]


def check_text(text: str) -> None:
    """Refuse what PostgreSQL cannot hold: a NUL, or half of a surrogate pair.

    Raises:
        Invalid
    """
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Invalid("This text has a character that cannot be stored, so nothing can have it. Take it out.")


@dataclass(slots=True)
class Parameters:
    """The values of one statement, and their places in it. The first is the workspace."""

    values: list[Any] = field(default_factory=list)

    @property
    def workspace_id(self) -> UUID:
        found: UUID = self.values[0]
        return found

    def add(self, value: Any, type_: str) -> str:
        """Return the place of a value.

        Raises:
            Invalid: a text has characters that no stored text can have.
        """
        if type_ == "text":
            check_text(value)
        elif type_ == "text[]":
            check_text("".join(value))
        self.values.append(value)
        return f"${len(self.values)}::{type_}"


def to_cursor(workspace_id: UUID, order: Order, value: Any, key: UUID) -> str:
    """Return the cursor of the row with this value and id."""
    if isinstance(value, datetime):
        value = (value - _EPOCH) // _TICK
    return base64.urlsafe_b64encode(orjson.dumps([_mark(workspace_id, order), value, key.hex])).decode().rstrip("=")


def _mark(workspace_id: UUID, order: Order) -> str:
    return f"{order.mark}@{workspace_id.hex[-8:]}"  # the end: a UUIDv7 begins with its time


def from_cursor(workspace_id: UUID, order: Order, cursor: str, field_: str) -> tuple[Any, UUID]:
    """Return value and id.

    Raises:
        CursorInvalid: not a cursor, or of another list, order or workspace.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, value, key = orjson.loads(raw)
        if mark != _mark(workspace_id, order) or (value is None and not order.nullable):
            raise CursorInvalid(field_)
        value = None if value is None else _read(order, value)
        return value, UUID(hex=key)
    except (binascii.Error, UnicodeError, ValueError, TypeError, AttributeError, OverflowError):
        raise CursorInvalid(field_) from None


def _read(order: Order, value: Any) -> Any:
    """Return the value of a cursor as the statement needs it.

    Raises:
        ValueError, OverflowError: it is not of the order's type.
    """
    if order.type == "text":
        if isinstance(value, str) and "\0" not in value:
            return value
    elif isinstance(value, int) and not isinstance(value, bool) and order.type == "timestamptz":
        return _EPOCH + value * _TICK
    raise ValueError("not of the order's type")


def conditions(order: Order, slice_: Slice, parameters: Parameters) -> list[str]:
    """Return the SQL conditions that keep what lies between the cursors of a slice.

    Raises:
        CursorInvalid
    """
    found = []
    for cursor, field_ in ((slice_.after, "after"), (slice_.before, "before")):
        if cursor is not None:
            place = from_cursor(parameters.workspace_id, order, cursor, field_)
            found.append(_beyond(order, *place, parameters, later=field_ == "after"))
    return found


def _beyond(order: Order, value: Any, key: UUID, parameters: Parameters, *, later: bool) -> str:
    sign = "<" if order.descending == later else ">"
    if value is None:  # among the last
        same = f"{order.column} IS NULL AND {order.id_column} {sign} {parameters.add(key, 'uuid')}"
        return f"({same})" if later else f"({order.column} IS NOT NULL OR ({same}))"
    place = f"{parameters.add(value, order.type)}, {parameters.add(key, 'uuid')}"
    compared = f"({order.column}, {order.id_column}) {sign} ({place})"
    return f"({compared} OR {order.column} IS NULL)" if order.nullable and later else compared


def ordering(order: Order, slice_: Slice) -> str:
    """Return ORDER BY and LIMIT: one row more than asked for tells whether there is more. From the back, the page
    comes out reversed."""
    descending = order.descending != slice_.backward
    direction = "DESC" if descending else "ASC"
    nulls = "" if not order.nullable else (" NULLS FIRST" if slice_.backward else " NULLS LAST")
    return f"ORDER BY {order.column} {direction}{nulls}, {order.id_column} {direction} LIMIT {slice_.size + 1}"


def cut(
    workspace_id: UUID,
    slice_: Slice,
    order: Order,
    found: Sequence[tuple[Any, UUID, T]],
    total_count: int | None = None,
) -> Page[T]:
    """Return the page of what the statement found: (value of the order, id, row) for each."""
    more = len(found) > slice_.size
    kept = list(found[: slice_.size])
    if slice_.backward:
        kept.reverse()
    return Page(
        workspace_id=workspace_id,
        rows=[row for _, _, row in kept],
        places=[(value, key) for value, key, _ in kept],
        order=order,
        has_next_page=slice_.before is not None if slice_.backward else more,
        has_previous_page=more if slice_.backward else slice_.after is not None,
        total_count=total_count,
    )
