"""A whole sequence is paused, resumed and stopped while two workers send: nothing begins after the answer.
All rows follow. reliability.md R10.
"""

from uuid import UUID

from domain import sequences
from domain.database import fetch
from domain.rules.actor import Actor
from domain.secrets import Vault
from tests.engine.conftest import until
from tests.faults.conftest import LENGTH
from tests.faults.crew import Crew, dawdling_server
from tests.faults.judging import drained, enrol_people, judge
from tests.world import statuses

PEOPLE = 1_200 if LENGTH == 1 else 10_000 * LENGTH


async def test_no_message_begins_after_a_whole_sequence_was_paused_or_stopped(
    crew: Crew, workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    async with dawdling_server(0.1) as server:
        sequence_id = await enrol_people(workspace_id, actor, vault, server, PEOPLE)

        async def more_mail() -> None:
            there = len(server.mails)

            async def came() -> bool:
                return len(server.mails) > there

            await until(came, seconds=60)

        async def all_followed() -> bool:
            (row,) = await fetch("SELECT settling FROM sequences WHERE id = $1", sequence_id)
            return not row["settling"] and await drained(workspace_id)

        async def nothing_more(answer: sequences.Moved) -> None:
            begun = await _begun(workspace_id)
            assert answer.in_flight <= len(begun)
            await until(all_followed, seconds=60 * LENGTH)
            assert await _begun(workspace_id) == begun
            assert server.by_message_id.keys() <= begun

        crew.start()
        crew.start()
        await more_mail()
        await nothing_more(await sequences.pause(workspace_id, sequence_id))
        assert (await statuses(workspace_id)).keys() == {"PAUSED", "COMPLETED"}
        await sequences.resume(workspace_id, sequence_id)
        await more_mail()
        await nothing_more(await sequences.archive(workspace_id, sequence_id, stop_open_recipients=True))
        assert (await statuses(workspace_id)).keys() == {"STOPPED", "COMPLETED"}
        assert await judge(workspace_id, server) == 0


async def _begun(workspace_id: UUID) -> set[str]:
    rows = await fetch(
        "SELECT rfc_message_id FROM messages WHERE workspace_id = $1 AND marked_at IS NOT NULL", workspace_id
    )
    return {row["rfc_message_id"] for row in rows}
