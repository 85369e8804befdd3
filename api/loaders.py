"""Nested lists and far relations, many at a time: one statement for all of a page, whatever its length."""

from typing import Any


class Loaders:
    """The loaders of one operation."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)
