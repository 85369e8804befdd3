"""Reports: how many recipients did what, each number with the filter that lists those behind it.

All numbers come from the counters that are folded with the feed (recounting.py): a report reads a few hundred rows,
whatever the number of recipients, and equals the feed at its last number. Recipients that were deleted are not in it,
stopped ones are.

Source: product.md section 7; quality.md "counts shown on screens".
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.database import fetch
from domain.reading.filters import Compared, RecipientFilter, StepOutcomes
from domain.reading.pages import Parameters
from domain.reading.sequences import NOT_CONTACTED, shown
from domain.refusals import Invalid
from domain.rules.lifecycle import Stage, Status
from domain.rules.tally import NOBODY, Measure, StepOutcome

DAYS_AT_MOST: Final = 366
_SET: Final = Compared(is_null=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and whom it counts."""

    count: int
    filter: RecipientFilter


@dataclass(frozen=True, slots=True)
class StepReport:
    step_id: UUID
    outcomes: dict[StepOutcome, Figure]


@dataclass(frozen=True, slots=True)
class Totals:
    """What is counted of a sequence, of a mailbox, or of both."""

    recipients: Figure
    by_status: dict[Status, Figure]
    by_stage: dict[Stage, Figure]
    contacted: Figure
    replied: Figure


@dataclass(frozen=True, slots=True)
class MailboxReport:
    mailbox_id: UUID
    totals: Totals


@dataclass(frozen=True, slots=True)
class DayReport:
    """What happened on one day, by who is counted with it now."""

    date: date
    counts: dict[str, int]
    whole: RecipientFilter
    span: Compared

    def figure(self, measure: Measure) -> Figure:
        """Return how many, and whom. Made when asked for: most of a year's are not."""
        match measure:
            case Measure.ENROLLED:
                filter = replace(self.whole, enrolled_at=self.span)
            case Measure.CONTACTED:
                filter = replace(self.whole, contacted_at=self.span)
            case Measure.REPLIED:
                filter = replace(self.whole, replied_at=self.span)
            case _:
                filter = replace(self.whole, statuses=[Status(measure)], ended_at=self.span)
        return Figure(self.counts.get(measure, 0), filter)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is reported on. None: every sequence, every mailbox."""

    workspace_id: UUID
    sequence_id: UUID | None = None
    mailbox_id: UUID | None = None

    @property
    def filter(self) -> RecipientFilter:
        return RecipientFilter(sequence_id=self.sequence_id, mailbox_id=self.mailbox_id)

    def narrowed(self, parameters: Parameters) -> str:
        """Return the further conditions on the counters `a` of the workspace."""
        found = []
        for column, key in (("sequence_id", self.sequence_id), ("mailbox_id", self.mailbox_id)):
            if key is not None:
                found.append(f"AND a.{column} = {parameters.add(key, 'uuid')}")
        return " ".join(found)


async def exists(scope: Scope) -> bool:
    """Return whether the sequence and the mailbox that are named are there.

    Raises:
        Invalid: it is a number for text messages. Recipients are counted with the mailbox of their emails.
    """
    rows = await fetch(
        """
        SELECT ($2::uuid IS NULL OR EXISTS (SELECT FROM sequences s WHERE s.workspace_id = $1 AND s.id = $2))
            AND ($3::uuid IS NULL OR EXISTS (SELECT FROM mailboxes m WHERE m.workspace_id = $1 AND m.id = $3)) AS there,
            EXISTS (SELECT FROM mailboxes m WHERE m.workspace_id = $1 AND m.id = $3 AND m.channel = 'SMS') AS is_number
        """,
        scope.workspace_id,
        scope.sequence_id,
        scope.mailbox_id,
    )
    if rows[0]["is_number"]:
        raise Invalid(
            "This is a number for text messages. Reports count by the mailbox of the emails: name one, or none.",
            field=["mailboxId"],
        )
    there: bool = rows[0]["there"]
    return there


async def totals(scope: Scope) -> Totals:
    """Return the numbers of all recipients."""
    found = await _by_mailbox(scope)
    return _totals(scope, [entry for entries in found.values() for entry in entries])


async def mailboxes(scope: Scope) -> list[MailboxReport]:
    """Return the numbers of each mailbox that anyone is written to from, by its id."""
    found = await _by_mailbox(scope)
    return [
        MailboxReport(key, _totals(replace(scope, mailbox_id=key), found[key]))
        for key in sorted(found)
        if key != NOBODY
    ]


# (status, stage, None) or (None, None, measure), and how many
_Entry = tuple[Status | None, Stage | None, str | None, int]


async def _by_mailbox(scope: Scope) -> dict[UUID, list[_Entry]]:
    parameters = Parameters([scope.workspace_id])
    rows = await fetch(
        f"""
        SELECT a.mailbox_id, a.status, a.stage, s.status AS sequence_status, NULL AS measure,
            sum(a.count)::bigint AS count, sum({NOT_CONTACTED})::bigint AS not_contacted
        FROM tallies a JOIN sequences s ON s.workspace_id = a.workspace_id AND s.id = a.sequence_id
        WHERE a.workspace_id = $1 {scope.narrowed(parameters)} GROUP BY 1, 2, 3, 4 HAVING sum(a.count) <> 0
        UNION ALL
        SELECT a.mailbox_id, NULL, NULL, NULL, a.measure, sum(a.count)::bigint, 0
        FROM report_tallies a
        WHERE a.workspace_id = $1 {scope.narrowed(parameters)} AND a.step_id = '{NOBODY}' AND a.quarter = '-infinity'
            AND a.measure IN ('CONTACTED', 'REPLIED')
        GROUP BY a.mailbox_id, a.measure HAVING sum(a.count) <> 0
        """,
        *parameters.values,
    )
    found: dict[UUID, list[_Entry]] = {}
    for row in rows:
        entries = found.setdefault(row["mailbox_id"], [])
        if row["status"] is None:
            entries.append((None, None, row["measure"], row["count"]))
        else:
            entries += [(status, stage, None, count) for status, stage, count in shown(row)]
    return found


def _totals(scope: Scope, entries: Iterable[_Entry]) -> Totals:
    by_status, by_stage, measures = Counter[Status](), Counter[Stage](), Counter[str]()
    for status, stage, measure, count in entries:
        if status is not None and stage is not None:
            by_status[status] += count
            by_stage[stage] += count
        elif measure is not None:
            measures[measure] += count
    whole = scope.filter
    return Totals(
        recipients=Figure(by_status.total(), whole),
        by_status={s: Figure(by_status[s], replace(whole, statuses=[s])) for s in Status},
        by_stage={s: Figure(by_stage[s], replace(whole, stages=[s])) for s in Stage},
        contacted=Figure(measures[Measure.CONTACTED], replace(whole, contacted_at=_SET)),
        replied=Figure(measures[Measure.REPLIED], replace(whole, replied_at=_SET)),
    )


async def steps(scope: Scope) -> list[StepReport]:
    """Return the funnel of a sequence: each step in order with what it was for how many; removed ones that somebody
    went through too. Empty without a sequence."""
    if scope.sequence_id is None:
        return []
    parameters = Parameters([scope.workspace_id])
    rows = await fetch(
        f"""
        SELECT t.id, a.measure, a.n FROM steps t LEFT JOIN (
            SELECT a.step_id, a.measure, sum(a.count)::bigint AS n FROM report_tallies a
            WHERE a.workspace_id = $1 {scope.narrowed(parameters)} AND a.step_id <> '{NOBODY}'
                AND a.quarter = '-infinity'
            GROUP BY 1, 2 HAVING sum(a.count) <> 0
        ) a ON a.step_id = t.id
        WHERE t.workspace_id = $1 AND t.sequence_id = {parameters.add(scope.sequence_id, "uuid")}
            AND (t.removed_at IS NULL OR a.n > 0)
        ORDER BY t.position, t.id
        """,
        *parameters.values,
    )
    counts: dict[UUID, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["id"], Counter())[row["measure"] or ""] += row["n"] or 0
    return [StepReport(key, _outcomes(scope, key, found)) for key, found in counts.items()]


def _outcomes(scope: Scope, step_id: UUID, counts: Counter[str]) -> dict[StepOutcome, Figure]:
    return {
        outcome: Figure(counts[outcome], replace(scope.filter, step_outcome=StepOutcomes(step_id, [outcome])))
        for outcome in StepOutcome
    }


async def days(scope: Scope, first: date, last: date, zone: ZoneInfo) -> list[DayReport]:
    """Return each day from the first to the last, in this zone: whoever was enrolled, written to for the first time,
    replied or ended on it.

    Raises:
        Invalid: the last lies before the first, or they are more than 366 days.
    """
    number = (last - first).days + 1
    if not 1 <= number <= DAYS_AT_MOST:
        raise Invalid(f"From the first to the last are {number} days; ask for 1 to {DAYS_AT_MOST}.", field=["until"])
    try:
        dates = [first + timedelta(days=n) for n in range(number)]
        bounds = [_start(day, zone) for day in [*dates, dates[-1] + timedelta(days=1)]]
    except OverflowError:
        raise Invalid("These days are out of the calendar. Ask for others.", field=["from"]) from None
    parameters = Parameters([scope.workspace_id])
    marks = parameters.add(bounds, "timestamptz[]")
    rows = await fetch(
        f"""
        SELECT width_bucket(a.quarter, {marks}) AS place, a.measure, sum(a.count)::bigint AS n
        FROM report_tallies a
        WHERE a.workspace_id = $1 {scope.narrowed(parameters)} AND a.step_id = '{NOBODY}'
            AND a.quarter >= ({marks})[1] AND a.quarter < ({marks})[{len(bounds)}]
        GROUP BY 1, 2
        """,
        *parameters.values,
    )
    counts: list[dict[str, int]] = [{} for _ in dates]
    for row in rows:
        counts[row["place"] - 1][row["measure"]] = row["n"]
    spans = [Compared(gte=opens, lt=closes) for opens, closes in pairwise(bounds)]
    return [DayReport(day, found, scope.filter, span) for day, found, span in zip(dates, counts, spans, strict=True)]


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
