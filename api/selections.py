"""What an operation selects below a field: which relations a verb has to embed."""

from collections.abc import Iterable, Iterator
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, SelectionNode
from graphql.pyutils import camel_to_snake

from api.context import Info

_LISTS = ("nodes", "edges.node")


def wanted(info: Info, *paths: str) -> frozenset[str]:
    """Return the names, in snake case, of the fields selected at these paths below the field being resolved; an empty
    path is the field itself. Fragments are looked into; `@skip` and type conditions are not: to want too much is
    harmless."""
    fragments = info._raw_info.fragments
    fields: list[SelectionNode] = list(info._raw_info.field_nodes)
    names: set[str] = set()
    for path in paths:
        found: Iterable[SelectionNode] = fields
        for step in path.split(".") if path else ():
            found = [node for node in _below(found, fragments) if node.name.value == step]
        names.update(camel_to_snake(node.name.value) for node in _below(found, fragments))
    return frozenset(names)


def wanted_of_page(info: Info, path: str = "") -> frozenset[str]:
    """Return what is selected of the objects of a connection, and `total_count` when that is selected."""
    start = f"{path}." if path else ""
    page = wanted(info, path)
    return wanted(info, *(start + below for below in _LISTS)) | (page & {"total_count"})


def counted(info: Info) -> bool:
    """Return whether the total of the connection being resolved is selected."""
    return "total_count" in wanted(info, "")


def _below(nodes: Iterable[SelectionNode], fragments: Any) -> Iterator[FieldNode]:
    for node in nodes:
        selections = node.selection_set.selections if getattr(node, "selection_set", None) else ()  # type: ignore[attr-defined]
        yield from _fields(selections, fragments)


def _fields(selections: Iterable[SelectionNode], fragments: Any) -> Iterator[FieldNode]:
    for node in selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, FragmentSpreadNode):
            yield from _fields(fragments[node.name.value].selection_set.selections, fragments)
        else:
            yield from _fields(node.selection_set.selections, fragments)  # type: ignore[attr-defined]
