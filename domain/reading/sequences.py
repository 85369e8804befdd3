"""Sequences with their steps, mailboxes and counts.

The counts come from the tallies, which are folded together with the numbering of events: they always equal the feed
at its last number.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from domain.database import fetch
from domain.reading import recipient_rows
from domain.reading.columns import columns_of, to_mailbox, to_sequence, to_step
from domain.reading.filters import RecipientFilter, compile_filter, prefixes
from domain.reading.lists import Listing
from domain.reading.pages import AT_MOST, FIRST_PAGE, Order, Page, Parameters, Slice
from domain.reading.recipient_steps import steps_of_sequences
from domain.reading.recipients import OWNED, OWNERS
from domain.reading.rows import MailboxRow, SequenceRow, StageCount, StatusCount, StepRow
from domain.refusals import Invalid
from domain.rules.lifecycle import OPEN, Stage, Status, shown_status, stage_of
from domain.rules.plan import SequenceStatus
from domain.rules.tally import NOBODY

NEWEST_FIRST: Final = Order(mark="seq.created_at_desc", column="s.created_at", id_column="s.id")
SEQUENCES: Final = Listing(
    columns=columns_of("s", SequenceRow.COLUMNS),
    source="FROM sequences s",
    living=("s.workspace_id = $1",),
    make=to_sequence,
)
STEPS: Final = Listing(
    columns=columns_of("t", StepRow.COLUMNS), source="FROM steps t", living=("t.workspace_id = $1",), make=to_step
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFilter:
    """Which sequences. None does not filter."""

    ids: Collection[UUID] | None = None
    external_ids: Collection[str] | None = None
    statuses: Collection[SequenceStatus] | None = None
    search: str | None = None

    def conditions(self, p: Parameters) -> list[str]:
        found = []
        if self.ids is not None:
            found.append(f"s.id = ANY({p.add(list(self.ids), 'uuid[]')})")
        if self.external_ids is not None:
            found.append(f"s.external_id = ANY({p.add(list(self.external_ids), 'text[]')})")
        if self.statuses is not None:
            found.append(f"s.status = ANY({p.add([str(status) for status in self.statuses], 'text[]')})")
        if self.search is not None and self.search.strip():
            found.append(f"lower(s.name) LIKE ANY({p.add(prefixes(self.search), 'text[]')})")
        return found


@dataclass(frozen=True, slots=True)
class Counts:
    """How many recipients have each status and are in each stage; everything is there, 0 included."""

    by_status: list[StatusCount]
    by_stage: list[StageCount]


async def page(
    workspace_id: UUID, *, filter: SequenceFilter = SequenceFilter(), slice: Slice = FIRST_PAGE, counted: bool = False
) -> Page[SequenceRow]:
    """Return one page, newest first.

    Raises:
        Invalid, CursorInvalid
    """
    for name, given in (("ids", filter.ids), ("externalIds", filter.external_ids)):
        if given is not None and len(given) > AT_MOST:
            raise Invalid(f"`{name}` takes at most {AT_MOST} ids.", field=["filter", name])
    return await SEQUENCES.page(workspace_id, NEWEST_FIRST, slice, filter.conditions, counted=counted)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, SequenceRow]:
    """Return those of the sequences that are there, by key."""
    return await SEQUENCES.by_ids(workspace_id, ids)


async def steps_by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, StepRow]:
    """Return those of the steps that are there, by key; removed ones too."""
    return await STEPS.by_ids(workspace_id, ids)


async def steps(workspace_id: UUID, sequence_ids: Collection[UUID]) -> dict[UUID, list[StepRow]]:
    """Return the steps of each sequence in order, without removed ones."""
    found = await steps_of_sequences(workspace_id, sequence_ids)
    return {key: [step for step in all_ if step.removed_at is None] for key, all_ in found.items()}


async def mailboxes(workspace_id: UUID, sequence_ids: Collection[UUID]) -> dict[UUID, list[MailboxRow]]:
    """Return the mailboxes that each sequence sends from, in turn."""
    names = ", ".join(columns_of("m", MailboxRow.COLUMNS))
    records = await fetch(
        f"SELECT {names}, l.sequence_id FROM sequence_mailboxes l "
        "JOIN mailboxes m ON m.workspace_id = l.workspace_id AND m.id = l.mailbox_id "
        "WHERE l.workspace_id = $1 AND l.sequence_id = ANY($2::uuid[]) ORDER BY l.sequence_id, l.position",
        workspace_id,
        list(sequence_ids),
    )
    found: dict[UUID, list[MailboxRow]] = {sequence_id: [] for sequence_id in sequence_ids}
    for record in records:
        found[record["sequence_id"]].append(to_mailbox(record[: len(MailboxRow.COLUMNS)]))
    return found


# SQL, of a tally `a` of the sequence `s`: how many of those in ERROR were never written to, which tallies do not say
# and which is shown as soon as their sequence is paused. Looked up only until their rows have followed the pause.
NOT_CONTACTED: Final = f"""
    CASE WHEN a.status = 'ERROR' AND s.status = 'PAUSED' THEN least(a.count, (
        SELECT count(*) FROM recipients r WHERE r.workspace_id = a.workspace_id AND r.sequence_id = a.sequence_id
            AND r.status = 'ERROR' AND r.deleted_at IS NULL AND r.contacted_at IS NULL
            AND coalesce(r.mailbox_id, '{NOBODY}') = a.mailbox_id)) ELSE 0 END"""


async def counts(workspace_id: UUID, sequence_ids: Collection[UUID]) -> dict[UUID, Counts]:
    """Return the counts of each sequence, from the tallies."""
    records = await fetch(
        "SELECT a.sequence_id, a.status, a.stage, s.status AS sequence_status, sum(a.count)::bigint AS count, "
        f"sum({NOT_CONTACTED})::bigint AS not_contacted "
        "FROM tallies a JOIN sequences s ON s.workspace_id = a.workspace_id AND s.id = a.sequence_id "
        "WHERE a.workspace_id = $1 AND a.sequence_id = ANY($2::uuid[]) GROUP BY 1, 2, 3, 4",
        workspace_id,
        list(sequence_ids),
    )
    found: dict[UUID, list[tuple[Status, Stage, int]]] = {sequence_id: [] for sequence_id in sequence_ids}
    for record in records:
        found[record["sequence_id"]] += shown(record)
    return {sequence_id: _summed(entries) for sequence_id, entries in found.items()}


def shown(tally: Any) -> list[tuple[Status, Stage, int]]:
    """Return how many of a tally, with NOT_CONTACTED, are shown with which status and stage."""
    status, stage, count = Status(tally["status"]), Stage(tally["stage"]), tally["count"]
    if tally["sequence_status"] != SequenceStatus.PAUSED or status not in OPEN:
        return [(status, stage, count)]
    not_contacted = count if stage is Stage.SCHEDULED else tally["not_contacted"]
    split = ((False, not_contacted), (True, count - not_contacted))
    return [(Status.PAUSED, stage_of(Status.PAUSED, contacted=contacted), n) for contacted, n in split if n]


async def counts_of_filter(workspace_id: UUID, filter: RecipientFilter) -> Counts:
    """Return the counts of what a filter keeps, counted now.

    Raises:
        Invalid: the filter is out of bounds.
    """
    parameters = Parameters([workspace_id])
    records = await fetch(_counting("NULL::uuid", filter, [], parameters), *parameters.values)
    return _summed(_shown(record) for record in records)


async def counts_by_owner(
    workspace_id: UUID, owner: str, owner_ids: Collection[UUID], filter: RecipientFilter
) -> dict[UUID, Counts]:
    """Return the counts of what a filter keeps of each owner's recipients, counted now. Owners: recipients.OWNERS.

    Raises:
        Invalid: the filter is out of bounds.
    """
    parameters = Parameters([workspace_id])
    owned = [OWNED[owner].format(f"ANY({parameters.add(list(owner_ids), 'uuid[]')})")]
    records = await fetch(_counting(OWNERS[owner], filter, owned, parameters), *parameters.values)
    return {key: _summed(_shown(record) for record in records if record["owner_id"] == key) for key in owner_ids}


def _counting(owner: str, filter: RecipientFilter, kept: list[str], parameters: Parameters) -> str:
    where = ["r.workspace_id = $1", "r.deleted_at IS NULL", *kept, *compile_filter(filter, parameters)]
    return (
        f"SELECT {owner} AS owner_id, r.status, s.status AS sequence_status, r.contacted_at IS NOT NULL AS contacted, "
        f"count(*) AS n {recipient_rows.FROM} WHERE {' AND '.join(where)} GROUP BY 1, 2, 3, 4"
    )


def _shown(record: Any) -> tuple[Status, Stage, int]:
    status = shown_status(Status(record["status"]), sequence_paused=record["sequence_status"] == SequenceStatus.PAUSED)
    return status, stage_of(status, contacted=record["contacted"]), record["n"]


def _summed(entries: Iterable[tuple[Status, Stage, int]]) -> Counts:
    by_status = dict.fromkeys(Status, 0)
    by_stage = dict.fromkeys(Stage, 0)
    for status, stage, count in entries:
        by_status[status] += count
        by_stage[stage] += count
    return Counts(
        [StatusCount(status, count) for status, count in by_status.items()],
        [StageCount(stage, count) for stage, count in by_stage.items()],
    )
