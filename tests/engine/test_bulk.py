"""One action for everyone whom a filter keeps: in batches by a worker, each of them once, whatever is cut off."""

from collections.abc import Awaitable, Callable, Collection
from uuid import UUID

import pytest

from domain import bulk, keys, recipients, sequences
from domain.database import fetch
from domain.reading import bulk as reading
from domain.reading.bulk import BulkOperationRow, BulkRefusalRow
from domain.reading.filters import EVERYTHING, RecipientFilter
from domain.reading.pages import Slice
from domain.recipients import Acted
from domain.refusals import BulkOperationEnded, Invalid, NotFound
from domain.rules.actor import Actor
from domain.rules.bulk import BulkAction, BulkKind, BulkStatus, RefusedAlike, summary
from domain.rules.ids import new_id
from domain.rules.lifecycle import Status
from domain.rules.outcomes import Refused
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all
from tests.world import IN_AN_HOUR, World, email, make_world, statuses

LATER = (email(wait=IN_AN_HOUR), email(wait=IN_AN_HOUR))


async def shown(workspace_id: UUID, operation_id: UUID) -> BulkOperationRow:
    return (await reading.by_ids(workspace_id, [operation_id]))[operation_id]


async def refusals(workspace_id: UUID, operation_id: UUID) -> list[BulkRefusalRow]:
    """All of them, two to a page."""
    found: list[BulkRefusalRow] = []
    after = None
    for _ in range(100):
        (page,) = await reading.refusals_of(workspace_id, [operation_id], slice=Slice(2, after))
        found += page.rows
        if not page.has_next_page:
            break
        after = page.cursor(-1)
    return found


async def done(workspace_id: UUID, actor: Actor, action: BulkAction, **options: object) -> BulkOperationRow:
    """Order an action for everyone, or those of a filter, and carry it out."""
    kept = options.pop("filter", EVERYTHING)
    operation_id = await bulk.create(workspace_id, actor, action, kept, **options)  # type: ignore[arg-type]
    while await bulk.go_on():
        pass
    return await shown(workspace_id, operation_id)


async def stop_some(world: World, actor: Actor, those: Collection[UUID]) -> None:
    for one in those:
        await recipients.stop(world.workspace_id, actor, one)


async def test_a_dry_run_says_what_would_be_changed_and_refused_and_changes_nobody(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=8)
    await stop_some(world, actor, world.recipient_ids[:3])
    await recipients.pause(workspace_id, actor, world.recipient_ids[3])
    before = await statuses(workspace_id)
    tried = await done(workspace_id, actor, BulkAction.PAUSE, dry_run=True)
    assert (tried.status, tried.matched, tried.done, tried.changed, tried.refused) == (BulkStatus.COMPLETED, 8, 8, 4, 4)
    assert await reading.summaries(workspace_id, [tried]) == ["Would change 4, refuse 4: 3 have ended, 1 is paused."]
    assert await statuses(workspace_id) == before
    real = await done(workspace_id, actor, BulkAction.PAUSE)
    assert (real.changed, real.refused) == (4, 4)
    assert await reading.summaries(workspace_id, [real]) == ["Changed 4, refused 4: 3 have ended, 1 is paused."]
    assert await statuses(workspace_id) == {"STOPPED": 3, "PAUSED": 5}
    listed = await refusals(workspace_id, real.key)
    assert {one.recipient_key for one in listed} == set(world.recipient_ids[:4])
    assert {one.code for one in listed} == {"ACTION_NOT_AVAILABLE"}
    one_by_one = await recipients.each(workspace_id, [one.recipient_key for one in listed], _pause(workspace_id, actor))
    assert [str(answer) for answer in one_by_one] == [one.message for one in listed]


def _pause(workspace_id: UUID, actor: Actor) -> Callable[[UUID], Awaitable[Acted]]:
    return lambda key: recipients.pause(workspace_id, actor, key)


async def test_a_cut_batch_leaves_nothing_and_the_operation_goes_on_there_with_everyone_changed_once(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=503)
    operation_id = await bulk.create(workspace_id, actor, BulkAction.PAUSE, EVERYTHING)
    assert (await shown(workspace_id, operation_id)).status is BulkStatus.PENDING
    assert await bulk.go_on()
    half = await shown(workspace_id, operation_id)
    assert (half.status, half.done, half.changed) == (BulkStatus.RUNNING, 500, 500)
    await fetch("CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$")
    await fetch("CREATE TRIGGER cut BEFORE UPDATE OF done ON bulk_operations FOR EACH ROW EXECUTE FUNCTION cut()")
    assert await bulk.go_on() is False
    await fetch("DROP TRIGGER cut ON bulk_operations")
    assert await shown(workspace_id, operation_id) == half
    assert await statuses(workspace_id) == {"PAUSED": 500, "SCHEDULED": 3}
    assert await bulk.go_on() is False  # a failure gives the others their turn first
    await fetch("WITH u AS (UPDATE bulk_operations SET turned_at = now() RETURNING 1) SELECT 1")
    while await bulk.go_on():
        pass
    ended = await shown(workspace_id, operation_id)
    assert (ended.status, ended.done, ended.changed, ended.refused) == (BulkStatus.COMPLETED, 503, 503, 0)
    rows = await fetch(
        "SELECT count(*) AS events, count(DISTINCT recipient_id) AS people FROM events "
        "WHERE workspace_id = $1 AND status = 'PAUSED'",
        workspace_id,
    )
    assert (rows[0]["events"], rows[0]["people"]) == (503, len(world.recipient_ids))


async def test_cancelling_leaves_the_rest_as_it_is_and_what_has_ended_cannot_be_cancelled(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=LATER, people=502)
    operation_id = await bulk.create(workspace_id, actor, BulkAction.STOP, EVERYTHING)
    assert await bulk.go_on()
    for _ in range(2):
        await bulk.cancel(workspace_id, operation_id)
    assert await bulk.go_on() is False
    cancelled = await shown(workspace_id, operation_id)
    assert (cancelled.status, cancelled.matched, cancelled.done) == (BulkStatus.CANCELLED, 502, 500)
    assert await statuses(workspace_id) == {"STOPPED": 500, "SCHEDULED": 2}
    other = await done(workspace_id, actor, BulkAction.DELETE)
    assert (other.changed, await statuses(workspace_id)) == (502, {})
    with pytest.raises(BulkOperationEnded):
        await bulk.cancel(workspace_id, other.key)
    with pytest.raises(NotFound):
        await bulk.cancel(workspace_id, new_id())


async def test_those_chosen_are_meant_whatever_they_become_and_nobody_who_comes_later(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=4)
    stayed, skipped, stopped, deleted = world.recipient_ids
    scheduled = RecipientFilter(statuses=[Status.SCHEDULED])
    operation_id = await bulk.create(workspace_id, actor, BulkAction.PAUSE, scheduled)
    await recipients.skip_step(workspace_id, actor, skipped, world.step_ids[0])  # no longer what the filter keeps
    await recipients.stop(workspace_id, actor, stopped)
    await recipients.delete(workspace_id, actor, deleted)
    while await bulk.go_on():
        pass
    ended = await shown(workspace_id, operation_id)
    assert (ended.matched, ended.changed, ended.refused) == (4, 2, 2)
    assert {one.recipient_key: one.code for one in await refusals(workspace_id, operation_id)} == {
        stopped: "ACTION_NOT_AVAILABLE",
        deleted: "NOT_FOUND",
    }
    assert await statuses(workspace_id) == {"PAUSED": 2, "STOPPED": 1}
    assert stayed != skipped


async def test_steps_are_skipped_only_where_they_are_the_current_one_and_the_step_must_be_named(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=3)
    first, second = world.step_ids
    await recipients.skip_step(workspace_id, actor, world.recipient_ids[0], first)
    skipped = await done(workspace_id, actor, BulkAction.SKIP_STEP, step_id=first)
    assert (skipped.changed, skipped.refused) == (2, 1)
    assert await reading.summaries(workspace_id, [skipped]) == ["Changed 2, refused 1: 1 is not at this step."]
    assert (await done(workspace_id, actor, BulkAction.SKIP_STEP, step_id=second)).changed == 3
    assert await statuses(workspace_id) == {"COMPLETED": 3}
    with pytest.raises(Invalid, match="Name the step"):
        await bulk.create(workspace_id, actor, BulkAction.SKIP_STEP, EVERYTHING)
    with pytest.raises(Invalid, match="only with SKIP_STEP"):
        await bulk.create(workspace_id, actor, BulkAction.STOP, EVERYTHING, step_id=first)
    with pytest.raises(NotFound):
        await bulk.create(workspace_id, actor, BulkAction.SKIP_STEP, EVERYTHING, step_id=new_id())


async def test_errors_are_retried_and_the_paused_resumed_as_one_by_one(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=3)
    await carry(await claim_all(), Refused("RECIPIENT_REFUSED_CONTENT", "554 5.7.1 spam"))
    await recipients.pause(workspace_id, actor, world.recipient_ids[0])
    tried = await done(workspace_id, actor, BulkAction.RETRY)
    assert (tried.changed, tried.refused) == (2, 1)
    assert await reading.summaries(workspace_id, [tried]) == ["Changed 2, refused 1: 1 offers no retry."]
    resumed = await done(workspace_id, actor, BulkAction.RESUME, filter=RecipientFilter(statuses=[Status.PAUSED]))
    assert (resumed.matched, resumed.changed) == (1, 1)
    claims = await claim_all()
    assert len(claims) == 3  # the resumed one's error is retried with it, as recipientResume does
    stopped = await done(workspace_id, actor, BulkAction.STOP)
    assert (stopped.changed, stopped.in_flight) == (3, 0)
    await sequences.pause(workspace_id, world.sequence_id)
    nothing = await done(workspace_id, actor, BulkAction.PAUSE, filter=RecipientFilter(statuses=[Status.PAUSED]))
    assert (nothing.status, nothing.matched) == (BulkStatus.COMPLETED, 0)


async def test_each_workspace_has_its_turn_beside_a_large_operation_of_another(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=LATER, people=501)
    other_workspace_id = await keys.create_workspace("Other")
    await make_world(other_workspace_id, actor, vault, steps=LATER, people=2)
    large = await bulk.create(workspace_id, actor, BulkAction.PAUSE, EVERYTHING)
    small = await bulk.create(other_workspace_id, actor, BulkAction.PAUSE, EVERYTHING)
    assert await bulk.go_on()
    assert (await shown(workspace_id, large)).done == 500
    assert (await shown(other_workspace_id, small)).status is BulkStatus.COMPLETED


async def test_an_operation_is_forgotten_thirty_days_after_its_end(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=LATER, people=2)
    await stop_some(world, actor, world.recipient_ids[:1])
    old = await done(workspace_id, actor, BulkAction.PAUSE)
    fresh = await done(workspace_id, actor, BulkAction.RESUME)
    await fetch(
        "WITH u AS (UPDATE bulk_operations SET ended_at = ended_at - interval '31 days' WHERE id = $1 RETURNING 1) "
        "SELECT 1",
        old.key,
    )
    assert await bulk.forget_old() is False
    assert list(await reading.by_ids(workspace_id, [old.key, fresh.key])) == [fresh.key]


def test_the_summary_says_for_each_reason_how_many() -> None:
    alike = [
        RefusedAlike("ACTION_NOT_AVAILABLE", Status.REPLIED, 20),
        RefusedAlike("ACTION_NOT_AVAILABLE", Status.STOPPED, 9),
        RefusedAlike("ACTION_NOT_AVAILABLE", Status.PAUSED, 1),
        RefusedAlike("NOT_FOUND", None, 1),
    ]
    told = summary(BulkKind.PAUSE, dry_run=True, changed=1_812, refused=31, alike=alike)
    assert told == "Would change 1,812, refuse 31: 29 have ended, 1 is paused, 1 is gone."
    assert summary(BulkKind.STOP, dry_run=False, changed=3, refused=0, alike=[]) == "Changed 3, refused none."
