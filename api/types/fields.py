"""A field that is looked up: a nested list or a far relation, through the loaders of the operation."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


def resolved(description: str) -> Callable[[F], F]:
    """Make a method a field of the schema. (Strawberry's own decorator forgets the method's type.)"""
    return cast(Callable[[F], F], strawberry.field(description=description))
