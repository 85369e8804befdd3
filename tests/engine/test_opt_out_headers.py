"""Every automated email carries the pair of RFC 8058, byte for byte, and its link in the text where it is asked for."""

import re
from uuid import UUID

from cli.catcher import RunningCatcher
from domain.opting_out import OptOutLinks
from domain.rules.actor import Actor
from domain.secrets import Vault, hashed_address
from domain.settings import Settings
from tests.engine.conftest import until, working
from tests.engine.sending_world import claim_all
from tests.world import email, make_world
from workers.composing import Letter, composed

LONG = "https://" + "relance-" * 20 + "x.example/some/where"
BODY = 'Dear {{ first_name }}, <a href="{{ unsubscribe_url }}">no more mails</a>'


def header(raw: bytes, name: str) -> bytes:
    found = re.findall(
        rb"^" + name.encode() + rb":((?:.|\r\n[ \t])*)\r\n", raw.partition(b"\r\n\r\n")[0] + b"\r\n", re.M
    )
    assert len(found) == 1, raw
    return bytes(found[0])


async def test_each_mail_a_worker_sends_carries_the_pair_with_a_link_of_its_own(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, catcher: RunningCatcher
) -> None:
    world = await make_world(
        workspace_id,
        actor,
        vault,
        people=3,
        port=catcher.smtp_port,
        steps=[email(body=BODY), email(send_as_reply=True)],
    )
    async with working(settings):

        async def all_sent() -> bool:
            return len(catcher.catcher) == 6

        await until(all_sent)
    links = OptOutLinks(vault, settings.links_url)
    seen = set()
    for mail in catcher.catcher.page().mails:
        url = header(mail.raw, "List-Unsubscribe").strip().decode()
        assert header(mail.raw, "List-Unsubscribe-Post") == b" List-Unsubscribe=One-Click"
        assert url.startswith("<http://localhost:8000/u/v1.")
        link = links.read(url[1:-1].rpartition("/")[2])
        assert link is not None
        assert link.workspace_id == workspace_id
        assert link.recipient_id in world.recipient_ids
        assert link.address_hash == hashed_address(vault.pepper, workspace_id, mail.recipients[0])
        seen.add(link.message_id)
    assert len(seen) == 6


async def test_the_link_stays_one_word_however_long_it_is_and_is_never_encoded(
    workspace_id: UUID, actor: Actor, vault: Vault
) -> None:
    await make_world(workspace_id, actor, vault, steps=[email(body=BODY)])
    (claim,) = await claim_all()
    letter = composed(claim, OptOutLinks(vault, LONG))
    assert isinstance(letter, Letter)
    value = header(letter.mime, "List-Unsubscribe")
    assert re.fullmatch(rb"\r\n <https://[^\s<>]+>|[ ]<https://[^\s<>]+>", value)
    assert b"=?" not in value
    assert max(map(len, letter.mime.split(b"\r\n"))) <= 998
    url = value.strip()[1:-1].decode()
    assert url in letter.mark.text or url in letter.mark.html
    assert f'href="{url}"' in letter.mark.html
