"""API keys: shown once, known by their hash, gone when revoked or expired."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from domain import keys
from domain.database import fetch
from domain.refusals import Invalid, NotFound, WorkspaceUnknown
from domain.rules.access import Scope
from domain.rules.ids import new_id


async def test_a_key_opens_its_workspace_and_only_its_hash_is_stored(workspace_id: UUID) -> None:
    made = await keys.create(workspace_id, "partner")
    found = await keys.authenticate(made.secret)
    assert found is not None
    assert (found.id, found.workspace_id, found.workspace_name) == (made.id, workspace_id, "Acme")
    stored = str(dict((await fetch("SELECT * FROM api_keys WHERE id = $1", made.id))[0]))
    assert made.secret.rpartition("_")[2] not in stored


@pytest.mark.parametrize(
    "change", [lambda s: s[:-1], lambda s: s + "x", lambda s: s.swapcase(), lambda _: "", lambda _: "rel_"]
)
async def test_a_wrong_key_opens_nothing(workspace_id: UUID, change: object) -> None:
    made = await keys.create(workspace_id, "partner")
    assert callable(change)
    assert await keys.authenticate(change(made.secret)) is None


async def test_a_revoked_key_opens_nothing_and_revoking_twice_keeps_the_first_time(workspace_id: UUID) -> None:
    made = await keys.create(workspace_id, "partner")
    first = await keys.revoke(made.secret.split("_")[1])
    assert await keys.authenticate(made.secret) is None
    assert (await keys.revoke(made.secret)).revoked_at == first.revoked_at
    with pytest.raises(NotFound):
        await keys.revoke("nothing1")


async def test_an_expired_key_opens_nothing(workspace_id: UUID) -> None:
    past, future = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    assert await keys.authenticate((await keys.create(workspace_id, "old", expires_at=past)).secret) is None
    assert await keys.authenticate((await keys.create(workspace_id, "new", expires_at=future)).secret) is not None


async def test_the_last_use_is_noted_at_most_once_a_minute(workspace_id: UUID) -> None:
    made = await keys.create(workspace_id, "partner")
    await keys.touch(made.id)
    (first,) = await keys.list_keys(workspace_id)
    assert first.last_used_at is not None
    await keys.touch(made.id)
    assert [key.last_used_at for key in await keys.list_keys(workspace_id)] == [first.last_used_at]


async def test_a_key_needs_a_name_and_a_workspace(workspace_id: UUID) -> None:
    with pytest.raises(Invalid):
        await keys.create(workspace_id, "  ")
    with pytest.raises(WorkspaceUnknown):
        await keys.create(new_id(), "partner")


async def test_a_key_has_the_scopes_it_was_given_in_the_order_of_the_list(workspace_id: UUID) -> None:
    made = await keys.create(workspace_id, "partner", scopes=[Scope.CONTACTS_WRITE, Scope.READ, Scope.READ])
    found = await keys.authenticate(made.secret)
    assert found is not None
    assert found.scopes == {Scope.READ, Scope.CONTACTS_WRITE}
    stored = await fetch("SELECT scopes FROM api_keys WHERE workspace_id = $1 AND id = $2", workspace_id, made.id)
    assert stored[0]["scopes"] == "read contacts:write"
    with pytest.raises(Invalid):
        await keys.create(workspace_id, "nothing", scopes=[])
    with pytest.raises(asyncpg.CheckViolationError):
        await fetch("UPDATE api_keys SET scopes = 'read everything' WHERE workspace_id = $1", workspace_id)


async def test_a_rotated_key_works_beside_its_successor_for_a_while_and_no_third_does(workspace_id: UUID) -> None:
    old = await keys.create(workspace_id, "partner", scopes=[Scope.READ])
    new = await keys.rotate(old.secret, overlap=timedelta(hours=2))
    before, after = await keys.authenticate(old.secret), await keys.authenticate(new.secret)
    assert before is not None
    assert after is not None
    assert (after.name, after.scopes, after.workspace_id) == (before.name, before.scopes, workspace_id)
    assert (after.replaces_id, after.expires_at) == (before.id, None)
    assert before.expires_at is not None
    for third in (old.secret, new.secret):
        with pytest.raises(Invalid, match="Two keys of this line"):
            await keys.rotate(third)
    await keys.revoke(old.secret)
    with pytest.raises(Invalid, match="expired or was revoked"):
        await keys.rotate(old.secret)
    newest = await keys.rotate(new.secret, overlap=timedelta(0))
    assert await keys.authenticate(new.secret) is None
    assert await keys.authenticate(newest.secret) is not None


async def test_a_key_rotated_ten_times_at_once_has_one_successor(workspace_id: UUID) -> None:
    old = await keys.create(workspace_id, "partner")
    made = await asyncio.gather(*(keys.rotate(old.secret) for _ in range(10)), return_exceptions=True)
    assert [type(one).__name__ for one in made].count("NewKey") == 1
    assert sum(key.revoked_at is None for key in await keys.list_keys(workspace_id)) == 2


async def test_a_rotation_never_lengthens_a_key(workspace_id: UUID) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    old = await keys.create(workspace_id, "partner", expires_at=soon)
    new = await keys.rotate(old.secret)
    assert {key.expires_at for key in await keys.list_keys(workspace_id)} == {soon}
    assert await keys.authenticate(new.secret) is not None
    with pytest.raises(NotFound):
        await keys.rotate("nothing1")
