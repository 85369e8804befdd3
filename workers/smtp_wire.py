"""What goes over the wire to a mail server: the socket below, the addresses and the bytes of the message.

Source: RFC 5321 sections 4.1.2 and 4.5.2; RFC 6531 (SMTPUTF8); RFC 5891 (IDNA).
"""

import asyncio
import re
import socket
import ssl
from functools import cache

import email_validator

from domain.rules.network import Reach

_BARE_LINE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f<>\u2028\u2029]")
_KEEPALIVE_IDLE_SECONDS, _KEEPALIVE_INTERVAL_SECONDS, _KEEPALIVE_TRIES = 30, 10, 3
_UNACKNOWLEDGED_MILLISECONDS = 60_000


class AddressUnsafe(ValueError):
    """The address holds letters that could change the command it stands in, or is not one address."""


class AddressNeedsUtf8(ValueError):
    """The part before the @-sign is not ASCII and the server does not offer SMTPUTF8."""


def envelope_address(address: str, may_be_utf8: bool) -> bytes:
    """The address as it stands between the angle brackets, its domain in A-labels.

    Raises:
        AddressUnsafe: control characters, spaces, angle brackets, no or two parts.
        AddressNeedsUtf8: only SMTPUTF8 could carry it, and that is not offered.
    """
    local, at, domain = address.rpartition("@")
    if not (at and local and domain) or _UNSAFE.search(address):
        raise AddressUnsafe(f"{address[:80]!r} is not one plain email address. Correct the address.")
    if address.isascii():
        return address.encode("ascii")
    try:
        found = email_validator.validate_email(address, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError as refusal:
        raise AddressUnsafe(f"{address[:80]!r} is not an email address: {refusal}") from None
    if not found.local_part.isascii() and not may_be_utf8:
        raise AddressNeedsUtf8(
            f"{address[:80]!r} has letters before the @-sign that the mail server cannot take (no SMTPUTF8). "
            "Use an address in plain letters."
        )
    return f"{found.local_part}@{found.ascii_domain}".encode()


def wire_form(message: bytes, stuffed: bool = True) -> bytes:
    """The message with every line ended by CRLF, and leading dots doubled when `stuffed`.

    No bare CR or LF is left, so that no server can see the end of the message elsewhere than where it is.
    """
    if not message.count(b"\n") == message.count(b"\r") == message.count(b"\r\n"):  # faster than searching
        message = _BARE_LINE_END.sub(b"\r\n", message)
    if not message.endswith(b"\r\n"):
        message += b"\r\n"
    if stuffed and (message.startswith(b".") or b"\n." in message):
        message = _LEADING_DOT.sub(b"..", message)
    return message


async def connected_socket(host: str, port: int, timeout_seconds: float, reach: Reach) -> socket.socket:
    """A TCP connection to the first address of `host` that answers, the caller's to close. The name is looked up once,
    and only what was looked at is called.

    Raises:
        AddressNotAllowed: one of its addresses, or the port, may not be called.
        OSError: none answered in time, or there is no such name (TimeoutError is one too).
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            failure: OSError | None = None
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            reach.chosen_for_mail((str(entry[4][0]) for entry in found), port)
            for family, kind, protocol, _, address in found:
                sock = socket.socket(family, kind, protocol)
                try:
                    sock.setblocking(False)
                    notice_dead_peers(sock)
                    await loop.sock_connect(sock, address)
                except OSError as refused:
                    sock.close()
                    failure = refused
                except BaseException:
                    sock.close()
                    raise
                else:
                    return sock
    except TimeoutError:
        raise TimeoutError(f"no answer within {timeout_seconds:g} seconds") from None
    except UnicodeError:
        raise OSError(f"{host[:80]!r} is not a host name") from None
    raise failure or OSError("the name has no address")


def notice_dead_peers(sock: socket.socket) -> None:
    """Let the kernel end a connection whose peer is gone, where the platform can."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wishes = {
        "TCP_KEEPIDLE": _KEEPALIVE_IDLE_SECONDS,
        "TCP_KEEPINTVL": _KEEPALIVE_INTERVAL_SECONDS,
        "TCP_KEEPCNT": _KEEPALIVE_TRIES,
        "TCP_USER_TIMEOUT": _UNACKNOWLEDGED_MILLISECONDS,
    }
    for name, value in wishes.items():
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def system_roots() -> ssl.SSLContext:
    """The context that trusts what this machine trusts; made once, beside the loop, because it reads many files."""
    return await asyncio.to_thread(_system_roots)


@cache
def _system_roots() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
