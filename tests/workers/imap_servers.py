"""An IMAP server for one account, just enough of RFC 9051 for watching, and as awkward as a test wants it."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

PASSWORD = "right"  # of a server that lives for one test


@dataclass
class Kept:
    uid: int
    raw: bytes
    arrived_at: datetime
    seen: bool = False


@dataclass
class KeptFolder:
    flags: str = ""
    uid_validity: int = 7
    mails: list[Kept] = field(default_factory=list)

    @property
    def uid_next(self) -> int:
        return max((mail.uid for mail in self.mails), default=0) + 1


class ImapServer:
    """Folders by name. Searches answer in random order, as RFC 9051 allows."""

    def __init__(self, *, idles: bool = True, password: str = PASSWORD) -> None:
        self.folders = {"INBOX": KeptFolder(), "Spam": KeptFolder("\\Junk"), "Gesendet": KeptFolder("\\Sent")}
        self.password = password
        self.commands: list[str] = []
        self.sign_ins = 0
        self.mute_on: str | None = None  # a command that is never answered
        self.cut_on: str | None = None  # a command at which the connection ends, once
        self._idles = idles
        self._told: set[asyncio.Event] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._random = random.Random(7)

    def deliver(self, raw: bytes, folder: str = "INBOX", *, uid: int | None = None, at: datetime | None = None) -> int:
        """Put a mail into a folder and tell whoever idles."""
        kept = self.folders[folder]
        mail = Kept(uid or kept.uid_next, raw, at or datetime.now(UTC))
        kept.mails.append(mail)
        for event in self._told:
            event.set()
        return mail.uid

    def number_anew(self, folder: str = "INBOX") -> None:
        """Give all mails of a folder other UIDs under another UIDVALIDITY."""
        kept = self.folders[folder]
        kept.uid_validity += 1
        for uid, mail in enumerate(kept.mails, start=1):
            mail.uid = uid

    def cut_all(self) -> None:
        """End all connections without a word."""
        for writer in list(self._open):
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Listen on a free port of this machine."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        folder = KeptFolder()
        while line := (await reader.readline()).decode("latin-1").rstrip("\r\n"):
            tag, _, rest = line.partition(" ")
            name = " ".join(rest.split()[:2]).upper() if rest.upper().startswith("UID") else rest.split()[0].upper()
            self.commands.append(rest)
            if self.mute_on == name:
                await asyncio.sleep(3600)
            if self.cut_on == name:
                self.cut_on = None
                return
            if name == "CAPABILITY":
                writer.write(f"* CAPABILITY IMAP4rev1{' IDLE' if self._idles else ''}\r\n".encode())
            elif name == "LOGIN":
                self.sign_ins += 1
                if not rest.endswith(f'"{self.password}"'):
                    writer.write(f"{tag} NO [AUTHENTICATIONFAILED] wrong\r\n".encode())
                    continue
            elif name == "LIST":
                for place, kept in self.folders.items():
                    writer.write(f'* LIST ({kept.flags}) "/" "{place}"\r\n'.encode())
            elif name == "EXAMINE":
                folder = self.folders[rest.split(None, 1)[1].strip('"')]
                writer.write(f"* {len(folder.mails)} EXISTS\r\n".encode())
                writer.write(f"* OK [UIDVALIDITY {folder.uid_validity}] ok\r\n".encode())
                writer.write(f"* OK [UIDNEXT {folder.uid_next}] ok\r\n".encode())
            elif name == "UID SEARCH":
                uids = self._found(folder, rest)
                self._random.shuffle(uids)
                writer.write(f"* SEARCH {' '.join(map(str, uids))}\r\n".encode())
            elif name == "UID FETCH":
                self._fetch(folder, rest, writer)
            elif name == "IDLE":
                await self._idle(reader, writer, folder)
            elif name == "LOGOUT":
                writer.write(f"* BYE\r\n{tag} OK bye\r\n".encode())
                return
            writer.write(f"{tag} OK done\r\n".encode())
            await writer.drain()

    def _found(self, folder: KeptFolder, rest: str) -> list[int]:
        if above := re.search(r"UID (\d+):\*", rest.removeprefix("UID ")):
            found = [mail.uid for mail in folder.mails if mail.uid >= int(above[1])]
            return found or [mail.uid for mail in folder.mails[-1:]]
        if day := re.search(r"SINCE (\d+-\w+-\d+)", rest):
            since = datetime.strptime(day[1], "%d-%b-%Y").replace(tzinfo=UTC)
            return [mail.uid for mail in folder.mails if mail.arrived_at >= since]
        wanted = re.search(r'HEADER "?Message-ID"? "?(<[^>]+>)"?', rest, re.IGNORECASE)
        assert wanted is not None, rest
        return [mail.uid for mail in folder.mails if f"Message-ID: {wanted[1]}".encode() in mail.raw]

    def _fetch(self, folder: KeptFolder, rest: str, writer: asyncio.StreamWriter) -> None:
        uids = {int(uid) for uid in rest.split()[2].split(",")}
        part = re.search(r"BODY\.PEEK\[\]<0\.(\d+)>", rest)
        for number, mail in enumerate(folder.mails, start=1):
            if mail.uid not in uids:
                continue
            if part is None:
                arrived = mail.arrived_at.strftime("%d-%b-%Y %H:%M:%S +0000")
                head = f'* {number} FETCH (UID {mail.uid} RFC822.SIZE {len(mail.raw)} INTERNALDATE "{arrived}")\r\n'
                writer.write(head.encode())
                continue
            piece = mail.raw[: int(part[1])]
            writer.write(f"* {number} FETCH (UID {mail.uid} BODY[]<0> {{{len(piece)}}}\r\n".encode() + piece + b")\r\n")

    async def _idle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, folder: KeptFolder) -> None:
        writer.write(b"+ idling\r\n")
        told = asyncio.Event()
        self._told.add(told)
        ending = asyncio.ensure_future(reader.readline())
        telling = asyncio.ensure_future(told.wait())
        try:
            while not ending.done():
                await asyncio.wait({ending, telling}, return_when=asyncio.FIRST_COMPLETED)
                if telling.done() and not ending.done():
                    writer.write(f"* {len(folder.mails)} EXISTS\r\n".encode())
                    told.clear()
                    telling = asyncio.ensure_future(told.wait())
        finally:
            self._told.discard(told)
            ending.cancel()
            telling.cancel()
