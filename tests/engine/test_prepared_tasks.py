"""A task that comes due is written out for its person; what cannot be written out is an error, as with an email."""

from dataclasses import replace
from uuid import UUID

import pytest

from domain import contacts, pending, recipients
from domain.contacts import ContactFields
from domain.database import fetch
from domain.own_content import NewContent
from domain.refusals import Invalid
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.sending_world import open_error, set_row
from tests.world import make_world, statuses, task


async def test_a_task_names_its_person(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    call = replace(task("Call {{ first_name }}"), task_notes="From {{ sender.name }} & co, about {{ email }}")
    await make_world(workspace_id, actor, vault, steps=[call])
    assert await pending.put_due_before_people() == 1
    (row,) = await fetch("SELECT task_title, task_notes FROM pending_actions WHERE workspace_id = $1", workspace_id)
    assert row["task_title"] == "Call Person 0"
    assert row["task_notes"] == "From Jo Recruiter & co, about p0@people.example"


async def test_a_missing_value_is_an_error_until_it_is_filled_in(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task("Call {{ company }}")])
    (recipient_id,) = world.recipient_ids
    await pending.put_due_before_people()
    error = await open_error(recipient_id)
    assert (error["code"], error["detail"]) == ("VARIABLE_MISSING", "company")
    assert await statuses(workspace_id) == {"ERROR": 1}
    named = ContactFields(values={"email": "p0@people.example", "company": "Zee"})
    await contacts.upsert(workspace_id, named)
    await recipients.retry(workspace_id, actor, recipient_id)
    await pending.put_due_before_people()
    (row,) = await fetch("SELECT task_title FROM pending_actions WHERE workspace_id = $1", workspace_id)
    assert row["task_title"] == "Call Zee"


@pytest.mark.parametrize(
    ("title", "code"), [("Call {{ first_name", "TEMPLATE_INVALID"), ("{{ '' }} ", "CONTENT_EMPTY")]
)
async def test_a_title_that_cannot_be_written_out_is_an_error(
    workspace_id: UUID, actor: Actor, vault: Vault, title: str, code: str
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task()], activate=False)
    await set_row("steps", world.step_ids[0], task_title=title)  # stored before templates were checked
    await set_row("sequences", world.sequence_id, status="ACTIVE")
    await set_row("recipients", world.recipient_ids[0], due_at=await _now(), due_kind="TASK")
    await pending.put_due_before_people()
    assert (await open_error(world.recipient_ids[0]))["code"] == code


async def _now() -> object:
    return (await fetch("SELECT now() AS now"))[0]["now"]


async def test_an_edit_of_a_waiting_task_is_written_out_again(workspace_id: UUID, actor: Actor, vault: Vault) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task("Call {{ first_name }}")])
    await pending.put_due_before_people()
    who = workspace_id, actor, world.recipient_ids[0], world.step_ids[0]
    await recipients.edit_content(*who, NewContent(task_title="Ring {{ first_name }} now"))
    assert await _title(workspace_id) == ("Ring Person 0 now", 2)
    await recipients.edit_content(*who, None)
    assert await _title(workspace_id) == ("Call Person 0", 3)


async def test_an_edit_that_cannot_be_written_out_is_refused_and_changes_nothing(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[task("Call {{ first_name }}")])
    await pending.put_due_before_people()
    who = workspace_id, actor, world.recipient_ids[0], world.step_ids[0]
    with pytest.raises(Invalid):
        await recipients.edit_content(*who, NewContent(task_title="Ring {{ fields.nosuch }}"))
    assert await _title(workspace_id) == ("Call Person 0", 1)
    assert await fetch("SELECT 1 FROM recipient_steps WHERE workspace_id = $1", workspace_id) == []


async def _title(workspace_id: UUID) -> tuple[str, int]:
    (row,) = await fetch("SELECT task_title, version FROM pending_actions WHERE workspace_id = $1", workspace_id)
    return row["task_title"], row["version"]
