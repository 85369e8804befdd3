"""One kind of list: its columns, where they come from, and how a record becomes a row. A page is one statement."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from domain.database import fetch
from domain.reading.pages import Order, Page, Parameters, Slice, conditions, cut, ordering

T = TypeVar("T")
Conditions = Callable[[Parameters], list[str]]


def no_conditions(_: Parameters) -> list[str]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """A list. `$1` of its statements is the workspace; the first column is the key."""

    columns: Sequence[str]
    source: str  # FROM and joins
    living: Sequence[str]  # what always holds: above all that it is this workspace's
    make: Callable[[Sequence[Any]], T]

    async def page(
        self,
        workspace_id: UUID,
        order: Order,
        slice: Slice,
        kept: Conditions = no_conditions,
        *,
        counted: bool = False,
    ) -> Page[T]:
        """Return one page of what the conditions keep.

        Raises:
            Invalid, CursorInvalid
        """
        parameters = Parameters([workspace_id])
        statement = self._statement(order, slice, kept(parameters), parameters)
        records = await fetch(statement, *parameters.values)
        total = await self.count(workspace_id, kept) if counted else None
        return cut(workspace_id, slice, order, [self._placed(record) for record in records], total)

    async def pages_by_owner(
        self,
        workspace_id: UUID,
        owner_column: str,
        owner_ids: Sequence[UUID],
        order: Order,
        slice: Slice,
        kept: Conditions = no_conditions,
        *,
        counted: bool = False,
    ) -> list[Page[T]]:
        """Return one page for each owner, in the order given.

        Raises:
            Invalid, CursorInvalid
        """
        parameters = Parameters([workspace_id])
        owners = parameters.add(list(owner_ids), "uuid[]")
        of_owner = [f"{owner_column} = o.owner_id", *kept(parameters)]
        inner = self._statement(order, slice, of_owner, parameters)
        records = await fetch(
            f"SELECT found.*, o.owner_id FROM unnest({owners}) AS o (owner_id) CROSS JOIN LATERAL ({inner}) AS found",
            *parameters.values,
        )
        totals = await self._totals(workspace_id, owner_column, owner_ids, kept) if counted else {}
        found: dict[UUID, list[tuple[Any, UUID, T]]] = {owner_id: [] for owner_id in owner_ids}
        for record in records:
            found[record["owner_id"]].append(self._placed(record))
        return [
            cut(workspace_id, slice, order, found[owner_id], totals.get(owner_id, 0) if counted else None)
            for owner_id in owner_ids
        ]

    async def by_ids(self, workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, T]:
        """Return those that are there, by key. Another workspace's are not."""
        where = " AND ".join([*self.living, f"{self.columns[0]} = ANY($2::uuid[])"])
        records = await fetch(f"SELECT {self._names()} {self.source} WHERE {where}", workspace_id, list(ids))
        return {record[0]: self.make(record) for record in records}  # type: ignore[arg-type]

    async def count(self, workspace_id: UUID, kept: Conditions = no_conditions) -> int:
        """Return how many the conditions keep."""
        parameters = Parameters([workspace_id])
        where = " AND ".join([*self.living, *kept(parameters)])
        rows = await fetch(f"SELECT count(*) AS n {self.source} WHERE {where}", *parameters.values)
        found: int = rows[0]["n"]
        return found

    async def _totals(
        self, workspace_id: UUID, owner_column: str, owner_ids: Sequence[UUID], kept: Conditions
    ) -> dict[UUID, int]:
        parameters = Parameters([workspace_id])
        owned = f"{owner_column} = ANY({parameters.add(list(owner_ids), 'uuid[]')})"
        where = " AND ".join([*self.living, owned, *kept(parameters)])
        rows = await fetch(
            f"SELECT {owner_column} AS owner_id, count(*) AS n {self.source} WHERE {where} GROUP BY 1",
            *parameters.values,
        )
        return {row["owner_id"]: row["n"] for row in rows}

    def _statement(self, order: Order, slice: Slice, kept: list[str], parameters: Parameters) -> str:
        where = " AND ".join([*self.living, *kept, *conditions(order, slice, parameters)])
        return f"SELECT {self._names()}, {order.column} AS place {self.source} WHERE {where} {ordering(order, slice)}"

    def _names(self) -> str:
        return ", ".join(f"{column} AS c{number}" for number, column in enumerate(self.columns))

    def _placed(self, record: asyncpg.Record) -> tuple[Any, UUID, T]:
        values = record[: len(self.columns)]
        return record["place"], values[0], self.make(values)
