"""The tables of product.md on real rows: what is available succeeds and yields what the page says, what is not is
refused and changes nothing; every signal is taken in and does to each status what its cell says.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from domain import recipients, sequences, signals
from domain.database import fetch, tx
from domain.own_content import NewContent
from domain.recipients import Acted
from domain.refusals import ActionNotAvailable, NotFound
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import ENDS, OPEN, Action, Signal, Status
from domain.secrets import Vault
from domain.writing import read
from tests.engine.standing import events_of, make_standing, picture_of, row_of
from tests.rules.product_tables import Told, allowed_actions, signal_effects

ALLOWED = allowed_actions()
ONLY_WHILE_SEQUENCE_PAUSED = (Action.STOP, Action.DELETE)


def product_allows(status: Status) -> tuple[Action, ...]:
    return tuple(action for action in Action if ALLOWED[status, action])


class Hands:
    """A person who presses each of the six buttons."""

    def __init__(self, workspace_id: UUID, actor: Actor, last_step_id: UUID) -> None:
        self.workspace_id, self.actor, self.last_step_id = workspace_id, actor, last_step_id

    async def press(self, action: Action, recipient_id: UUID, step_id: UUID | None) -> Acted:
        verb: dict[Action, Callable[..., Awaitable[Acted]]] = {
            Action.PAUSE: recipients.pause,
            Action.RESUME: recipients.resume,
            Action.STOP: recipients.stop,
            Action.DELETE: recipients.delete,
            Action.SKIP_STEP: recipients.skip_step,
            Action.EDIT_CONTENT: recipients.edit_content,
        }
        rest: list[object] = []
        if action in (Action.SKIP_STEP, Action.EDIT_CONTENT):
            rest.append(step_id or self.last_step_id)
        if action is Action.EDIT_CONTENT:
            kind = (await fetch("SELECT kind FROM steps WHERE id = $1", rest[0]))[0]["kind"]
            rest.append(NewContent(task_title="Call twice") if kind == "TASK" else NewContent(body="My own words."))
        return await verb[action](self.workspace_id, self.actor, recipient_id, *rest)


def yields(action: Action, status: Status) -> Status | None:
    """What product.md says an available action leads to; None: deleted."""
    if action is Action.DELETE:
        return None
    if action is Action.EDIT_CONTENT:
        # In ERROR it tries the failed step again; the failed one here is the first, so nothing has been done yet.
        return Status.SCHEDULED if status is Status.ERROR else status
    return {
        Action.PAUSE: Status.PAUSED,
        Action.RESUME: Status.SCHEDULED,  # those here were paused before their first step
        Action.SKIP_STEP: Status.IN_PROGRESS,
        Action.STOP: Status.STOPPED,
    }[action]


async def _succeeds(
    hands: Hands, action: Action, recipient_id: UUID, status: Status, *, follows_first: bool = False
) -> None:
    before = await row_of(recipient_id)
    told = len(await events_of(recipient_id))
    assert (await hands.press(action, recipient_id, before["current_step_id"])).in_flight == 0
    after, events = await row_of(recipient_id), await events_of(recipient_id)
    expected = yields(action, status)
    assert len(events) == told + 1 + follows_first
    assert after["version"] == before["version"] + 1 + follows_first == events[-1]["version"]
    was = Status.PAUSED if follows_first else before["status"]
    assert (events[-1]["previous_status"], events[-1]["status"]) == (was, expected)
    assert (events[-1]["actor_kind"], events[-1]["actor_id"]) == (hands.actor.kind, hands.actor.id)
    if expected is None:
        assert after["deleted_at"] is not None
    else:
        assert (after["status"], after["deleted_at"]) == (expected, None)
    if action is Action.SKIP_STEP:
        skipped = await fetch("SELECT step_id, outcome FROM recipient_steps WHERE recipient_id = $1", recipient_id)
        assert (before["current_step_id"], "SKIPPED") in [tuple(row) for row in skipped]
    if expected in (None, Status.PAUSED, Status.STOPPED):
        assert after["due_at"] is None
    still_open = await fetch(
        "SELECT (SELECT count(*) FROM step_errors WHERE recipient_id = $1 AND resolved_at IS NULL) AS errors, "
        "(SELECT count(*) FROM pending_actions WHERE recipient_id = $1 AND closed_at IS NULL) AS actions",
        recipient_id,
    )
    assert still_open[0]["errors"] == (after["error_id"] is not None)
    assert still_open[0]["actions"] == (after["pending_id"] is not None)


async def _is_refused(
    hands: Hands, action: Action, recipient_id: UUID, present: Status, available: tuple[Action, ...]
) -> None:
    step_id = (await row_of(recipient_id))["current_step_id"]
    before = await picture_of(recipient_id)
    with pytest.raises(ActionNotAvailable) as refusal:
        await hands.press(action, recipient_id, step_id)
    assert (refusal.value.status, refusal.value.available) == (present, available)
    assert refusal.value.message.endswith(".")
    assert await picture_of(recipient_id) == before


async def test_every_action_does_on_every_status_what_the_table_says(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, standing = await make_standing(workspace_id, actor, vault, each=len(Action))
    hands = Hands(workspace_id, actor, world.step_ids[-1])
    for status, ids in standing.items():
        for action, recipient_id in zip(Action, ids, strict=True):
            if ALLOWED[status, action]:
                await _succeeds(hands, action, recipient_id, status)
            else:
                await _is_refused(hands, action, recipient_id, status, product_allows(status))


@pytest.mark.parametrize("rows_have_followed", [True, False])
async def test_while_the_sequence_is_paused_an_open_recipient_can_only_be_given_up(
    rows_have_followed: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, standing = await make_standing(workspace_id, actor, vault, each=len(Action))
    if rows_have_followed:
        await sequences.pause(workspace_id, world.sequence_id)
    else:  # the moment after the answer for a sequence of 100,000: the gate is shut, no row is rewritten yet
        await fetch(
            "WITH u AS (UPDATE sequences SET status = 'PAUSED', settling = true, paused_at = now() WHERE id = $1 "
            "RETURNING 1) SELECT * FROM u",
            world.sequence_id,
        )
    hands = Hands(workspace_id, actor, world.step_ids[-1])
    for status, ids in standing.items():
        present = Status.PAUSED if status in OPEN else status
        available = ONLY_WHILE_SEQUENCE_PAUSED if status in OPEN else product_allows(status)
        for action, recipient_id in zip(Action, ids, strict=True):
            if action in available:
                follows_first = status in OPEN and not rows_have_followed
                await _succeeds(hands, action, recipient_id, status, follows_first=follows_first)
            else:
                await _is_refused(hands, action, recipient_id, present, available)


async def test_resuming_the_sequence_lifts_only_its_own_hold(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world, standing = await make_standing(workspace_id, actor, vault, each=1)
    await sequences.pause(workspace_id, world.sequence_id)
    paused = {status: (await row_of(ids[0]))["status"] for status, ids in standing.items()}
    assert paused == {status: Status.PAUSED if status in OPEN else status for status in Status}
    await sequences.resume(workspace_id, world.sequence_id)
    assert {status: (await row_of(ids[0]))["status"] for status, ids in standing.items()} == {
        status: status for status in Status
    }


async def _signal(workspace_id: UUID, signal: Signal, recipient_id: UUID, step_id: UUID | None) -> None:
    fact = Fact(signal=signal, recipient_id=recipient_id, actor=ENGINE, step_id=step_id)
    await signals.apply(workspace_id, fact)


@pytest.mark.parametrize("sequence_paused", [False, True])
async def test_every_signal_does_to_every_status_what_its_cell_says(
    sequence_paused: bool, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, standing = await make_standing(workspace_id, actor, vault, each=len(Signal))
    if sequence_paused:
        await sequences.pause(workspace_id, world.sequence_id)
    effects = signal_effects()
    for status, ids in standing.items():
        for signal, recipient_id in zip(Signal, ids, strict=True):
            before, told = await row_of(recipient_id), len(await events_of(recipient_id))
            await _signal(workspace_id, signal, recipient_id, before["current_step_id"] or world.step_ids[-1])
            after, events = await row_of(recipient_id), await events_of(recipient_id)
            case = f"{signal} on {status}, now {after['status']}"
            _agrees(effects[signal, status], dict(before), dict(after), case)
            assert len(events) - told == after["version"] - before["version"] <= 1, case
            facts = (await tx(workspace_id, lambda t, one=recipient_id: read(t, [one])))[recipient_id]  # type: ignore[misc]
            assert after["status"] == facts.status, case


def _agrees(told: Told, before: dict[str, object], after: dict[str, object], case: str) -> None:
    if told.status == Status.ERROR:
        held = before["paused_at"] is not None or before["sequence_paused_at"] is not None
        assert after["status"] == (Status.PAUSED if held else Status.ERROR), case
        assert after["error_id"] is not None, case
    elif told.status is not None:
        assert (after["status"], after["end_reason"]) == (told.status, told.reason), case
        assert ENDS[after["end_reason"]] == told.status, case  # type: ignore[index]
    elif told.carried_out and before["current_step_id"] is not None:
        assert after["current_step_id"] != before["current_step_id"], case
        assert after["error_id"] is None, case
        assert after["paused_at"] == before["paused_at"], case
        assert after["contacted_at"] is not None, case
    else:
        assert (after["status"], after["end_reason"]) == (before["status"], before["end_reason"]), case
    if told.reply_noted:
        assert after["replied_at"] is not None, case


async def test_a_signal_about_a_deleted_recipient_is_taken_in_and_changes_no_row(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world, standing = await make_standing(workspace_id, actor, vault, each=len(Signal))
    for status in (Status.SCHEDULED, Status.ERROR, Status.PENDING_ACTION, Status.COMPLETED):
        for signal, recipient_id in zip(Signal, standing[status], strict=True):
            await recipients.delete(workspace_id, actor, recipient_id)
            before = await picture_of(recipient_id)
            await _signal(workspace_id, signal, recipient_id, world.step_ids[0])
            assert await picture_of(recipient_id) == before
            with pytest.raises(NotFound):
                await recipients.pause(workspace_id, actor, recipient_id)
    # The person is bound all the same: an opt-out after the deletion holds in every other sequence.
    suppressed = await fetch("SELECT count(*) AS n FROM suppressions WHERE workspace_id = $1", workspace_id)
    assert suppressed[0]["n"] >= 4
