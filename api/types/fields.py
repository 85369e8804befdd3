"""How fields get their values: by reading an attribute, or by a look-up through the loaders of the operation."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar, cast

import strawberry

_PLAIN = frozenset({str, int, bool, float, type(None), datetime, list, tuple, dict})

F = TypeVar("F", bound=Callable[..., Any])


def resolved(description: str) -> Callable[[F], F]:
    """Make a method a field of the schema. (Strawberry's own decorator forgets the method's type.)"""
    return cast(Callable[[F], F], strawberry.field(description=description))


def attribute(row: Any, name: str) -> object:
    """Return the attribute that a plain field shows.

    Raises:
        AttributeLoadsMore: the attribute would go to the database by itself, once for each row.
    """
    value: object = getattr(row, name)
    if type(value) not in _PLAIN and hasattr(value, "__await__"):
        raise AttributeLoadsMore(row, name)
    return value


class AttributeLoadsMore(Exception):
    """A bug of ours: a row has an attribute that must be awaited. Rows are plain; what is far goes through a loader."""

    def __init__(self, row: object, name: str) -> None:
        super().__init__(f"{type(row).__name__}.{name} would be loaded row by row. Let the verb embed it, or a loader.")
