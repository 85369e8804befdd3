"""State + events = state: who has read everything once, and then applies what is told, sees what a fresh query shows.

Source: reliability.md R13.
"""

from domain import keys
from domain.database import fetch
from tests.api.conftest import Api
from tests.api.every_mutation import EXAMPLES
from tests.api.screen import Screen
from tests.api.whole_schema import RootField, root_fields

MUTATIONS = [field for field in root_fields() if field.operation == "mutation"]


async def test_what_a_mutation_changes_is_told(api: Api) -> None:
    wrong = {}
    for field in MUTATIONS:
        workspace_id = await keys.create_workspace(field.name)
        key = await keys.create(workspace_id, "tests")
        if found := await _missed(Api(api.url, api.process, workspace_id, key, api.http), field):
            wrong[field.name] = found
    assert wrong == {}, wrong


async def _missed(api: Api, field: RootField) -> list[str]:
    """Do one mutation under a screen; return what the screen then shows otherwise than a fresh query."""
    input = await EXAMPLES[field.name](api)
    if not await fetch("SELECT 1 FROM mailboxes WHERE workspace_id = $1", api.workspace_id):
        await api.world(people=2)  # what it does to others is seen too
    screen = await Screen.of(api)
    answer = (await api.post(field.document("input"), {"input": input})).json()
    assert "errors" not in answer, answer
    assert answer["data"][field.name]["errors"] == []
    return await screen.follow() + await screen.differences()
