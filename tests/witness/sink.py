"""Postfix's smtp-sink as the mail server, and what it wrote down, read with Python's own email package."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from pathlib import Path

from tests.witness.outside import IS_ROOT, free_port, open_folder, serving, wait_until
from tests.witness.programs import smtp_sink

_OWN_LINES = re.compile(rb"\A((?:X-[A-Za-z-]+: [^\n]*\n)+)Received: [^\n]*\n\t[^\n]*\n\t[^\n]*\n")


@dataclass(frozen=True)
class SunkMail:
    """One mail that the sink has accepted whole. A transaction that was cut leaves none."""

    raw: bytes  # as handed over, with LF for CRLF: the sink drops every CR
    envelope_from: str
    envelope_to: tuple[str, ...]

    @cached_property
    def parsed(self) -> EmailMessage:
        message = message_from_bytes(self.raw, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    @cached_property
    def message_id(self) -> str:
        return str(self.parsed["Message-ID"])

    @cached_property
    def texts(self) -> dict[str, str]:
        """Return the content of each part by its kind; of two of one kind the last."""
        return {
            part.get_content_type(): str(part.get_content()) for part in self.parsed.walk() if not part.is_multipart()
        }


@dataclass(frozen=True)
class Sink:
    port: int
    folder: Path

    def count(self) -> int:
        """Return how many mails there are, with those that are arriving just now."""
        return sum(1 for _ in self.folder.glob("mail.*"))

    def mails(self) -> list[SunkMail]:
        """Return all mails, once nothing arrives any more: what is counted may still have to be written."""
        files = list(self.folder.glob("mail.*"))
        wait_until(lambda: all(file.read_bytes().endswith(b"\n\n") for file in files), "all mails are written")
        return [_read(file.read_bytes()) for file in files]


@contextmanager
def running_sink(*options: str) -> Iterator[Sink]:
    """A sink for the length of the block, with options of smtp-sink's."""
    program = smtp_sink()
    with open_folder("sink") as folder:
        port = free_port()
        identity = ["-u", "nobody"] if IS_ROOT else []
        command = [program, *identity, *options, "-d", f"{folder}/mail.", f"127.0.0.1:{port}", "500"]
        with serving(command, port, folder):
            yield Sink(port, folder)


def _read(text: bytes) -> SunkMail:
    head = _OWN_LINES.match(text)
    assert head is not None, f"smtp-sink wrote something else: {text[:300]!r}"
    own = head[1].decode()
    return SunkMail(
        raw=text[head.end() :].removesuffix(b"\n"),  # smtp-sink adds an empty line
        envelope_from=_addresses(own, "X-Mail-Args")[0],
        envelope_to=tuple(_addresses(own, "X-Rcpt-Args")),
    )


def _addresses(own: str, name: str) -> list[str]:
    return re.findall(rf"^{name}: <([^>]*)>", own, re.M)
