"""Everything that failed for one cause: grouped, told in one sentence, and tried again by one act."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from uuid import UUID

import pytest

from domain import contacts, error_groups, mailboxes, recipients, sequences, unsendable
from domain.contacts import ContactFields
from domain.database import fetch
from domain.reading import error_groups as reading
from domain.reading.history_rows import ErrorGroupRow
from domain.refusals import NotFound, RetryNotAvailable
from domain.rules.actor import Actor
from domain.rules.error_groups import cause_key
from domain.rules.outcomes import Refused, Sent, Unknown
from domain.rules.step_errors import StepErrorCode
from domain.secrets import Vault
from tests.engine.sending_world import carry, claim_all, set_row
from tests.engine.standing import row_of
from tests.world import email, make_world, statuses

TAKEN = Sent("250 2.0.0 taken")


async def groups(workspace_id: UUID) -> Sequence[ErrorGroupRow]:
    return (await reading.page(workspace_id)).rows


async def lost_mailbox(workspace_id: UUID, actor: Actor, vault: Vault, people: int) -> tuple[UUID, ErrorGroupRow]:
    """So many people whose mailbox is disconnected; the mailbox and their group."""
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=people)
    await mailboxes.disconnect(workspace_id, world.mailbox_id)
    while await unsendable.fail_due_without_mailbox():
        pass
    (group,) = await groups(workspace_id)
    return world.mailbox_id, group


async def test_a_lost_mailbox_is_one_group_with_one_fix_and_connecting_it_offers_to_retry_them_all(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id, group = await lost_mailbox(workspace_id, actor, vault, 37)
    assert group.message == (
        "37 recipients: the mailbox jobs@sender.example is disconnected, so nothing can be sent from it."
    )
    assert (group.count, group.target_key) == (37, mailbox_id)
    assert group.suggested_fix.message == "Reconnect the mailbox jobs@sender.example, then retry."
    assert await reading.retryable(workspace_id, [group.key]) == {group.key: 0}
    with pytest.raises(RetryNotAvailable) as refused:
        await error_groups.retry(workspace_id, actor, group.key)
    assert "Reconnect the mailbox jobs@sender.example" in refused.value.message
    await mailboxes.connected(workspace_id, mailbox_id)
    assert await reading.retryable(workspace_id, [group.key]) == {group.key: 37}
    assert await claim_all() == []
    progress = await error_groups.retry(workspace_id, actor, group.key)
    assert (progress.matched, progress.retried, progress.refused, progress.ended) == (37, 37, 0, True)
    assert await groups(workspace_id) == []
    claims = await claim_all()
    assert len(claims) == 37
    await carry(claims, TAKEN)
    assert await statuses(workspace_id) == {"COMPLETED": 37}
    with pytest.raises(NotFound):
        await error_groups.retry(workspace_id, actor, group.key)


async def test_a_large_group_is_retried_in_batches_that_go_on_where_the_last_one_ended(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id, group = await lost_mailbox(workspace_id, actor, vault, 1_200)
    await mailboxes.connected(workspace_id, mailbox_id)
    first = await error_groups.retry(workspace_id, actor, group.key)
    assert (first.matched, first.retried, first.ended) == (1_200, 500, False)
    (shown,) = await groups(workspace_id)
    assert shown.retry is not None
    assert (shown.count, shown.retry.matched, shown.retry.retried, shown.retry.ended_at) == (700, 1_200, 500, None)
    # A batch and its progress are one: what cuts it off in the middle leaves nothing of it.
    await fetch("CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$")
    await fetch("CREATE TRIGGER cut BEFORE UPDATE ON error_group_retries FOR EACH ROW EXECUTE FUNCTION cut()")
    assert await error_groups.go_on() is False
    await fetch("DROP TRIGGER cut ON error_group_retries")
    assert await groups(workspace_id) == [shown]
    again = await error_groups.retry(workspace_id, actor, group.key)  # the same retry, not a second one
    assert (again.matched, again.retried, again.ended) == (1_200, 1_000, False)
    assert await error_groups.go_on() is False
    assert await groups(workspace_id) == []
    assert await statuses(workspace_id) == {"SCHEDULED": 1_200}
    runs = await fetch("SELECT DISTINCT step_run FROM recipients WHERE workspace_id = $1", workspace_id)
    assert [row["step_run"] for row in runs] == [2]
    assert await error_groups.go_on() is False


async def test_what_fails_again_is_not_retried_again_by_the_same_retry(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    mailbox_id, group = await lost_mailbox(workspace_id, actor, vault, 600)
    await mailboxes.connected(workspace_id, mailbox_id)
    assert not (await error_groups.retry(workspace_id, actor, group.key)).ended
    await mailboxes.disconnect(workspace_id, mailbox_id)
    while await unsendable.fail_due_without_mailbox():
        pass
    await mailboxes.connected(workspace_id, mailbox_id)
    await error_groups.go_on()
    (left,) = await groups(workspace_id)
    assert left.key == group.key
    assert left.retry is not None
    assert (left.count, left.retry.retried) == (500, 600)
    assert left.retry.ended_at is not None


async def test_a_retry_of_a_group_leaves_out_the_paused_and_those_whose_cause_lasts(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=3)
    for one in world.recipient_ids:
        contact_id = (await row_of(one))["contact_id"]
        await set_row("contacts", contact_id, email_bounced_at=datetime.now(UTC))
    await carry(await claim_all(), TAKEN)
    (group,) = await groups(workspace_id)
    assert group.message == ("3 recipients: mail to their addresses bounced before, so nothing more is sent to them.")
    assert (group.target_key, group.suggested_fix.target_id) == (None, None)
    lasting, paused, mended = world.recipient_ids
    for one in (paused, mended):
        contact_id = (await row_of(one))["contact_id"]
        address = {"email": f"{contact_id}@new.example"}
        await contacts.upsert(workspace_id, ContactFields(contact_id=contact_id, values=dict(address)))
    await recipients.pause(workspace_id, actor, paused)
    assert await reading.retryable(workspace_id, [group.key]) == {group.key: 1}
    progress = await error_groups.retry(workspace_id, actor, group.key)
    assert (progress.retried, progress.refused, progress.ended) == (1, 2, True)
    assert [(await row_of(one))["status"] for one in (lasting, paused, mended)] == ["ERROR", "PAUSED", "SCHEDULED"]
    await sequences.pause(workspace_id, world.sequence_id)
    with pytest.raises(RetryNotAvailable, match="Resume the sequence first"):
        await error_groups.retry(workspace_id, actor, group.key)


async def test_errors_are_grouped_by_variable_step_and_mailbox(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    steps = [email(body="{% if company == 'A' %}{{ fields.motto }}{% else %}{{ fields.nickname }}{% endif %}")]
    world = await make_world(workspace_id, actor, vault, steps=steps, people=3)
    contact_id = (await row_of(world.recipient_ids[0]))["contact_id"]
    await contacts.upsert(workspace_id, ContactFields(contact_id=contact_id, values={"company": "A"}))
    await carry(await claim_all(), TAKEN)
    found = {group.message: group for group in await groups(workspace_id)}
    assert set(found) == {
        "1 recipient: the variable “fields.motto” has no value for this person and no default.",
        "2 recipients: the variable “fields.nickname” has no value for them and no default.",
    }
    assert {group.target_key for group in found.values()} == {world.step_ids[0]}
    for group in found.values():
        assert (await reading.by_ids(workspace_id, [group.key]))[group.key] == group


async def test_an_unconfirmed_delivery_is_never_retried_by_its_group(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email()], people=2)
    await carry(await claim_all(), Unknown("silence"))
    (group,) = await groups(workspace_id)
    assert group.message.startswith("2 recipients: the connection broke at the last moment, so their messages")
    with pytest.raises(RetryNotAvailable, match="not certain"):
        await error_groups.retry(workspace_id, actor, group.key)
    assert await claim_all() == []


async def test_what_the_other_side_refused_is_retried_as_a_group_at_any_time(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], people=2)
    await carry(await claim_all(), Refused("RECIPIENT_REFUSED_CONTENT", "554 5.7.1 spam"))
    (group,) = await groups(workspace_id)
    assert group.target_key == world.step_ids[0]
    assert (await error_groups.retry(workspace_id, actor, group.key)).retried == 2
    assert len(await claim_all()) == 2


async def test_a_group_has_the_same_key_as_a_migrated_database_gives_it(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await lost_mailbox(workspace_id, actor, vault, 1)
    (error,) = await fetch("SELECT * FROM step_errors WHERE workspace_id = $1", workspace_id)
    ids = {name: error[name] for name in ("mailbox_id", "step_id", "sequence_id")}
    keys = import_module("domain.tables.migrations.0012_error_groups").KEYS
    for code in StepErrorCode:
        await set_row("step_errors", error["id"], code=str(code), detail="nickname")
        await fetch(f"WITH u AS ({keys} RETURNING 1) SELECT 1")
        (row,) = await fetch("SELECT cause_key FROM step_errors WHERE id = $1", error["id"])
        assert row["cause_key"] == cause_key(workspace_id, code, **ids, detail="nickname"), code
