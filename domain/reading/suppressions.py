"""The suppression list and its ledger."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from domain.reading.columns import columns_of
from domain.reading.filters import SEARCH_LENGTH
from domain.reading.lists import Listing
from domain.reading.pages import FIRST_PAGE, Order, Page, Parameters, Slice
from domain.refusals import Invalid
from domain.rules.actor import ActorKind
from domain.rules.ids import Prefix, to_public
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource


@dataclass(frozen=True, slots=True)
class LiftedByRow:
    """Who lifted a suppression, in the form in which an actor is looked up."""

    actor_kind: str | None
    actor_key: UUID | None


@dataclass(frozen=True, slots=True)
class SuppressionRow:
    type_name: ClassVar[str] = "Suppression"
    COLUMNS: ClassVar[tuple[str, ...]] = (
        *("id", "kind", "value", "contact_id", "reason", "source", "note", "created_by_kind", "created_by_id"),
        *("recipient_id", "message_id", "created_at", "lifted_at", "lifted_because", "lifted_by_kind", "lifted_by_id"),
    )

    key: UUID
    kind: SuppressionKind
    stored_value: str
    contact_key: UUID | None
    reason: SuppressionReason
    source: SuppressionSource
    note: str | None
    actor_kind: ActorKind
    actor_key: UUID | None
    recipient_key: UUID | None
    message_key: UUID | None
    created_at: datetime
    lifted_at: datetime | None
    lifted_because: str | None
    lifted_by_kind: str | None
    lifted_by_key: UUID | None

    @property
    def id(self) -> str:
        return to_public(Prefix.SUPPRESSION, self.key)

    @property
    def value(self) -> str | None:
        """The address, domain or number; None where it is a person, or kept as a hash alone."""
        hidden = (SuppressionKind.CONTACT, SuppressionKind.ERASED)
        return None if self.kind in hidden else self.stored_value

    @property
    def lifter(self) -> LiftedByRow:
        return LiftedByRow(self.lifted_by_kind, self.lifted_by_key)


def _to_suppression(values: Sequence[Any]) -> SuppressionRow:
    key, kind, value, contact, reason, source, note, by_kind, *rest = values
    return SuppressionRow(
        key,
        SuppressionKind(kind),
        value,
        contact,
        SuppressionReason(reason),
        SuppressionSource(source),
        note,
        ActorKind(by_kind),
        *rest,
    )


NEWEST_FIRST: Final = Order(mark="sup.created_at_desc", column="s.created_at", id_column="s.id")
SUPPRESSIONS: Final = Listing(
    columns=columns_of("s", SuppressionRow.COLUMNS),
    source="FROM suppressions s LEFT JOIN contacts k ON k.workspace_id = s.workspace_id AND k.id = s.contact_id",
    living=("s.workspace_id = $1",),
    make=_to_suppression,
)


async def page(
    workspace_id: UUID,
    *,
    search: str | None = None,
    lifted: bool = False,
    slice: Slice = FIRST_PAGE,
    counted: bool = False,
) -> Page[SuppressionRow]:
    """Return one page, newest first; those that were lifted only where they are asked for.

    `search` is a piece of the address, domain or number, or of the name of the person.

    Raises:
        Invalid, CursorInvalid
    """
    if search is not None and len(search) > SEARCH_LENGTH:
        raise Invalid(f"`search` takes at most {SEARCH_LENGTH} characters.", field=["search"])

    def kept(p: Parameters) -> list[str]:
        found = [] if lifted else ["s.lifted_at IS NULL"]
        if search is not None and search.strip():
            words = p.add(search.strip().lower(), "text")
            found.append(
                f"((s.kind NOT IN ('CONTACT', 'ERASED') AND position({words} in s.value) > 0) "
                f"OR position({words} in k.sort_name) > 0 OR position({words} in k.email_key) > 0)"
            )
        return found

    return await SUPPRESSIONS.page(workspace_id, NEWEST_FIRST, slice, kept, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, SuppressionRow]:
    """Return those of the suppressions that are there, by key; lifted ones too."""
    return await SUPPRESSIONS.by_ids(workspace_id, ids)
