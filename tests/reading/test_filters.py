"""Each filter keeps exactly what a look at the rows would keep, and what rows say agrees with what filters find."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.database import fetch
from domain.reading import recipients, sequences
from domain.reading.filters import Compared, RecipientFilter
from domain.reading.pages import AT_MOST, Slice
from domain.reading.rows import RecipientRow
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.rules.lifecycle import OPEN, Action, EndReason, Stage, Status
from domain.rules.standing import PausedBy, WaitingReason
from domain.rules.step_errors import StepErrorCode
from domain.secrets import Vault
from tests.reading.population import WANTS, Population, populate

Keeps = Callable[[RecipientRow], bool]
EVERYONE = Slice(first=AT_MOST)


@pytest.fixture
async def population(workspace_id: UUID, actor: Actor, vault: Vault) -> Population:
    return await populate(workspace_id, actor, vault)


def cases(rows: list[RecipientRow], population: Population) -> list[tuple[RecipientFilter, Keeps]]:
    """Each filter, and what it means in Python."""
    middle = sorted(row.enrolled_at for row in rows)[len(rows) // 2]
    due = sorted(row.due_at for row in rows if row.due_at)[3]
    some = rows[5]
    found: list[tuple[RecipientFilter, Keeps]] = []

    def add(given: RecipientFilter, keeps: Keeps) -> None:
        found.append((given, keeps))

    for status in Status:
        add(RecipientFilter(statuses=[status]), lambda r, s=status: r.status is s)  # type: ignore[misc]
    for stage in Stage:
        add(RecipientFilter(stages=[stage]), lambda r, s=stage: r.stage is s)  # type: ignore[misc]
    for reason in EndReason:
        add(RecipientFilter(end_reasons=[reason]), lambda r, e=reason: r.end_reason is e)  # type: ignore[misc]
    for waiting in WaitingReason:
        add(RecipientFilter(waiting_reasons=[waiting]), lambda r, w=waiting: r.waiting_reason is w)  # type: ignore[misc]
    for action in Action:
        add(RecipientFilter(available_action=action), lambda r, a=action: a in r.available_actions)  # type: ignore[misc]
    for by in PausedBy:
        add(RecipientFilter(paused_by=by), lambda r, b=by: r.paused_by is b)  # type: ignore[misc]
    for needs in (True, False):
        add(RecipientFilter(needs_attention=needs), lambda r, n=needs: r.needs_attention is n)  # type: ignore[misc]
    add(RecipientFilter(statuses=OPEN), lambda r: r.status in OPEN)
    add(RecipientFilter(statuses=[]), lambda r: False)
    add(RecipientFilter(statuses=[Status.PAUSED, Status.ERROR]), lambda r: r.status in (Status.PAUSED, Status.ERROR))
    add(RecipientFilter(error_codes=[StepErrorCode.MAILBOX_FULL]), lambda r: r.status is Status.ERROR)
    add(RecipientFilter(error_codes=[StepErrorCode.NO_MAILBOX]), lambda r: False)
    add(RecipientFilter(ids=[some.key]), lambda r: r.key == some.key)
    add(RecipientFilter(ids=[]), lambda r: False)
    add(RecipientFilter(sequence_id=population.paused_id), lambda r: r.sequence_key == population.paused_id)
    add(RecipientFilter(contact_id=some.contact_key), lambda r: r.contact_key == some.contact_key)
    add(
        RecipientFilter(mailbox_id=population.active.mailbox_id),
        lambda r: r.mailbox is not None and r.mailbox.key == population.active.mailbox_id,
    )
    add(
        RecipientFilter(step_id=population.active.step_ids[1]),
        lambda r: r.current_step_key == population.active.step_ids[1],
    )
    add(RecipientFilter(enrolled_at=Compared(gte=middle)), lambda r: r.enrolled_at >= middle)
    add(RecipientFilter(enrolled_at=Compared(lt=middle)), lambda r: r.enrolled_at < middle)
    add(RecipientFilter(enrolled_at=Compared(eq=middle)), lambda r: r.enrolled_at == middle)
    add(RecipientFilter(updated_at=Compared(gt=middle)), lambda r: r.updated_at > middle)
    add(RecipientFilter(due_at=Compared(lte=due)), lambda r: r.due_at is not None and r.due_at <= due)
    add(RecipientFilter(due_at=Compared(is_null=True)), lambda r: r.due_at is None)
    add(RecipientFilter(replied_at=Compared(is_null=False)), lambda r: r.replied_at is not None)
    for word in ("ada", "lovelace", "Ada Love", "ÉMILE", "adele_100%", "adele%", "w1", "behind & co", "_da", "\\"):
        add(RecipientFilter(search=word), lambda r, w=word: _meant(r, w))  # type: ignore[misc]
    return found


def _meant(row: RecipientRow, word: str) -> bool:
    assert row.contact is not None
    c = row.contact
    full = f"{c.first_name} {c.last_name}" if c.first_name and c.last_name else None
    names = (c.first_name, c.last_name, full, c.email, c.company)
    return any(name.lower().startswith(word.lower()) for name in names if name)


async def everyone(workspace_id: UUID) -> list[RecipientRow]:
    page = await recipients.page(workspace_id, slice=EVERYONE, wants=WANTS)
    assert not page.has_next_page
    return list(page.rows)


async def kept_by(workspace_id: UUID, given: RecipientFilter) -> set[UUID]:
    page = await recipients.page(workspace_id, filter=given, slice=EVERYONE, wants={"total_count"})
    assert page.total_count == len(page.rows)
    return {row.key for row in page.rows}


async def test_each_filter_keeps_what_a_look_at_the_rows_keeps(workspace_id: UUID, population: Population) -> None:
    rows = await everyone(workspace_id)
    shown = {row.status for row in rows}
    assert shown == set(Status)
    waiting = {row.waiting_reason for row in rows}
    assert waiting == {*WaitingReason, None}
    for given, keeps in cases(rows, population):
        assert await kept_by(workspace_id, given) == {row.key for row in rows if keeps(row)}, given


async def test_filters_joined_at_random_keep_what_a_look_at_the_rows_keeps(
    workspace_id: UUID, population: Population
) -> None:
    rows = await everyone(workspace_id)
    single = cases(rows, population)
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)

    def joined(depth: int) -> tuple[RecipientFilter, Keeps]:
        kind = chance.choice(["one", "all", "any", "none"]) if depth else "one"
        if kind == "one":
            return chance.choice(single)
        parts = [joined(depth - 1) for _ in range(chance.randint(1, 3))]
        tests = [keeps for _, keeps in parts]
        if kind == "all":
            return RecipientFilter(all_of=[part for part, _ in parts]), lambda r: all(keeps(r) for keeps in tests)
        if kind == "any":
            return RecipientFilter(any_of=[part for part, _ in parts]), lambda r: any(keeps(r) for keeps in tests)
        return RecipientFilter(none_of=parts[0][0]), lambda r: not tests[0](r)

    for _ in range(150):
        given, keeps = joined(3)
        assert await kept_by(workspace_id, given) == {row.key for row in rows if keeps(row)}, given


async def test_the_counts_of_a_filter_are_those_of_its_rows(workspace_id: UUID, population: Population) -> None:
    rows = await everyone(workspace_id)
    given = RecipientFilter(sequence_id=population.paused_id)
    counts = await sequences.counts_of_filter(workspace_id, given)
    mine = [row for row in rows if row.sequence_key == population.paused_id]
    assert {c.status: c.count for c in counts.by_status} == {s: sum(r.status is s for r in mine) for s in Status}
    assert {c.stage: c.count for c in counts.by_stage} == {s: sum(r.stage is s for r in mine) for s in Stage}
    by_owner = await sequences.counts_by_owner(
        workspace_id, "sequence", [population.paused_id, population.draft_id], RecipientFilter()
    )
    assert by_owner[population.paused_id] == counts


async def test_the_counts_of_a_sequence_are_its_tallies_with_every_status(
    workspace_id: UUID, population: Population
) -> None:
    counts = (await sequences.counts(workspace_id, [population.active.sequence_id]))[population.active.sequence_id]
    assert {count.status: count.count for count in counts.by_status} == dict.fromkeys(Status, 2)
    assert [count.stage for count in counts.by_stage] == list(Stage)


async def test_while_the_sequence_is_paused_open_ones_are_paused_before_their_rows_follow(
    workspace_id: UUID, population: Population
) -> None:
    rows = await recipients.by_ids(workspace_id, population.behind_ids, wants=WANTS)
    untouched, by_hand, stopped = (rows[key] for key in population.behind_ids)
    stored = await fetch("SELECT status, sequence_paused_at FROM recipients WHERE id = $1", untouched.key)
    assert (stored[0]["status"], stored[0]["sequence_paused_at"]) == ("SCHEDULED", None)
    assert (untouched.status, untouched.paused_by) == (Status.PAUSED, PausedBy.SEQUENCE)
    assert (untouched.next_attempt_at, untouched.waiting_reason) == (None, None)
    assert tuple(untouched.available_actions) == (Action.STOP, Action.DELETE)
    assert untouched.status_message == "The sequence is paused."
    assert (by_hand.paused_by, by_hand.paused_by_recipient) == (PausedBy.SEQUENCE, True)
    assert (stopped.status, stopped.paused_by) == (Status.STOPPED, None)


async def test_a_filter_that_is_too_deep_or_too_large_is_refused(workspace_id: UUID) -> None:
    deep = RecipientFilter()
    for _ in range(6):
        deep = RecipientFilter(none_of=deep)
    wide = RecipientFilter(any_of=[RecipientFilter()] * 60)
    crowd = RecipientFilter(ids=[workspace_id] * 201)
    novel = RecipientFilter(search="x" * 101)
    for given in (deep, wide, crowd, novel):
        with pytest.raises(Invalid):
            await recipients.page(workspace_id, filter=given)


async def test_another_workspace_sees_nothing_of_it(workspace_id: UUID, population: Population) -> None:
    from domain import keys

    stranger = await keys.create_workspace("Stranger")
    rows = await everyone(workspace_id)
    assert await everyone(stranger) == []
    assert await recipients.by_ids(stranger, [row.key for row in rows]) == {}
    assert await recipients.by_external_id(stranger, "ats-behind-0") is None
    assert await recipients.by_external_id(workspace_id, "ats-behind-0") is not None
    pages = await recipients.pages_by_owner(stranger, "sequence", [population.paused_id])
    assert [list(page.rows) for page in pages] == [[]]


async def test_what_is_said_of_steps_fits_the_recipient(workspace_id: UUID, population: Population) -> None:
    for row in await everyone(workspace_id):
        states: list[Any] = [step.state for step in row.steps]
        if row.current_step_key is None:
            assert row.next_step is None
            assert "CURRENT" not in states
            continue
        place = states.index("CURRENT")
        following = row.steps[place + 1].step if place + 1 < len(states) else None
        assert row.next_step == following
        assert row.steps[place].planned_for == row.due_at
        may_edit = Action.EDIT_CONTENT in row.available_actions
        handed_over = await fetch(
            "SELECT step_id FROM messages WHERE recipient_id = $1 AND state = 'HANDING_OVER'", row.key
        )
        fixed = {message["step_id"] for message in handed_over}
        assert [step.editable for step in row.steps] == [
            may_edit and step.state in ("CURRENT", "UPCOMING") and step.step.key not in fixed for step in row.steps
        ]


async def test_the_promise_is_never_before_the_due_time(workspace_id: UUID, population: Population) -> None:
    seen = 0
    for row in await everyone(workspace_id):
        if row.next_attempt_at is not None:
            seen += 1
            assert row.due_at is not None
            assert row.next_attempt_at >= row.due_at - timedelta(microseconds=1)
            assert row.status in (Status.SCHEDULED, Status.IN_PROGRESS)
    assert seen > 10


async def test_not_keeps_the_rows_whose_column_is_empty(workspace_id: UUID, population: Population) -> None:
    rows = await everyone(workspace_id)
    without = RecipientFilter(none_of=RecipientFilter(mailbox_id=population.active.mailbox_id))
    kept = await kept_by(workspace_id, without)
    assert {row.key for row in rows if row.mailbox is None} <= kept
