"""Test workspaces: nothing leaves, magic addresses bring about each signal and error, and weeks pass in seconds."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from domain import authoring, enrolment, keys, sandbox, sequences, watching
from domain.contacts import ContactFields
from domain.database import fetch
from domain.plans import SequenceSettings
from domain.refusals import Invalid
from domain.rules.actor import Actor, ActorKind
from domain.rules.lifecycle import Signal
from domain.rules.outcomes import ERROR_WHEN_PATIENCE_IS_OUT, Later, LaterReason, MailboxBroken
from domain.rules.sandbox import DOMAIN, MAILBOXES, NUMBERS, RECIPIENTS, Magic, of_mailbox, of_person
from domain.rules.step_errors import StepErrorCode
from domain.rules.timing import Wait, WaitUnit
from domain.secrets import Vault
from domain.settings import Settings
from domain.steps import NewStep
from tests.engine.conftest import until, working
from tests.world import email, make_mailbox, make_number, text

GUIDE = Path(__file__).parents[2] / "docs" / "sandbox.md"
WEEK = Wait(7, WaitUnit.DAYS)

# What a recipient is, once what its address brings about has come about. What takes patience is not waited for here.
_ENDS = {
    "reply": ("REPLIED", None),
    "out-of-office": ("IN_PROGRESS", None),
    "opt-out": ("UNSUBSCRIBED", None),
    "complaint": ("UNSUBSCRIBED", None),
    "bounced": ("BOUNCED", None),
    "unknown": ("BOUNCED", None),
    "failed": ("ERROR", "RECIPIENT_REFUSED_CONTENT"),
    "delayed": ("IN_PROGRESS", None),
    "content-refused": ("ERROR", "RECIPIENT_REFUSED_CONTENT"),
    "too-large": ("ERROR", "MESSAGE_TOO_LARGE"),
    "not-authenticated": ("ERROR", "DOMAIN_NOT_AUTHENTICATED"),
    "lost-answer": ("ERROR", "DELIVERY_UNCONFIRMED"),
    "mailbox-full": ("SCHEDULED", None),
    "try-later": ("SCHEDULED", None),
    "+12025550101": ("REPLIED", None),
    "+12025550102": ("UNSUBSCRIBED", None),
    "+12025550103": ("ERROR", "RECIPIENT_REFUSED_CONTENT"),
    "+12025550104": ("ERROR", "PHONE_INVALID"),
    "+12025550105": ("ERROR", "DELIVERY_UNCONFIRMED"),
    "+12025550106": ("UNSUBSCRIBED", None),
}
_INCOMING = {
    "reply": "HUMAN_REPLY",
    "out-of-office": "AUTOMATIC_ANSWER",
    "opt-out": "OPT_OUT",
    "complaint": "COMPLAINT",
    "bounced": "HARD_BOUNCE",
    "failed": "DELIVERY_FAILED",
    "delayed": "DELIVERY_DELAYED",
}


@pytest.fixture
async def workspace_id(open_database: str) -> UUID:
    return await keys.create_workspace("Sandbox", test_mode=True)


@contextmanager
def listening() -> Iterator[int]:
    """A port of this machine that nobody may connect to while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


async def _enrol(
    workspace_id: UUID,
    actor: Actor,
    steps: Sequence[NewStep],
    mailbox_ids: Sequence[UUID],
    people: Sequence[dict[str, str]],
) -> dict[str, UUID]:
    sequence_id = await authoring.create(
        workspace_id, f"To {people[0]}"[:60], steps, settings=SequenceSettings(), mailbox_ids=mailbox_ids
    )
    await sequences.activate(workspace_id, sequence_id)
    batch = enrolment.Enrolment(
        sequence_id=sequence_id,
        candidates=[enrolment.Candidate(ContactFields(values={"first_name": "Ada", **one})) for one in people],
    )
    answers = await enrolment.enroll(workspace_id, actor, batch)
    assert all(answer.recipient_id for answer in answers), answers
    names = [one.get("phone") or one["email"].partition("@")[0] for one in people]
    return {name: answer.recipient_id for name, answer in zip(names, answers, strict=True) if answer.recipient_id}


async def _states(found: dict[str, UUID]) -> dict[str, tuple[str, str | None]]:
    rows = await fetch(
        "SELECT r.id, r.status, e.code FROM recipients r "
        "LEFT JOIN step_errors e ON e.recipient_id = r.id AND e.resolved_at IS NULL WHERE r.id = ANY($1::uuid[])",
        list(found.values()),
    )
    by_id = {row["id"]: (row["status"], row["code"]) for row in rows}
    return {name: by_id[recipient_id] for name, recipient_id in found.items()}


async def test_each_magic_address_and_number_brings_about_what_it_says_and_nothing_leaves(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings
) -> None:
    steps = [email(), email(wait=WEEK)]
    with listening() as port:
        given = {"imap_host": "127.0.0.1", "imap_port": port, "imap_security": "NONE", "imap_password": "right"}
        mailbox_id = await make_mailbox(workspace_id, vault, port, **given)
        number_id = await make_number(workspace_id, vault, f"http://127.0.0.1:{port}")
        assert await watching.take(10) == []  # its mail is read nowhere
        people = [{"email": f"{magic.name}@{DOMAIN}"} for magic in RECIPIENTS] + [{"email": f"anna@{DOMAIN}"}]
        people = [{"email": f"quiet{n}@{DOMAIN}"} for n in range(25)] + people  # they keep no answer of others waiting
        found = await _enrol(workspace_id, actor, steps, [mailbox_id], people)
        numbers = [{"email": f"n{n}@people.example", "phone": magic.name} for n, magic in enumerate(NUMBERS)]
        found |= await _enrol(workspace_id, actor, [text(), text(wait=WEEK)], [mailbox_id, number_id], numbers)
        wanted = _ENDS | {name: ("IN_PROGRESS", None) for name in found if name not in _ENDS}
        async with working(settings):

            async def ended() -> bool:
                came = {row["name"] for row in await _came_in(workspace_id)}
                return await _states(found) == wanted and came == set(_INCOMING.values())

            try:
                await until(ended, seconds=40)
            except TimeoutError:
                assert await _states(found) == wanted
                assert {row["name"] for row in await _came_in(workspace_id)} == set(_INCOMING.values())
            # Three weeks in seconds: whoever nothing stopped gets the next step.
            await sandbox.advance(workspace_id, timedelta(days=21))

            async def done() -> bool:
                return {(await _states(found))[name][0] for name in ("anna", "delayed")} == {"COMPLETED"}

            await until(done, seconds=20)
        sent = await fetch("SELECT reply FROM messages WHERE workspace_id = $1 AND state = 'SENT'", workspace_id)
        assert sent
        assert all("nothing has left" in row["reply"] for row in sent)


async def _came_in(workspace_id: UUID) -> list[dict[str, str]]:
    rows = await fetch(
        "SELECT DISTINCT classification AS name FROM messages WHERE workspace_id = $1 AND direction = 'INCOMING'",
        workspace_id,
    )
    return [dict(row) for row in rows]


def test_each_of_them_is_named_by_its_signal_or_its_error() -> None:
    for magic in (*RECIPIENTS, *NUMBERS):
        status, code = _ENDS[magic.name]
        if isinstance(magic.gives, StepErrorCode) and isinstance(magic.outcome, Later):
            assert ERROR_WHEN_PATIENCE_IS_OUT[magic.outcome.reason] == magic.gives
        elif isinstance(magic.gives, StepErrorCode):
            assert (status, code) == ("ERROR", magic.gives)
        elif magic.back is not None and magic in RECIPIENTS:
            assert Signal(_INCOMING[magic.name]) is magic.gives
    for magic in MAILBOXES:
        outcome = magic.outcome
        if isinstance(outcome, MailboxBroken):
            assert outcome.code == magic.gives
        else:
            assert isinstance(outcome, Later)
            assert (outcome.reason, magic.gives) == (LaterReason.THROTTLED, StepErrorCode.PROVIDER_LIMIT_REACHED)


def test_only_the_reserved_domain_is_magic_and_a_plus_makes_further_people() -> None:
    assert of_person("reply@acme.com") is None
    assert of_person("reply@sandbox.example.com") is None
    assert of_person(f"Reply+anna@{DOMAIN}".lower()) is of_person(f"reply@{DOMAIN}") is not None
    assert of_mailbox(f"suspended+2@{DOMAIN}") is not None


async def test_each_magic_mailbox_fails_as_it_says(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings
) -> None:
    found: dict[str, UUID] = {}
    broken = [magic for magic in MAILBOXES if isinstance(magic.outcome, MailboxBroken)]
    with listening() as port:
        for magic in broken:
            mailbox_id = await make_mailbox(workspace_id, vault, port, address=f"{magic.name}@{DOMAIN}")
            person = {"email": f"to-{magic.name}@people.example"}
            (recipient_id,) = (await _enrol(workspace_id, actor, [email()], [mailbox_id], [person])).values()
            found[magic.name] = recipient_id
        async with working(settings):

            async def ended() -> bool:
                return await _states(found) == {magic.name: ("ERROR", magic.gives) for magic in broken}

            await until(ended, seconds=30)


async def test_only_the_clock_of_a_test_workspace_moves_and_only_forwards(workspace_id: UUID) -> None:
    earnest = await keys.create_workspace("Earnest")
    with pytest.raises(Invalid, match="Only the clock of a test workspace"):
        await sandbox.advance(earnest, timedelta(days=1))
    for span in (timedelta(0), timedelta(seconds=-1), timedelta(days=367)):
        with pytest.raises(Invalid, match="goes forward by"):
            await sandbox.advance(workspace_id, span)
    before = await sandbox.advance(workspace_id, timedelta(days=1))
    assert await sandbox.advance(workspace_id, timedelta(days=7)) >= before + timedelta(days=7)


async def test_the_keys_of_a_test_workspace_say_so(workspace_id: UUID) -> None:
    made = await keys.create(workspace_id, "tests")
    assert made.secret.startswith("rel_test_")
    key = await keys.authenticate(made.secret)
    assert key is not None
    assert (key.test_mode, key.hint.startswith("rel_test_")) == (True, True)
    again = await keys.rotate(key.hint)
    assert again.secret.startswith("rel_test_")
    assert not (await keys.create(await keys.create_workspace("Earnest"), "x")).secret.startswith("rel_test_")
    assert Actor(ActorKind.API_KEY, key.id).id == key.id


def test_the_guide_lists_each_of_them() -> None:
    told = GUIDE.read_text()
    for magics, domain in ((RECIPIENTS, f"@{DOMAIN}"), (MAILBOXES, f"@{DOMAIN}"), (NUMBERS, "")):
        assert "\n".join(_row(magic, domain) for magic in magics) in told
    unreachable = set(StepErrorCode) - {magic.gives for magic in (*RECIPIENTS, *MAILBOXES, *NUMBERS)}
    for code in unreachable:  # those that come of what one writes oneself
        assert f"| `{code}` |" in told


def _row(magic: Magic, domain: str) -> str:
    return f"| `{magic.name}{domain}` | {magic.means} | `{magic.gives}` |"
