"""State + events = state for what workers do: who has read everything, and then applies what is told while the loops
work, sees what a fresh query shows.

Source: reliability.md R13.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx

from cli.catcher import RunningCatcher
from domain import bulk, enrolment, keys, mailboxes, marking, sequences
from domain.contacts import ContactFields
from domain.database import fetch
from domain.reading.filters import EVERYTHING
from domain.rules.bulk import BulkAction
from domain.rules.outcomes import Refused, Sent
from domain.rules.sandbox import DOMAIN, RECIPIENTS
from domain.settings import Settings
from tests.api.conftest import Api, serving
from tests.api.screen import Screen
from tests.engine.conftest import until, working
from tests.engine.sending_world import carry, claim_all, set_row
from tests.world import IN_AN_HOUR, email, make_mailbox, task
from workers import main
from workers.composing import Letter, composed

_BOUNCE = Refused("EMAIL_INVALID", "550 5.1.1 no such user", hard_bounce=True)
_NOBODY: Final = 1  # a port on which nobody listens


@dataclass(frozen=True)
class Work:
    """Something that is left to a loop, and the statement that finds a row once the loop has done it."""

    left: Callable[[Api, int], Awaitable[object]]
    done: str


async def _held_at_last(api: Api, port: int) -> None:
    world = await api.world(people=6, steps=[email()])
    claims = await claim_all()
    await carry(claims[2:], Sent("250 ok"))
    for claim in claims[:2]:
        await carry([claim], _BOUNCE, marked=False)
    await set_row("mailboxes", world.mailbox_id, guardrail_limits='{"minimum_sends": 3}')


async def _lost(api: Api, port: int) -> None:
    await api.world(steps=[email()])
    (claim,) = await claim_all()
    letter = composed(claim)
    assert isinstance(letter, Letter)
    assert await marking.mark([letter.mark]) == {claim.message_id}
    await set_row("messages", claim.message_id, lease_until=datetime(2026, 1, 1, tzinfo=UTC))


async def _due(api: Api, port: int) -> None:
    await api.world(people=2, port=port, steps=[email(), email(wait=IN_AN_HOUR)])


async def _magic(api: Api, port: int) -> None:
    """In a test workspace: one person for each thing that comes back, or that is refused."""
    await fetch(
        "WITH u AS (UPDATE workspaces SET test_mode = true WHERE id = $1 RETURNING 1) SELECT 1", api.workspace_id
    )
    world = await api.world(people=0, steps=[email(), email(wait=IN_AN_HOUR)])
    people = [ContactFields(values={"email": f"{one.name}@{DOMAIN}", "first_name": "Ada"}) for one in RECIPIENTS]
    batch = enrolment.Enrolment(
        sequence_id=world.sequence_id, candidates=[enrolment.Candidate(person) for person in people]
    )
    await enrolment.enroll(api.workspace_id, api.actor, batch)


async def _paused(api: Api, port: int) -> None:
    world = await api.world(people=3, steps=[email(wait=IN_AN_HOUR)])
    await sequences.pause(api.workspace_id, world.sequence_id)


async def _ordered(api: Api, port: int) -> None:
    await api.world(people=3, steps=[email(wait=IN_AN_HOUR)])
    await bulk.create(api.workspace_id, api.actor, BulkAction.PAUSE, EVERYTHING)


async def _disconnected(api: Api, port: int) -> None:
    world = await api.world(steps=[email()])
    await mailboxes.disconnect(api.workspace_id, world.mailbox_id)


async def _unreadable(api: Api, port: int) -> None:
    given = {"imap_host": "127.0.0.1", "imap_port": _NOBODY, "imap_security": "NONE", "imap_password": "right"}
    await make_mailbox(api.workspace_id, api.vault, port, **given)


async def _task(api: Api, port: int) -> None:
    await api.world(people=2, steps=[task()])


_BACK = sum(one.back is not None for one in RECIPIENTS)
_MESSAGES = "SELECT 1 FROM messages WHERE workspace_id = $1"
LEFT: Final[Mapping[str, Work]] = {  # the first two claim what is due, of whomever it is
    "guardrails": Work(_held_at_last, "SELECT 1 FROM mailboxes WHERE workspace_id = $1 AND state = 'HELD'"),
    "abandoned": Work(_lost, "SELECT 1 FROM step_errors WHERE workspace_id = $1 AND code = 'DELIVERY_UNCONFIRMED'"),
    "send": Work(_due, f"{_MESSAGES} AND state = 'SENT' HAVING count(*) = 2"),
    "sandbox": Work(_magic, f"{_MESSAGES} AND direction = 'INCOMING' HAVING count(*) >= {_BACK}"),
    "pending": Work(_task, "SELECT 1 FROM pending_actions WHERE workspace_id = $1 HAVING count(*) = 2"),
    "settle": Work(
        _paused, "SELECT 1 FROM recipients WHERE workspace_id = $1 AND status = 'PAUSED' HAVING count(*) = 3"
    ),
    "bulk": Work(_ordered, "SELECT 1 FROM bulk_operations WHERE workspace_id = $1 AND ended_at IS NOT NULL"),
    "unsendable": Work(_disconnected, "SELECT 1 FROM step_errors WHERE workspace_id = $1"),
    "watching": Work(_unreadable, "SELECT 1 FROM mailbox_watches WHERE workspace_id = $1 AND problem_code IS NOT NULL"),
}
SHOWS_NOTHING: Final[Mapping[str, str]] = {
    "number": "numbers what the others have written",
    "webhooks": "endpoints and deliveries are on no list that events keep right",
    "retry": "goes on with what the mutation errorGroupRetry has begun, by the same verb",
    "old keys": "forgets idempotency keys",
    "forget": "forgets what is older than its list says",
    "prune": "forgets old events",
    "holidays": "renews a calendar",
    "watches": "takes mailboxes for `watching`",
    "trials": "sends test mails, which are no recipient's",
    "lost trials": "the same",
    "text proof": "asks a provider what became of a text message, and records it as `abandoned` does",
    "leases": "renews leases",
}


def test_each_loop_of_the_worker_has_something_left_to_do_or_a_reason() -> None:
    loops = re.findall(r'Round\("([^"]+)"', inspect.getsource(main.run))
    assert len(loops) == 21
    assert set(loops) == LEFT.keys() | SHOWS_NOTHING.keys()


async def test_what_workers_change_is_told(settings: Settings, open_database: str, catcher: RunningCatcher) -> None:
    screens = {}
    async with (
        serving(settings) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}", timeout=20) as http,
    ):
        for name, work in LEFT.items():
            workspace_id = await keys.create_workspace(name)
            key = await keys.create(workspace_id, "tests")
            api = Api(str(http.base_url).rstrip("/"), running.config.app.state.process, workspace_id, key, http)  # type: ignore[union-attr]
            await work.left(api, catcher.smtp_port)
            screens[name] = await Screen.of(api)

        async with working(settings):
            for name, work in LEFT.items():

                async def done(name: str = name, work: Work = work) -> bool:
                    return bool(await fetch(work.done, screens[name].api.workspace_id))

                await until(done, seconds=20)
        wrong = {name: await screen.follow() + await screen.differences() for name, screen in screens.items()}
        assert not any(wrong.values()), wrong
        told = {type_ for screen in screens.values() for type_ in screen.told}
        assert told >= {"bulk.ended", "mailbox.state_changed", "pending.created", "contact.changed"}
