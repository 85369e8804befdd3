"""A hand-over whose answer was lost is proved by the mailbox's own sent mail, and by nothing less."""

from datetime import timedelta
from uuid import UUID

from domain import marking, unconfirmed
from domain.database import fetch
from domain.rules.actor import Actor
from domain.rules.outcomes import NotSendable
from domain.secrets import Vault
from tests.engine.sending_world import claim_all, make_one, set_row
from tests.workers.imap_servers import ImapServer
from tests.workers.watching_world import Taken, until, watching
from workers.composing import composed


async def _given_up(workspace_id: UUID, actor: Actor, vault: Vault) -> tuple[UUID, bytes]:
    """A recipient whose mail may or may not have been sent, and the mail."""
    _, recipient_id = await make_one(workspace_id, actor, vault)
    (claim,) = await claim_all()
    letter = composed(claim)
    assert not isinstance(letter, NotSendable)
    await marking.mark([letter.mark])
    await set_row("messages", claim.message_id, lease_until=claim.now - timedelta(hours=1))
    assert await unconfirmed.give_up_lost_hand_overs() == 1
    return recipient_id, letter.mime


async def _status(recipient_id: UUID) -> str:
    return str((await fetch("SELECT status FROM recipients WHERE id = $1", recipient_id))[0]["status"])


async def test_a_copy_in_sent_closes_the_error_and_the_sequence_goes_on(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    recipient_id, raw = await _given_up(workspace_id, actor, vault)
    server, taken = ImapServer(), Taken()
    async with server.running() as port:
        await fetch(
            "WITH u AS (UPDATE mailboxes SET imap_host = '127.0.0.1', imap_port = $1, imap_security = 'NONE', "
            "imap_password = $2 RETURNING 1) SELECT 1",
            port,
            vault.seal("right", workspace_id, "mailboxes.imap_password", await _mailbox_id()),
        )
        async with watching(vault, taken):
            await until(lambda: sum("HEADER" in command for command in server.commands) > 2, "the proof is looked for")
            assert await _status(recipient_id) == "ERROR"
            server.deliver(raw, "Gesendet")
            found = len(server.commands)
            await until(lambda: len(server.commands) > found + 20, "it is looked for again")
    assert await _status(recipient_id) == "IN_PROGRESS"
    rows = await fetch("SELECT state, reply FROM messages WHERE recipient_id = $1", recipient_id)
    assert [tuple(row) for row in rows] == [("SENT", "It was found in the mailbox's sent mail.")]
    assert taken.raws == []
    assert not await fetch("SELECT 1 FROM step_errors WHERE recipient_id = $1 AND resolved_at IS NULL", recipient_id)


async def _mailbox_id() -> UUID:
    found: UUID = (await fetch("SELECT id FROM mailboxes"))[0]["id"]
    return found
