"""People as the API shows them."""

from domain import keys, users
from domain.rules.access import Role
from domain.rules.ids import Prefix, to_public
from tests.api.conftest import Api


async def test_users_are_listed_by_name_and_found_by_id_in_their_own_workspace(api: Api) -> None:
    ada = await users.create(api.workspace_id, "ada", email="ada@example.org", role=Role.ADMIN)
    bea = await users.create(api.workspace_id, "Bea")
    await users.deactivate(api.workspace_id, bea.id)
    theirs = await users.create(await keys.create_workspace("Other"), "Ada")
    ids = [to_public(Prefix.USER, user.id) for user in (ada, bea, theirs)]
    data = await api.ask(
        """query ($ids: [ID!]!) {
            users(first: 5) { nodes { id name email role } totalCount }
            nodes(ids: $ids) { id ... on User { name deactivatedAt } } }""",
        {"ids": ids},
    )
    assert data["users"]["totalCount"] == 2
    assert data["users"]["nodes"] == [
        {"id": ids[0], "name": "ada", "email": "ada@example.org", "role": "ADMIN"},
        {"id": ids[1], "name": "Bea", "email": None, "role": "MEMBER"},
    ]
    first, second, foreign = data["nodes"]
    assert (first["deactivatedAt"], foreign) == (None, None)
    assert second["deactivatedAt"] is not None


async def test_a_key_is_no_user(api: Api) -> None:
    data = await api.ask("{ viewer { user { id } apiKey { name } } }")
    assert data == {"viewer": {"user": None, "apiKey": {"name": "tests"}}}
