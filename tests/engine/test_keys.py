"""API keys: shown once, known by their hash, gone when revoked or expired."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain import keys
from domain.database import fetch
from domain.refusals import Invalid, NotFound, WorkspaceUnknown
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
