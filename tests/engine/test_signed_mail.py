"""A mailbox with a key signs what it sends, and receivers can verify that; one without a key does not."""

import re
from typing import Any
from uuid import UUID

import dkim
import pytest

from cli.catcher import RunningCatcher
from domain import mailboxes, signing_keys
from domain.database import fetch
from domain.mailbox_fields import MailboxFields
from domain.reading import mailboxes as read_mailboxes
from domain.refusals import Invalid, NotFound
from domain.rules.actor import Actor
from domain.rules.ids import new_id
from domain.secrets import Vault
from domain.settings import Settings
from tests.engine.conftest import until, working
from tests.world import World, email, make_mailbox, make_world


async def published(workspace_id: UUID, mailbox_id: UUID) -> dict[bytes, bytes]:
    key = (await read_mailboxes.by_ids(workspace_id, [mailbox_id]))[mailbox_id].dkim_key
    return {f"{key.record_name}.".encode(): key.record_value.encode()} if key else {}


def verifies(raw: bytes, zone: dict[bytes, bytes]) -> bool:
    return bool(dkim.verify(raw, dnsfunc=lambda name, timeout=5: zone.get(name)))


async def sent(settings: Settings, catcher: RunningCatcher, count: int) -> list[bytes]:
    async def all_there() -> bool:
        return len(catcher.catcher) == count

    async with working(settings):
        await until(all_there)
    return [mail.raw for mail in catcher.catcher.page().mails]


async def two_mails(workspace_id: UUID, actor: Actor, vault: Vault, port: int) -> World:
    steps = [email(), email(subject="", body="Did you see it?", send_as_reply=True)]
    return await make_world(workspace_id, actor, vault, steps=steps, port=port)


async def test_what_a_mail_server_gets_verifies_with_the_published_record_and_covers_the_opt_out(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, catcher: RunningCatcher
) -> None:
    world = await two_mails(workspace_id, actor, vault, catcher.smtp_port)
    await signing_keys.create(workspace_id, vault, world.mailbox_id)
    zone = await published(workspace_id, world.mailbox_id)
    (name,) = zone
    assert name.endswith(b"._domainkey.sender.example.")
    mails = await sent(settings, catcher, 2)
    for raw in mails:
        assert verifies(raw, zone)
        assert not verifies(raw, {name: b"v=DKIM1; k=rsa; p="})
        names = re.sub(rb"\s", b"", re.findall(rb" h=([^;]*);", raw)[0]).split(b":")
        assert names.count(b"list-unsubscribe") == names.count(b"list-unsubscribe-post") == 2
        assert not verifies(raw.replace(b"\r\nList-Unsubscribe-Post: ", b"\r\nList-Unsubscribe-Post: x"), zone)
        assert not verifies(re.sub(rb"\r\nSubject: ", b"\r\nSubject: x", raw), zone)
        assert not verifies(raw.replace(b"you", b"me").replace(b"word", b"lie"), zone)
    assert sum(b"\r\nReferences:" in raw for raw in mails) == 1


async def test_without_a_key_and_after_it_was_removed_nothing_is_signed(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, catcher: RunningCatcher
) -> None:
    world = await two_mails(workspace_id, actor, vault, catcher.smtp_port)
    await signing_keys.create(workspace_id, vault, world.mailbox_id)
    await signing_keys.remove(workspace_id, world.mailbox_id)
    assert await published(workspace_id, world.mailbox_id) == {}
    assert not any(b"DKIM-Signature" in raw for raw in await sent(settings, catcher, 2))


async def test_a_key_that_cannot_be_read_sends_nothing_unsigned(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, catcher: RunningCatcher
) -> None:
    world = await make_world(workspace_id, actor, vault, steps=[email()], port=catcher.smtp_port)
    await signing_keys.create(workspace_id, Vault(bytes(range(7, 39))), world.mailbox_id)

    async def disconnected() -> bool:
        (row,) = await fetch("SELECT state, state_code FROM mailboxes WHERE id = $1", world.mailbox_id)
        return tuple(row) == ("DISCONNECTED", "MAILBOX_CREDENTIALS_REFUSED")

    async with working(settings):
        await until(disconnected)
    assert len(catcher.catcher) == 0


async def test_a_new_key_takes_the_place_of_the_one_before_under_another_selector(
    workspace_id: UUID, vault: Vault
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault)
    await signing_keys.create(workspace_id, vault, mailbox_id, selector="one")
    first = await published(workspace_id, mailbox_id)
    with pytest.raises(Invalid, match="Choose another"):
        await signing_keys.create(workspace_id, vault, mailbox_id, selector="one")
    assert await published(workspace_id, mailbox_id) == first
    await signing_keys.create(workspace_id, vault, mailbox_id, selector="two")
    (name,) = second = await published(workspace_id, mailbox_id)
    assert name == b"two._domainkey.sender.example."
    assert set(second.values()).isdisjoint(first.values())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"domain": "other.example"}, "domain"),
        ({"domain": "mail.sender.example"}, "domain"),
        ({"domain": "example"}, "domain"),
        ({"selector": "Not one"}, "selector"),
        ({"selector": ""}, "selector"),
        ({"selector": "a" * 64}, "selector"),
        ({"selector": "a\r\nb"}, "selector"),
    ],
)
async def test_a_domain_that_does_not_cover_the_address_and_a_malformed_selector_are_refused(
    workspace_id: UUID, vault: Vault, given: dict[str, Any], field: str
) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault)
    with pytest.raises(Invalid) as refused:
        await signing_keys.create(workspace_id, vault, mailbox_id, **given)
    assert list(refused.value.field or ()) == [field]
    assert await published(workspace_id, mailbox_id) == {}


async def test_an_address_beyond_the_key_needs_the_key_removed_first(workspace_id: UUID, vault: Vault) -> None:
    mailbox_id = await make_mailbox(workspace_id, vault, address="jobs@mail.sender.example")
    await signing_keys.create(workspace_id, vault, mailbox_id, domain="sender.example")
    await mailboxes.update(workspace_id, vault, mailbox_id, MailboxFields(address="hr@sender.example"))
    elsewhere = MailboxFields(address="hr@notsender.example")
    with pytest.raises(Invalid, match="mailboxDkimKeyRemove"):
        await mailboxes.update(workspace_id, vault, mailbox_id, elsewhere)
    await signing_keys.remove(workspace_id, mailbox_id)
    await mailboxes.update(workspace_id, vault, mailbox_id, elsewhere)


async def test_a_mailbox_of_another_workspace_is_one_that_never_existed(workspace_id: UUID, vault: Vault) -> None:
    for act in (signing_keys.create(workspace_id, vault, new_id()), signing_keys.remove(workspace_id, new_id())):
        with pytest.raises(NotFound):
            await act
