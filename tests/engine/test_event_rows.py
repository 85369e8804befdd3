"""An event says by itself what happened to whom: where from, where to, by which step, from which mailbox."""

from uuid import UUID

from domain import feed, recipients, signals
from domain.database import fetch
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.lifecycle import Signal, Status
from domain.secrets import Vault
from tests.world import IN_AN_HOUR, email, make_world


async def test_each_event_carries_previous_status_status_type_step_sequence_and_mailbox(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email(wait=IN_AN_HOUR), email(wait=IN_AN_HOUR)])
    (recipient_id,) = world.recipient_ids
    await recipients.skip_step(workspace_id, actor, recipient_id, world.step_ids[0])
    await recipients.pause(workspace_id, actor, recipient_id)
    await signals.apply(
        workspace_id, Fact(signal=Signal.HUMAN_REPLY, recipient_id=recipient_id, actor=ENGINE, step_id=None)
    )
    while await feed.number():
        pass
    rows = await fetch("SELECT * FROM events WHERE recipient_id = $1 ORDER BY version", recipient_id)
    assert [(row["previous_status"], row["status"]) for row in rows] == [
        (None, Status.SCHEDULED),
        (Status.SCHEDULED, Status.IN_PROGRESS),
        (Status.IN_PROGRESS, Status.PAUSED),
        (Status.PAUSED, Status.REPLIED),
    ]
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert [row["step_id"] for row in rows[:2]] == [world.step_ids[0], world.step_ids[0]]
    assert all(row["type"] for row in rows)
    assert {(row["workspace_id"], row["sequence_id"]) for row in rows} == {(workspace_id, world.sequence_id)}
    assert {row["mailbox_id"] for row in rows} == {world.mailbox_id}
    assert [row["actor_kind"] for row in rows] == [actor.kind, actor.kind, actor.kind, ENGINE.kind]
