"""The people of a workspace."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from domain.reading.columns import columns_of
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Slice
from domain.rules.access import Role
from domain.rules.ids import Prefix, to_public


@dataclass(frozen=True, slots=True)
class UserRow:
    type_name: ClassVar[str] = "User"
    COLUMNS: ClassVar[tuple[str, ...]] = ("id", "name", "email", "role", "deactivated_at")

    key: UUID
    name: str
    email: str | None
    role: Role
    deactivated_at: datetime | None

    @property
    def id(self) -> str:
        return to_public(Prefix.USER, self.key)


def _to_user(values: Sequence[Any]) -> UserRow:
    key, name, email, role, deactivated_at = values
    return UserRow(key, name, email, Role(role), deactivated_at)


BY_NAME: Final = Order(mark="usr.name_asc", column="lower(u.name)", id_column="u.id", type="text", descending=False)
USERS: Final = Listing(
    columns=columns_of("u", UserRow.COLUMNS),
    source="FROM users u",
    living=("u.workspace_id = $1",),
    make=_to_user,
)


async def page(workspace_id: UUID, *, slice: Slice = FIRST_PAGE, counted: bool = False) -> Page[UserRow]:
    """Return one page, by name, deactivated ones included.

    Raises:
        Invalid, CursorInvalid
    """
    return await USERS.page(workspace_id, BY_NAME, slice, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, UserRow]:
    """Return those of the users that are there, by key; deactivated ones too."""
    return await USERS.by_ids(workspace_id, ids)
