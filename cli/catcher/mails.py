"""The caught mails: a bounded memory, and a folder of .eml files when they should survive a restart."""

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cli.catcher.reading import Headings, read_headings
from cli.private import owner_only

_HEAD_BYTES = 16_384
_ENVELOPE = re.compile(
    rb"Return-Path: <(?P<sender>[^\r\n]*)>\r\nX-Caught-At: (?P<at>[^\r\n]+)\r\nX-Caught-Recipients: (?P<count>\d+)\r\n"
)
_RECIPIENT = re.compile(rb"Delivered-To: ([^\r\n]*)\r\n")
_THREAD_DEPTH = 50


@dataclass
class CaughtMail:
    """One accepted mail. `id` rises with each; sender and recipients are those of the envelope."""

    id: int
    received_at: datetime
    sender: str
    recipients: tuple[str, ...]
    size_bytes: int
    head: bytes = field(repr=False)
    raw_in_memory: bytes | None = field(default=None, repr=False)
    file: Path | None = field(default=None, repr=False)
    file_offset_bytes: int = 0

    @property
    def raw(self) -> bytes:
        """The bytes as they were handed over; empty when the file was removed by someone else."""
        if self.raw_in_memory is not None:
            return self.raw_in_memory
        with contextlib.suppress(OSError):
            if self.file is not None:
                return self.file.read_bytes()[self.file_offset_bytes :]
        return b""

    @cached_property
    def headings(self) -> Headings:
        """The few headers that lists and threads need, read at the first look."""
        return read_headings(self.head)

    def matches(self, to: str, subject: str, anywhere: str) -> bool:
        """Whether lower-case words stand in the recipients, in the subject, or in either or the senders."""
        recipients = f"{' '.join(self.recipients)} {self.headings.to}".lower()
        return (
            (not to or to in recipients)
            and (not subject or subject in self.headings.subject.lower())
            and (
                not anywhere
                or anywhere in f"{recipients} {self.headings.subject} {self.headings.sender} {self.sender}".lower()
            )
        )


@dataclass(frozen=True)
class PageOfMails:
    """Some of the mails that match, newest first. `next_after` continues the list; None at its end."""

    mails: list[CaughtMail]
    total: int
    next_after: int | None


class MailCatcher:
    """Keeps the newest `capacity` mails, in memory or as files in `directory` (which it makes and owns).

    Mails hold names, addresses and links that act: a folder it makes and all its files are for their owner alone.
    """

    def __init__(self, directory: Path | None = None, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise ValueError("The catcher must be able to keep at least one mail.")
        self._directory = directory
        self._capacity = capacity
        self._mails: dict[int, CaughtMail] = {}
        self._by_message_id: dict[str, int] = {}
        self._indexed_id = 0
        self._last_id = 0
        if directory is not None:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._reload(directory)

    def __len__(self) -> int:
        return len(self._mails)

    @property
    def newest_id(self) -> int:
        """The id of the mail caught last, 0 before the first; it never goes back while the catcher runs."""
        return self._last_id

    def keep(self, sender: str, recipients: list[str], raw: bytes) -> CaughtMail:
        """Keep one mail, dropping the oldest when full. Raises OSError when the folder cannot be written."""
        self._last_id += 1
        mail = CaughtMail(
            self._last_id, datetime.now(UTC), sender, tuple(recipients), len(raw), _head_of(raw), raw_in_memory=raw
        )
        if self._directory is not None:
            mail.file = self._directory / f"{mail.id:011}.eml"
            envelope = _envelope_lines(mail)
            with open(mail.file, "wb", opener=owner_only) as file:
                file.write(envelope + raw)
            mail.file_offset_bytes, mail.raw_in_memory = len(envelope), None
        self._mails[mail.id] = mail
        while len(self._mails) > self._capacity:
            self._drop(next(iter(self._mails)))
        return mail

    def mail(self, mail_id: int) -> CaughtMail | None:
        """The mail of this id, or None when it was never caught or has been dropped."""
        return self._mails.get(mail_id)

    def page(
        self, *, to: str = "", subject: str = "", anywhere: str = "", limit: int = 50, after: int | None = None
    ) -> PageOfMails:
        """Mails whose recipients, subject or either contain the words, newest first, those after id `after`."""
        words = to.strip().lower(), subject.strip().lower(), anywhere.strip().lower()
        matching = [mail for mail in reversed(self._mails.values()) if mail.matches(*words)]
        rest = [mail for mail in matching if after is None or mail.id < after]
        page = rest[:limit]
        return PageOfMails(page, len(matching), page[-1].id if len(rest) > limit else None)

    def thread(self, mail: CaughtMail) -> list[CaughtMail]:
        """All kept mails of the same conversation, oldest first, this one included.

        Source: RFC 5322 section 3.6.4.
        """
        root = self._root_of(mail)
        return [other for other in self._mails.values() if other is mail or self._root_of(other) == root]

    def thread_sizes(self, mails: list[CaughtMail]) -> dict[int, int]:
        """How many kept mails the conversation of each of these has, by id; only where it has more than one."""
        sizes = Counter(self._root_of(mail) for mail in self._mails.values())
        return {mail.id: size for mail in mails if (size := sizes[self._root_of(mail)]) > 1}

    def clear(self) -> None:
        """Forget every mail, files included. Ids go on rising."""
        for mail_id in list(self._mails):
            self._drop(mail_id)

    def _root_of(self, mail: CaughtMail) -> str:
        self._index()
        for _ in range(_THREAD_DEPTH):
            headings = mail.headings
            parent = headings.references[0] if headings.references else headings.in_reply_to
            if not parent:
                return headings.message_id or f"#{mail.id}"
            known = self._mails.get(self._by_message_id.get(parent, 0))
            if known is None or known is mail:
                return parent
            mail = known
        return mail.headings.message_id

    def _index(self) -> None:
        if self._indexed_id == self._last_id:
            return
        for mail in self._mails_after(self._indexed_id):
            if mail.headings.message_id:
                self._by_message_id.setdefault(mail.headings.message_id, mail.id)
        self._indexed_id = self._last_id

    def _mails_after(self, mail_id: int) -> Iterator[CaughtMail]:
        newer = []
        for mail in reversed(self._mails.values()):
            if mail.id <= mail_id:
                break
            newer.append(mail)
        return reversed(newer)

    def _drop(self, mail_id: int) -> None:
        mail = self._mails.pop(mail_id)
        if mail_id <= self._indexed_id and self._by_message_id.get(mail.headings.message_id) == mail_id:
            del self._by_message_id[mail.headings.message_id]
        if mail.file is not None:
            with contextlib.suppress(OSError):
                mail.file.unlink()

    def _reload(self, directory: Path) -> None:
        files = sorted(file for file in directory.glob("*.eml") if file.stem.isdecimal())
        for file in files[: -self._capacity]:
            with contextlib.suppress(OSError):
                file.unlink()
        for file in files[-self._capacity :]:
            with contextlib.suppress(OSError):
                file.chmod(0o600)
            self._last_id = max(self._last_id, int(file.stem))
            if mail := _mail_in(file):
                self._mails[mail.id] = mail


def _head_of(raw: bytes) -> bytes:
    end = raw.find(b"\r\n\r\n", 0, _HEAD_BYTES)
    return raw[: end if end >= 0 else _HEAD_BYTES]


def _envelope_lines(mail: CaughtMail) -> bytes:
    lines = [
        f"Return-Path: <{mail.sender}>",
        f"X-Caught-At: {mail.received_at.isoformat()}",
        f"X-Caught-Recipients: {len(mail.recipients)}",
        *(f"Delivered-To: {recipient}" for recipient in mail.recipients),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape")


def _mail_in(file: Path) -> CaughtMail | None:
    """The mail of a file written by `keep`; None for one cut short by a crash or written by others."""
    try:
        size_bytes = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(2 * _HEAD_BYTES)
        envelope = _ENVELOPE.match(start)
        if envelope is None:
            return None
        offset, recipients = envelope.end(), []
        for _ in range(int(envelope["count"])):
            if (line := _RECIPIENT.match(start, offset)) is None:
                return None
            recipients.append(line[1].decode("utf-8", "surrogateescape"))
            offset = line.end()
        return CaughtMail(
            int(file.stem),
            datetime.fromisoformat(envelope["at"].decode()),
            envelope["sender"].decode("utf-8", "surrogateescape"),
            tuple(recipients),
            size_bytes - offset,
            _head_of(start[offset:]),
            file=file,
            file_offset_bytes=offset,
        )
    except (OSError, ValueError):
        return None
