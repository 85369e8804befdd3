"""What everything with an id shares, and what every list shares."""

from typing import Annotated, Any, Generic, TypeVar

import strawberry

T = TypeVar("T")

First = Annotated[int | None, strawberry.argument(description="How many from the front: 0 to 200; 50 when left out.")]
After = Annotated[str | None, strawberry.argument(description="Go on after this cursor: a `cursor` or `endCursor`.")]
Last = Annotated[
    int | None, strawberry.argument(description="How many from the back: 0 to 200. Not together with `first`.")
]
Before = Annotated[str | None, strawberry.argument(description="Stop before this cursor: a `cursor` or `startCursor`.")]


@strawberry.interface(description="An object with an id that is unique over all types.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque; use it exactly as it was returned.")

    @classmethod
    def resolve_type(cls, obj: Any, info: Any, type_: Any) -> str:
        name: str = obj.type_name
        return name

    @classmethod
    def is_type_of(cls, obj: Any, info: Any) -> bool:
        return bool(obj.type_name == cls.__name__)


@strawberry.type(description="Where a page begins and ends.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether there is more after this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first; null when the page is empty.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last; null when the page is empty.")


@strawberry.type(description="One place in a list.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Opaque; names this place in this order of this list.")
    node: T = strawberry.field(description="What stands there.")


@strawberry.type(description="One page of a list.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The places of this page, in order.")
    nodes: list[T] = strawberry.field(description="What stands in the places, without cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page begins and ends.")
    total_count: int = strawberry.field(description="How many the whole list has. Counted only when asked for.")
