"""Mail servers for the tests, on loopback: one that behaves (aiosmtpd) and one that follows a script of misdeeds."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.rules.smtp_replies import Outcome
from tests.world import HERE
from workers.smtp import SmtpAccount, SmtpSession, SmtpTimeouts

HANG, CLOSE, RESET = "hang", "close", "reset"
MESSAGE = b"Subject: Hello\r\n\r\nHello.\r\n"
QUICK = SmtpTimeouts(connect_seconds=2, command_seconds=0.3, dot_seconds=0.5)
ANN, BOB = "ann@sender.example", "bob@recipient.example"


def account(port: int, **changes: Any) -> SmtpAccount:
    return SmtpAccount(**{"host": "127.0.0.1", "port": port, "security": "NONE", "reach": HERE, **changes})


async def hand_over(session: SmtpSession, sender: str = ANN, recipient: str = BOB, message: bytes = MESSAGE) -> Outcome:
    outcome = await session.address(sender, recipient, message)
    return outcome or await session.send(message)


class KeepingHandler:
    """Keeps (envelope sender, recipients, mail options, bytes) of each accepted message."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, list[str], list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.kept.append((envelope.mail_from, envelope.rcpt_tos, envelope.mail_options, envelope.original_content))
        return "250 2.0.0 queued as 4F1A"


@contextlib.asynccontextmanager
async def listening(factory: Callable[[], asyncio.BaseProtocol], **options: Any) -> AsyncIterator[int]:
    """The free port on which `factory` makes a protocol for each connection."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def good_server(
    password: str | None = None, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[tuple[int, KeepingHandler]]:
    handler = KeepingHandler()

    def signed_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, credentials: Any) -> AuthResult:
        given = credentials.password.decode()
        return AuthResult(success=given == password, handled=False)

    def factory() -> SMTP:
        auth: dict[str, Any] = {"authenticator": signed_in, "auth_require_tls": False} if password else {}
        return SMTP(handler, hostname="good.test", **auth, **options)

    async with listening(factory, ssl=implicit_tls) as port:
        yield port, handler


class ScriptedServer:
    """Answers each command with the script's bytes, or hangs, closes or resets there; counts connections.

    Script keys: GREETING, the verbs, and DOT. A list is used up one connection after the other.
    """

    NORMAL = {  # noqa: RUF012
        "GREETING": b"220 scripted.test ESMTP\r\n",
        "EHLO": b"250-scripted.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        "MAIL": b"250 2.1.0 ok\r\n",
        "RCPT": b"250 2.1.5 ok\r\n",
        "DATA": b"354 go ahead\r\n",
        "DOT": b"250 2.0.0 taken\r\n",
        "RSET": b"250 2.0.0 ok\r\n",
        "QUIT": b"221 bye\r\n",
    }

    def __init__(self, **script: Any) -> None:
        self.script = {**self.NORMAL, **script}
        self.connections = 0
        self.commands: list[str] = []
        self.payloads: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in self.writers:
                writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            going = await self._act("GREETING", number, reader, writer)
            while going and (line := await reader.readline()):
                verb = line.split()[0].upper().decode()
                self.commands.append(line.decode().strip())
                going = await self._act(verb, number, reader, writer) and verb != "QUIT"
                if verb == "DATA" and going and writer.is_closing() is False and self._says("DATA", number)[:1] == b"3":
                    self.payloads.append(await reader.readuntil(b"\r\n.\r\n"))
                    going = await self._act("DOT", number, reader, writer)
        self.ended += 1
        writer.close()

    def _says(self, key: str, number: int) -> Any:
        says = self.script.get(key, b"502 5.5.1 no\r\n")
        return says[min(number, len(says) - 1)] if isinstance(says, list) else says

    async def _act(self, key: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        says = self._says(key, number)
        if says == HANG:
            await reader.read()
            return False
        if says == RESET:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if says == CLOSE:
            return False
        writer.write(says)
        await writer.drain()
        return not says.startswith((b"421", b"554 5.3.2"))


def certificate_for(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server context with a certificate for `name`, client context that trusts exactly it)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
