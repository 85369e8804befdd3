"""One connection to a mailbox's IMAP server: its folders, what is new in them, and waiting for more.

Everything here blocks and belongs into a thread; each read has a timeout, and `abort` from another thread ends a
call that takes too long. Folders are opened read-only and mails are peeked at, so that nothing is marked as read.

Source: RFC 9051, RFC 2177 (IDLE), RFC 6154 (special folders); reliability.md 2.14.
"""

import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from imaplib import IMAP4
from typing import Any, Final, Literal

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError, LoginError

from domain.rules.network import PUBLIC_ONLY, AddressNotAllowed, Reach
from domain.rules.step_errors import StepErrorCode

_JUNK_NAMES: Final = frozenset({"junk", "spam", "junk e-mail", "junk email", "bulk mail", "bulk"})
_SENT_NAMES: Final = frozenset({"sent", "sent items", "sent mail", "sent messages"})
# RFC 5530: the account is all right, only not now.
_NOT_NOW: Final = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "TRY AGAIN", "TOO MANY")
_WORDS_LENGTH_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """Where and as whom a mailbox is read, and what may be called for it."""

    host: str
    port: int
    security: Literal["NONE", "STARTTLS", "TLS"]
    username: str
    password: str = field(repr=False)
    reach: Reach = PUBLIC_ONLY


@dataclass(frozen=True, slots=True)
class ImapTimeouts:
    """How long connecting and each read may take."""

    connect_seconds: float = 20.0
    read_seconds: float = 60.0


class FolderRole(StrEnum):
    """What a folder is watched for: INBOX and JUNK for what comes in, SENT for proof of what went out."""

    INBOX = "INBOX"
    JUNK = "JUNK"
    SENT = "SENT"


@dataclass(frozen=True, slots=True)
class Folder:
    name: str
    role: FolderRole


@dataclass(frozen=True, slots=True)
class Opened:
    """An open folder. A UID names a mail only together with `uid_validity`."""

    uid_validity: int
    uid_next: int


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of a mail before it is read. `arrived_at` is the server's word; some give none."""

    size_bytes: int
    arrived_at: datetime | None


class ImapFailed(Exception):
    """The server cannot be read; `code` says what it means for the mailbox; None: merely lost."""

    def __init__(self, code: StepErrorCode | None, words: str) -> None:
        words = " ".join(words.split())[:_WORDS_LENGTH_MAX]
        super().__init__(words)
        self.code = code
        self.words = words


class _Client(IMAPClient):  # type: ignore[misc]  # the library has no types
    """The library's client, at an address that was looked up once and looked at before. TLS still asks for the name."""

    def __init__(self, reach: Reach, *args: Any, **options: Any) -> None:
        self._reach = reach
        super().__init__(*args, **options)

    def _create_IMAP4(self) -> IMAP4:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = self._reach.chosen_for_mail((str(entry[4][0]) for entry in found), self.port)
        return _Connection(addresses, self)


class _Connection(IMAP4):
    def __init__(self, addresses: Sequence[str], client: _Client) -> None:
        self._addresses, self._client = addresses, client
        super().__init__(client.host, client.port, client._timeout.connect)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        failure: OSError | None = None
        for address in self._addresses:
            try:
                connection = socket.create_connection((address, self.port), timeout)
            except OSError as refused:
                failure = refused
                continue
            if not self._client.ssl:
                return connection
            context: ssl.SSLContext = self._client.ssl_context
            try:
                return context.wrap_socket(connection, server_hostname=self.host)
            except BaseException:
                connection.close()
                raise
        raise failure or OSError("The name has no address.")


class ImapSession:
    """One signed-in connection, used by one thread at a time.

    Raises, in each method:
        ImapFailed
    """

    def __init__(
        self,
        account: ImapAccount,
        timeouts: ImapTimeouts | None = None,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self._account = account
        self._timeouts = timeouts or ImapTimeouts()
        self._tls_context = tls_context
        self._client: IMAPClient | None = None
        self._idling = False

    @property
    def server(self) -> tuple[str, int]:
        """Where it is connected to."""
        return self._account.host.lower(), self._account.port

    def open(self) -> None:
        """Connect, encrypt if asked for (or not go on at all) and sign in."""
        account = self._account
        context = self._tls_context or ssl.create_default_context()
        try:
            self._client = client = _Client(
                account.reach,
                account.host,
                account.port,
                ssl=account.security == "TLS",
                ssl_context=context if account.security == "TLS" else None,
                timeout=SocketTimeout(self._timeouts.connect_seconds, self._timeouts.read_seconds),
            )
            client.normalise_times = False
            if account.security == "STARTTLS":
                client.starttls(context)
            client.login(account.username, account.password)
        except Exception as problem:
            self.abort()
            raise _failure(problem, signing_in=True) from problem

    def folders(self) -> list[Folder]:
        """Return INBOX, and those folders for junk and for sent mail that the account has."""
        found: list[tuple[Sequence[bytes], bytes, str]] = self._ask("list_folders")
        named = [(name, {bytes(flag).lower() for flag in flags}) for flags, _, name in found]
        marked = [(name, flags) for name, flags in named if b"\\noselect" not in flags]
        junk = [name for name, flags in marked if b"\\junk" in flags] or _named(marked, _JUNK_NAMES)
        sent = [name for name, flags in marked if b"\\sent" in flags] or _named(marked, _SENT_NAMES)
        return [
            Folder("INBOX", FolderRole.INBOX),
            *(Folder(name, FolderRole.JUNK) for name in junk if name.upper() != "INBOX"),
            *(Folder(name, FolderRole.SENT) for name in sent if name.upper() != "INBOX"),
        ]

    def open_folder(self, name: str) -> Opened:
        """Open a folder to look at it; nothing in it changes."""
        answer = self._ask("select_folder", name, readonly=True)
        try:
            return Opened(int(answer[b"UIDVALIDITY"]), int(answer.get(b"UIDNEXT", 0)))
        except (KeyError, TypeError, ValueError) as problem:
            raise ImapFailed(None, f"The server did not say how the mails of {name} are numbered.") from problem

    def uids_after(self, last_uid: int) -> list[int]:
        """Return the UIDs above `last_uid` of the open folder, rising. The server's own order means nothing, and
        `n:*` always returns the last mail, however small its UID."""
        found = self._ask("search", ["UID", f"{last_uid + 1}:*"])
        return sorted({int(uid) for uid in found if int(uid) > last_uid})

    def uids_since(self, day: date) -> list[int]:
        """Return the UIDs of the open folder's mails that arrived on that day or later, rising."""
        return sorted({int(uid) for uid in self._ask("search", ["SINCE", day])})

    def has_message_id(self, message_id: str) -> bool:
        """Return whether the open folder has a mail with this Message-ID."""
        return bool(self._ask("search", ["HEADER", "Message-ID", message_id]))

    def heads(self, uids: Sequence[int]) -> dict[int, Head]:
        """Return the size and arrival of each of these mails; one that is gone is missing."""
        found = self._ask("fetch", uids, ["RFC822.SIZE", "INTERNALDATE"])
        return {
            int(uid): Head(int(items[b"RFC822.SIZE"]), items.get(b"INTERNALDATE"))
            for uid, items in found.items()
            if b"RFC822.SIZE" in items
        }

    def mail(self, uid: int, most_bytes: int) -> bytes | None:
        """Return a mail as it came, up to `most_bytes` of it, and leave it unread; None when it is gone."""
        items = self._ask("fetch", [uid], [f"BODY.PEEK[]<0.{most_bytes}>"]).get(uid, {})
        raw = items.get(b"BODY[]<0>", items.get(b"BODY[]"))
        return bytes(raw) if raw is not None else None

    @property
    def can_idle(self) -> bool:
        """Whether the server tells of new mail by itself."""
        return self._client is not None and bool(self._client.has_capability("IDLE"))

    def start_idle(self) -> socket.socket:
        """Ask the server to tell of new mail in the open folder; return the socket that becomes readable then."""
        self._ask("idle")
        self._idling = True
        assert self._client is not None
        found: socket.socket = self._client.socket()
        return found

    def end_idle(self) -> None:
        """Take the connection back for other questions."""
        if self._idling:
            self._idling = False
            self._ask("idle_done")

    def keep_alive(self) -> None:
        """Say something, so that neither side takes the other for dead."""
        self._ask("noop")

    def close(self) -> None:
        """Say goodbye and close. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.logout()
            _shut(client)

    def abort(self) -> None:
        """Cut the connection without a word; a call that waits in another thread ends by it. Never raises."""
        client, self._client = self._client, None
        if client is not None:
            _shut(client)

    def _ask(self, name: str, *args: Any, **options: Any) -> Any:
        client = self._client
        if client is None:
            raise ImapFailed(None, "The connection was cut.")
        try:
            return getattr(client, name)(*args, **options)
        except Exception as problem:  # the library lets parser errors of a strange server through, too
            raise _failure(problem) from problem


def _named(folders: Sequence[tuple[str, set[bytes]]], names: frozenset[str]) -> list[str]:
    return [name for name, _ in folders if name.replace("/", ".").rpartition(".")[2].lower() in names]


def _shut(client: IMAPClient) -> None:
    with contextlib.suppress(Exception):
        client.socket().shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(Exception):
        client.shutdown()


def _failure(problem: Exception, *, signing_in: bool = False) -> ImapFailed:
    words = str(problem) or type(problem).__name__
    if isinstance(problem, AddressNotAllowed):
        return ImapFailed(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, words)
    if isinstance(problem, ssl.SSLCertVerificationError):
        return ImapFailed(StepErrorCode.MAILBOX_CERTIFICATE_INVALID, problem.verify_message or words)
    # The library says of any end of the connection which command it came at: that is no answer to the command.
    lost = isinstance(problem, IMAP4.abort) or isinstance(problem.__context__, IMAP4.abort)
    if isinstance(problem, LoginError) and not lost:
        if any(sign in words.upper() for sign in _NOT_NOW):
            return ImapFailed(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, _plain(words))
        return ImapFailed(StepErrorCode.MAILBOX_CREDENTIALS_REFUSED, _plain(words))
    if not signing_in:
        return ImapFailed(None, _plain(words))
    if isinstance(problem, IMAPClientError) and "STARTTLS" in words.upper() and not lost:
        return ImapFailed(StepErrorCode.MAILBOX_CERTIFICATE_INVALID, "The server does not offer encryption.")
    return ImapFailed(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, _plain(words))


def _plain(words: str) -> str:
    """Return the server's words without the marks of Python's bytes."""
    return words[2:-1] if words[:2] in ("b'", 'b"') else words
