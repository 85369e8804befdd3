"""Random lives: actions, signals, sends, refusals, pauses of the sequence, in any order. Whatever happened, settling
ends, what is due can be claimed, and what is offered is done.
"""

import random
from datetime import timedelta
from uuid import UUID

import pytest

from domain import recipients, sending, sequences, settling, signals
from domain.database import fetch
from domain.own_content import NewContent
from domain.refusals import Refusal
from domain.rules.actor import ENGINE, Actor
from domain.rules.fact import Fact
from domain.rules.ids import new_id
from domain.rules.lifecycle import Action, Signal, Status, available_actions
from domain.rules.outcomes import Later, LaterReason, Outcome, Refused, Sent, Unknown
from domain.secrets import Vault
from domain.steps import NewStep
from tests.engine.sending_world import KEY, carry
from tests.world import World, email, make_world

OUTCOMES: list[Outcome] = [
    Sent("250 OK"),
    Sent("250 OK"),
    Refused("RECIPIENT_REFUSED_CONTENT", "550 5.7.1 no"),
    Later(LaterReason.SOFT, "451 later"),
    Unknown("cut"),
]
SIGNALS = [Signal.DELIVERY_FAILED, Signal.SENT_LATE, Signal.FAILED_LATE, Signal.AUTOMATIC_ANSWER, Signal.HUMAN_REPLY]
STEPS: list[NewStep] = [email(), email(send_as_reply=True), email()]


class Walk:
    def __init__(self, world: World, actor: Actor, seed: int) -> None:
        self.world, self.actor, self.chance = world, actor, random.Random(seed)
        self.trail: list[str] = []

    async def step(self) -> None:
        kind = self.chance.choices(["send", "act", "signal", "sequence", "clock"], [4, 3, 2, 2, 1])[0]
        self.trail.append(kind)
        await {"send": self.send, "act": self.act, "signal": self.signal, "sequence": self.move, "clock": self.clock}[
            kind
        ]()

    async def send(self) -> None:
        claims = await sending.claim(5, KEY, lease=timedelta(seconds=30))
        outcome = self.chance.choice(OUTCOMES)
        self.trail.append(f"  {len(claims)} × {outcome}")
        await carry(claims, outcome)

    async def act(self) -> None:
        recipient_id = self.chance.choice(self.world.recipient_ids)
        row = await self._row(recipient_id)
        if row is None:
            return
        paused = row["sequence_status"] == "PAUSED"
        shown = Status.PAUSED if paused and row["end_reason"] is None else Status(row["status"])
        offered = [a for a in available_actions(shown, sequence_paused=paused) if a is not Action.DELETE]
        if not offered:
            return
        action = self.chance.choice(offered)
        self.trail.append(f"  {action} in {shown}")
        who = self.world.workspace_id, self.actor, recipient_id
        if action is Action.PAUSE:
            await recipients.pause(*who)
        elif action is Action.RESUME:
            await recipients.resume(*who)
        elif action is Action.SKIP_STEP:
            await recipients.skip_step(*who, row["current_step_id"])
        elif action is Action.STOP:
            if self.chance.random() < 0.2:
                await recipients.stop(*who)
        else:
            text = NewContent(body=f"Hello again {new_id()}")
            await recipients.edit_content(*who, row["current_step_id"], text)
        if row["error_id"] is not None and self.chance.random() < 0.5:
            try:
                await recipients.retry(*who)
            except Refusal:
                self.trail.append("  (no retry)")

    async def signal(self) -> None:
        signal = self.chance.choices(SIGNALS, [4, 2, 2, 1, 0.3])[0]
        self.trail.append(f"  {signal}")
        recipient_id = self.chance.choice(self.world.recipient_ids)
        await signals.apply(self.world.workspace_id, Fact(signal=signal, recipient_id=recipient_id, actor=ENGINE))

    async def move(self) -> None:
        move = self.chance.choice([sequences.pause, sequences.resume])
        try:
            await move(self.world.workspace_id, self.world.sequence_id)
        except Refusal:
            self.trail.append("  (refused)")

    async def clock(self) -> None:
        await fetch(
            "WITH u AS (UPDATE workspaces SET clock_offset_seconds = clock_offset_seconds + 86400 WHERE id = $1 "
            "RETURNING id) SELECT id FROM u",
            self.world.workspace_id,
        )

    async def check(self) -> None:
        """The invariants."""
        ids = self.world.workspace_id, self.world.sequence_id
        for _ in range(3):
            if await settling.settle_batch(*ids) == 0:
                break
        else:
            pytest.fail("settling does not end")
        (sequence,) = await fetch("SELECT status, settling FROM sequences WHERE id = $1", self.world.sequence_id)
        assert not sequence["settling"]
        stuck = await fetch(
            """
            SELECT r.id, x.state FROM recipients r JOIN messages x
                ON x.recipient_id = r.id AND x.step_id = r.current_step_id AND x.step_run = r.step_run
            WHERE r.workspace_id = $1 AND r.due_at IS NOT NULL AND x.state IN ('SENT', 'REFUSED', 'UNCONFIRMED')
            """,
            self.world.workspace_id,
        )
        assert not stuck, "due, but its message is over: nothing would ever claim it"
        lost = await fetch(
            """
            SELECT id FROM recipients WHERE workspace_id = $1 AND status IN ('SCHEDULED', 'IN_PROGRESS')
                AND deleted_at IS NULL AND due_at IS NULL
            """,
            self.world.workspace_id,
        )
        assert not lost, "open, and waiting for nothing"

    async def _row(self, recipient_id: UUID) -> dict[str, object] | None:
        rows = await fetch(
            "SELECT r.*, s.status AS sequence_status FROM recipients r JOIN sequences s ON s.id = r.sequence_id "
            "WHERE r.id = $1",
            recipient_id,
        )
        return dict(rows[0]) if rows else None


async def test_whatever_happens_settling_ends_and_nobody_is_stranded(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    world = await make_world(workspace_id, actor, vault, steps=STEPS, people=4)
    walk = Walk(world, actor, seed)
    for _ in range(300):
        try:
            await walk.step()
            await walk.check()
        except BaseException:
            print("\n".join(walk.trail[-40:]))
            raise
