"""One connection to a mail server, and what each part of a hand-over came to.

`address()` and `open()` return None to go on, or the outcome that ends this hand-over; `send()` always returns an
outcome. Nothing here raises for what a server or a network does. Until `send()` has written DATA, every outcome
means that provably nothing was sent; from then on, anything but a reply is Unknown.

Source: RFC 1047 (the gap after the dot), RFC 5321 section 4.5.3.2 (timeouts); product.md section 6.
"""

import asyncio
import ssl
from typing import cast

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from domain.rules.network import AddressNotAllowed
from domain.rules.smtp_replies import Later, LaterReason, MailboxBroken, Outcome, Refused, Stage, Unknown, classify
from workers.smtp_account import DEFAULT_TIMEOUTS, SmtpAccount, SmtpTimeouts
from workers.smtp_wire import (
    AddressNeedsUtf8,
    AddressUnsafe,
    connected_socket,
    envelope_address,
    system_roots,
    wire_form,
)

__all__ = ["DEFAULT_TIMEOUTS", "SmtpAccount", "SmtpSession", "SmtpTimeouts"]

_QUIT_SECONDS = 5.0
_LOST = (SMTPException, OSError, TimeoutError)


class SmtpSession:
    """A connection of one mailbox, used by one task at a time: `address`, `send`, and again.

    Without `open()`, the first `address()` connects. `tls_context` replaces the system's trusted roots.
    """

    def __init__(
        self,
        account: SmtpAccount,
        timeouts: SmtpTimeouts = DEFAULT_TIMEOUTS,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        self.account = account
        self._timeouts = timeouts
        self._tls_context = tls_context
        self._client: aiosmtplib.SMTP | None = None
        self._transaction_open = False
        self._recipient_accepted = False

    @property
    def is_open(self) -> bool:
        """Whether the connection stands, as far as this side has noticed."""
        return self._client is not None and self._client.is_connected

    async def open(self) -> Outcome | None:
        """Connect, greet, encrypt if asked for (or not go on at all) and sign in."""
        self.abort()
        try:
            outcome = await self._open()
        except BaseException:
            self.abort()
            raise
        if outcome is not None:
            self.abort()
        return outcome

    async def address(self, sender: str, recipient: str, message: bytes | None = None) -> Outcome | None:
        """Offer the envelope. With the `message`, its size and 8-bit letters are declared and checked too.

        A connection that was kept and died meanwhile is replaced once, unseen by the caller.
        """
        kept = self.is_open
        if not kept and (outcome := await self.open()):
            return outcome
        refusal = self._offer(sender, recipient, message)
        if isinstance(refusal, Outcome):
            return refusal
        mail_from, rcpt_to = refusal
        outcome = await self._start(mail_from)
        if outcome and kept and not self.is_open:
            outcome = await self.open() or await self._start(mail_from)
        if outcome:
            return outcome
        outcome = await self._ask(Stage.RCPT_TO, *rcpt_to)
        self._recipient_accepted = outcome is None
        return outcome

    async def send(self, message: bytes) -> Outcome:
        """Hand the message over after `address()` returned None, line ends made CRLF and leading dots doubled.

        A cancellation leaves the message unknown; the connection is cut and the caller records it.
        """
        if not self._recipient_accepted or not self.is_open:
            return Later(LaterReason.TRANSPORT, "The connection was lost before the message was offered.")
        self._recipient_accepted = False
        try:
            outcome = await self._hand_over(wire_form(message) + b".\r\n")
        except BaseException:
            self.abort()
            raise
        if isinstance(outcome, Unknown):
            self.abort()
        return outcome

    async def close(self) -> None:
        """Say goodbye, briefly, and close. Never raises for what the server does."""
        client = self._client
        try:
            if client is not None and client.is_connected:
                await client.quit(timeout=_QUIT_SECONDS)
        except _LOST:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """Cut the connection without a word; safe at any time."""
        client, self._client = self._client, None
        self._transaction_open = self._recipient_accepted = False
        if client is not None:
            if (transport := client.transport) is not None:
                # close() alone would still send what waits in the buffer; uvloop's are no WriteTransport by type
                cast(asyncio.WriteTransport, transport).abort()
            client.close()

    async def _open(self) -> Outcome | None:
        account, timeouts = self.account, self._timeouts
        try:
            sock = await connected_socket(account.host, account.port, timeouts.connect_seconds, account.reach)
        except AddressNotAllowed as refused:
            return MailboxBroken("MAILBOX_SERVER_UNREACHABLE", str(refused))
        except OSError as failure:
            return classify(Stage.CONNECT, None, f"Could not reach {account.host}:{account.port}: {_said(failure)}")
        self._client = client = aiosmtplib.SMTP(
            hostname=account.host,
            sock=sock,
            timeout=timeouts.command_seconds,
            local_hostname=account.local_hostname,
            use_tls=account.security == "TLS",
            start_tls=False,
            tls_context=None if account.security == "NONE" else self._tls_context or await system_roots(),
        )
        try:
            await client.connect()
        except _LOST as failure:
            sock.close()
            return _failure(Stage.GREETING, failure)
        return await self._introduce() or await self._encrypt() or await self._sign_in()

    async def _introduce(self) -> Outcome | None:
        client = self._connected()
        try:
            try:
                await client.ehlo()
            except aiosmtplib.SMTPHeloError:
                if not client.is_connected:
                    raise
                await client.helo()
        except _LOST as failure:
            return _failure(Stage.GREETING, failure)
        return None

    async def _encrypt(self) -> Outcome | None:
        if self.account.security != "STARTTLS":
            return None
        client = self._connected()
        if not client.supports_extension("starttls"):
            return MailboxBroken("MAILBOX_CERTIFICATE_INVALID", "The server does not offer encryption (STARTTLS).")
        try:
            await client.starttls()
        except _LOST as failure:
            return _failure(Stage.TLS, failure)
        return await self._introduce()

    async def _sign_in(self) -> Outcome | None:
        account, client = self.account, self._connected()
        if account.username is None:
            return None
        offered = client.supported_auth_methods
        # One method only: trying the others with a wrong password would count as more failed sign-ins.
        preferred = ("cram-md5", "plain", "login") if account.security == "NONE" else ("plain", "login", "cram-md5")
        method = next((name for name in preferred if name in offered), None)
        sign_in = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        if method is None:
            return MailboxBroken("MAILBOX_DISCONNECTED", "The server offers no way to sign in with a password.")
        try:
            await sign_in[method](account.username, account.password or "")
        except _LOST as failure:
            return _failure(Stage.AUTH, failure)
        return None

    def _offer(
        self, sender: str, recipient: str, message: bytes | None
    ) -> Outcome | tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The MAIL and RCPT commands, or why this message cannot be offered to this server."""
        client = self._connected()
        may_be_utf8 = client.supports_extension("smtputf8")
        try:
            from_address = envelope_address(sender, may_be_utf8)
        except (AddressUnsafe, AddressNeedsUtf8) as refusal:
            return MailboxBroken("SENDER_NOT_ALLOWED", str(refusal))
        try:
            to_address = envelope_address(recipient, may_be_utf8)
        except (AddressUnsafe, AddressNeedsUtf8) as refusal:
            return Refused("EMAIL_INVALID", str(refusal))
        options = []
        if message is not None:
            size_bytes = len(wire_form(message, stuffed=False))
            limit = client.esmtp_extensions.get("size", "")
            if limit.isdecimal() and 0 < int(limit) < size_bytes:
                told = f"The server takes messages of up to {int(limit):,} bytes; this one has {size_bytes:,}."
                return Refused("MESSAGE_TOO_LARGE", told)
            if client.supports_extension("size"):
                options.append(b"SIZE=%d" % size_bytes)
            if not message.isascii() and client.supports_extension("8bitmime"):
                options.append(b"BODY=8BITMIME")
        if not (from_address + to_address).isascii():
            options.append(b"SMTPUTF8")
        return (b"MAIL", b"FROM:<" + from_address + b">", *options), (b"RCPT", b"TO:<" + to_address + b">")

    async def _start(self, mail_from: tuple[bytes, ...]) -> Outcome | None:
        self._recipient_accepted = False
        if self._transaction_open and (outcome := await self._ask(Stage.MAIL_FROM, b"RSET")):
            self.abort()
            return outcome
        self._transaction_open = False
        outcome = await self._ask(Stage.MAIL_FROM, *mail_from)
        self._transaction_open = outcome is None
        return outcome

    async def _ask(self, stage: Stage, *command: bytes) -> Outcome | None:
        try:
            reply = await self._connected().execute_command(*command)
        except _LOST as failure:
            self.abort()
            return _failure(stage, failure)
        except BaseException:
            self.abort()
            raise
        _heed_cancellation()
        return None if 200 <= reply.code < 300 else classify(stage, reply.code, reply.message)

    async def _hand_over(self, payload: bytes) -> Outcome:
        client = self._connected()
        try:
            start = await client.execute_command(b"DATA")
            if not 300 <= start.code < 400:
                return classify(Stage.DATA, start.code, start.message)
            _heed_cancellation()
            if client.protocol is None:
                return Unknown("The connection was lost before the message was written.")
            # The library's own data() has one timeout for both answers and cannot tell which of them refused.
            client.protocol.write(payload)
            reply = await client.protocol.read_response(timeout=self._timeouts.dot_seconds)
        except _LOST as failure:
            return Unknown(f"The server did not say whether it took the message: {_said(failure)}")
        self._transaction_open = False
        return classify(Stage.DOT, reply.code, reply.message)

    def _connected(self) -> aiosmtplib.SMTP:
        if self._client is None:
            raise aiosmtplib.SMTPServerDisconnected("The connection is closed.")
        return self._client


def _heed_cancellation() -> None:
    """Python 3.11's wait_for forgets a cancellation that comes together with the reply."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _failure(stage: Stage, failure: BaseException) -> Outcome:
    if isinstance(failure, SMTPResponseException) and failure.code > 0:
        return classify(stage, failure.code, failure.message)
    cause = failure if isinstance(failure, ssl.SSLError) else failure.__cause__
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return classify(Stage.TLS, None, f"The server could not prove who it is: {_said(cause)}")
    if stage is Stage.TLS:  # the network, not the certificate
        stage = Stage.CONNECT
    return classify(stage, None, _said(failure))


def _said(failure: BaseException) -> str:
    return str(failure) or type(failure).__name__
