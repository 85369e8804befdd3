"""The first thread: a contact is enrolled, mail leaves over real SMTP, and each change stands in the feed."""

from email import message_from_bytes
from email.policy import default
from uuid import UUID

from cli.catcher import RunningCatcher
from domain import feed
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.engine.conftest import until, working
from tests.world import email, make_world, statuses, task


async def test_a_sequence_of_two_mails_and_a_task_is_carried_out_until_the_task_waits(
    settings: Settings, workspace_id: UUID, actor: Actor, vault: Vault, catcher: RunningCatcher
) -> None:
    world = await make_world(
        workspace_id,
        actor,
        vault,
        steps=[email(), email(subject="", body="Did you see my mail?", send_as_reply=True), task()],
        people=30,
        port=catcher.smtp_port,
    )
    async with working(settings):
        await until(lambda: _all_are(workspace_id, {"PENDING_ACTION": 30}))
        await until(lambda: _feed_has(workspace_id, 30 * 4))
    assert len(catcher.catcher) == 60
    first, second = [
        message_from_bytes(mail.raw, policy=default)
        for mail in reversed(catcher.catcher.page(to="p7@people.example").mails)
    ]
    assert first["Subject"] == "Hello Person 7"
    assert first["From"] == "Jo Recruiter <jobs@sender.example>"
    assert second["In-Reply-To"] == first["Message-ID"]
    assert second["Subject"] == "Re: Hello Person 7"
    events = await feed.after(workspace_id, feed.to_cursor((await feed.state(workspace_id)).epoch, 0), limit=1000)
    assert [event.seq for event in events] == list(range(1, 121))
    mine = [event for event in events if event.recipient_id == world.recipient_ids[7]]
    assert [event.version for event in mine] == [1, 2, 3, 4]
    assert [event.status for event in mine] == ["SCHEDULED", "IN_PROGRESS", "IN_PROGRESS", "PENDING_ACTION"]


async def _all_are(workspace_id: UUID, expected: dict[str, int]) -> bool:
    return await statuses(workspace_id) == expected


async def _feed_has(workspace_id: UUID, count: int) -> bool:
    return (await feed.state(workspace_id)).last_seq == count
