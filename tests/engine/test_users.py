"""The people of a workspace: known by the subject that an identity provider gives them, named in history for ever."""

import asyncio
from uuid import UUID

import pytest

from domain import keys, users
from domain.reading import actors
from domain.refusals import Invalid, NotFound
from domain.rules.access import Role
from domain.rules.actor import ActorKind
from domain.rules.ids import Prefix, new_id, to_public


async def test_a_user_is_found_in_its_own_workspace_only(workspace_id: UUID) -> None:
    made = await users.create(workspace_id, " Ada ", email="Ada@Example.org", role=Role.ADMIN)
    assert (made.name, made.email, made.role) == ("Ada", "Ada@example.org", Role.ADMIN)
    assert await users.find(workspace_id, made.id) == made
    other = await keys.create_workspace("Other")
    for wrong in (users.find(other, made.id), users.deactivate(other, made.id), users.find(workspace_id, new_id())):
        with pytest.raises(NotFound):
            await wrong
    assert (await users.find(workspace_id, made.id)).deactivated_at is None


async def test_ten_sign_ins_at_once_of_a_new_person_make_one_user(workspace_id: UUID) -> None:
    at_once = (users.of_subject(workspace_id, "idp|7", "Ada", None, Role.MEMBER) for _ in range(10))
    assert len({user.id for user in await asyncio.gather(*at_once)}) == 1
    later = await users.of_subject(workspace_id, "idp|7", "Another name", None, Role.VIEWER)
    assert (later.name, later.role) == ("Ada", Role.VIEWER)  # what the provider says of the role counts
    assert (await users.of_subject(workspace_id, "idp|7", "Ada", None, None)).role is Role.VIEWER
    fresh = await users.of_subject(workspace_id, "idp|8", "Bea", None, None)
    assert fresh.role is Role.VIEWER
    with pytest.raises(Invalid):
        await users.create(workspace_id, "Twin", external_subject="idp|7")
    elsewhere = await users.of_subject(await keys.create_workspace("Other"), "idp|7", "Ada", None, Role.MEMBER)
    assert elsewhere.id != later.id


async def test_deactivating_twice_keeps_the_first_time(workspace_id: UUID) -> None:
    made = await users.create(workspace_id, "Ada")
    first = await users.deactivate(workspace_id, made.id)
    assert first.deactivated_at is not None
    assert await users.deactivate(workspace_id, made.id) == first
    assert list(await users.list_users(workspace_id)) == [first]


async def test_a_user_is_named_as_the_actor_also_once_deactivated(workspace_id: UUID) -> None:
    made = await users.create(workspace_id, "Ada")
    await users.deactivate(workspace_id, made.id)
    other = await keys.create_workspace("Other")
    place = (ActorKind.USER, made.id)
    shown = (await actors.named(workspace_id, [place]))[place]
    assert (shown.name, shown.id) == ("Ada", to_public(Prefix.USER, made.id))
    assert (await actors.named(other, [place]))[place].name == "A user"


@pytest.mark.parametrize(
    ("name", "given"),
    [("  ", {}), ("two\nlines", {}), ("Ada", {"email": "nowhere"}), ("Ada", {"external_subject": ""})],
)
async def test_a_user_needs_a_name_and_no_nonsense(workspace_id: UUID, name: str, given: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        await users.create(workspace_id, name, **given)  # type: ignore[arg-type]
