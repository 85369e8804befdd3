"""What must be true of the mails in the sink and of the client's log, whatever happened on the way."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC
from itertools import pairwise
from typing import Any

from domain.feed import from_cursor
from tests.witness.outreach import SENDER_NAME, STEPS, people
from tests.witness.sink import SunkMail

_STEP = re.compile(r"step (\d) of 3 for (\S+)\.")
LINE_BYTES_AT_MOST = 998  # RFC 5322 2.1.1, without CRLF


def by_step(mails: Sequence[SunkMail]) -> dict[tuple[str, int], SunkMail]:
    """Return the mails by address and step, having seen that none is there twice."""
    found: dict[tuple[str, int], SunkMail] = {}
    for mail in mails:
        key = _key(mail)
        assert key not in found, f"{key[0]} got step {key[1]} twice"
        found[key] = mail
    doubles = {name: n for name, n in Counter(mail.message_id for mail in mails).items() if n > 1}
    assert not doubles, f"one Message-ID, two mails: {doubles}"
    return found


def _key(mail: SunkMail) -> tuple[str, int]:
    said = _STEP.search(mail.texts["text/plain"])
    assert said is not None, mail.raw[:2000]
    assert mail.envelope_to == (said[2],)
    return said[2], int(said[1])


def is_proper_mime(found: dict[tuple[str, int], SunkMail]) -> None:
    """See that each mail is what another mail program expects, and that each thread hangs together."""
    for person in people():
        thread = [found[person.email, step] for step in range(1, STEPS + 1) if (person.email, step) in found]
        for position, mail in enumerate(thread):
            message = mail.parsed
            for part in message.walk():
                assert not part.defects, part.defects
                assert all(not header.defects for header in part.values() if hasattr(header, "defects"))
            assert message.get_content_type() == "multipart/alternative"
            assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
            sender, to = message["From"].addresses[0], message["To"].addresses[0]
            assert (sender.display_name, sender.addr_spec) == (SENDER_NAME, mail.envelope_from)
            assert (to.display_name, to.addr_spec) == (person.name, person.email)
            assert message["Date"].datetime.astimezone(UTC).year >= 2020
            assert re.fullmatch(r"<[^\s<>@]+@sender\.example>", mail.message_id)
            text = mail.texts["text/plain"].replace("\r\n", "\n")
            assert f"Dear {person.first_name}," in text
            assert person.note in text
            assert "&lt; 1000 &amp;" in mail.texts["text/html"]
            earlier = [before.message_id for before in thread[:position]]
            assert str(message["In-Reply-To"] or "") == (earlier[-1] if earlier else "")
            assert str(message["References"] or "").split() == earlier
            assert message["Subject"] == ("Re: " if earlier else "") + f"A post for {person.name}"


def is_clean_on_the_wire(said: bytes) -> None:
    """See that all that the client said to the mail server is lines that end in CRLF and are not too long."""
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", said), "a bare LF or CR"
    assert max(map(len, said.split(b"\r\n"))) <= LINE_BYTES_AT_MOST


def is_dense(events: Sequence[dict[str, Any]], after: str) -> None:
    """See that a log misses nothing and keeps the order: of the feed, and of each recipient's versions and statuses."""
    epoch, start = from_cursor(after)
    assert [from_cursor(event["cursor"]) for event in events] == [
        (epoch, start + number) for number in range(1, len(events) + 1)
    ]
    assert len({event["id"] for event in events}) == len(events)
    for recipient_id, own in by_recipient(events).items():
        assert [event["version"] for event in own] == list(range(1, len(own) + 1)), recipient_id
        for before, event in pairwise(own):
            assert event["previousStatus"] == before["status"], recipient_id


def by_recipient(events: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        found[event["recipientId"]].append(event)
    return found
