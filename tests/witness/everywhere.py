"""A network of its own in which every address of the world is this machine, and a name server that changes its mind:
whatever we connect to there is seen. `unshare --net --mount python -m tests.witness.everywhere` prints what it reached.
"""

import asyncio
import json
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from domain import webhooks
from domain.rules.ids import new_id
from domain.rules.network import PUBLIC_ONLY
from domain.secrets import Vault
from domain.webhook_delivery import Delivery
from tests.rules.test_network import INSIDE
from tests.workers.smtp_servers import QUICK, account, certificate_for
from workers.imap import ImapAccount, ImapFailed, ImapSession, ImapTimeouts
from workers.smtp import SmtpSession
from workers.webhooks import Deliverer

PUBLIC: Final = ("8.8.8.8", "2606:4700:4700::1111")
_PORTS: Final = (25, 80, 143, 443, 465, 587, 993, 2525, 5432, 6379, 8000, 8443)
_WRITTEN: Final = (  # other ways of writing an address, and names that need no name server
    *(
        "127.1",
        "127.0.1",
        "0",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "10.1",
        "0xa9fea9fe",
    ),
    *("１２７.0.0.1", "127。0。0。1", "localhost", "LOCALHOST.", "127.0.0.1."),
)
# What the name server says, in turn: the last answer stays.
_NAMES: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "public.example": (PUBLIC,),
    "inside.example": (("10.0.0.1",),),
    "both.example": (("8.8.8.8", "10.0.0.1"),),
    "linked.example": (("169.254.169.254",),),
    "mapped.example": (("::ffff:10.0.0.1",),),
    "translated.example": (("64:ff9b::a00:1",),),
    "rebinding.example": (("8.8.8.8",), ("127.0.0.1",)),
    "rebound.example": (("127.0.0.1",), ("8.8.8.8",), ("127.0.0.1",)),
}


def _build() -> None:
    """Make every address one of this machine, and ask nobody but us for names."""
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False) as conf:
        conf.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", conf.name, "/etc/resolv.conf"], check=True)


class NameServer:
    """Answers for A and AAAA; one more question of a kind for a name, and it says the next."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int], int] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))

    def run(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
        name = ".".join(labels).lower()
        turns = _NAMES.get(name, ())
        turn = self._asked.get((name, kind), 0)
        self._asked[name, kind] = turn + 1
        told = [ip_address(text) for text in (turns[min(turn, len(turns) - 1)] if turns else ())]
        packed = [one.packed for one in told if one.version == (4 if kind == 1 else 6)]
        head = query[:2] + struct.pack("!5H", 0x8180 if turns else 0x8183, 1, len(packed), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", kind, 1, 0, len(one)) + one for one in packed)
        return head + query[12 : at + 5] + records


class Everywhere:
    """Listens at every address. Tells with a redirect to the inside what is asked over HTTP."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.reached: list[tuple[str, int]] = []
        self._tls = tls

    async def open(self) -> None:
        for port in _PORTS:
            for host in ("0.0.0.0", "::"):
                await asyncio.start_server(self._serve, host, port, ssl=self._tls if port in (443, 8443) else None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port, *_ = writer.get_extra_info("sockname")
        self.reached.append((address, port))
        if port in (80, 443, 8443):
            writer.write(
                b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            await writer.drain()
        writer.close()


def urls(host: str) -> list[str]:
    """Return what a workspace might give as its endpoint, to get to this host."""
    try:
        bracketed = f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        bracketed = f"[{host}]" if ":" in host else host
    return [
        f"https://{bracketed}/",
        f"http://{bracketed}/",
        f"https://{bracketed}:8443/",
        f"https://8.8.8.8@{bracketed}/",
    ]


async def _tried(host: str, deliverer: Deliverer, vault: Vault) -> None:
    """Call a host in every way in which we call for a workspace."""
    workspace_id, endpoint_id = new_id(), new_id()
    for url in urls(host):
        secret = vault.seal("whsec_AAAA", workspace_id, webhooks.SECRET_PLACE, endpoint_id)
        delivery = Delivery(
            id=new_id(),
            token=1,
            workspace_id=workspace_id,
            endpoint_id=endpoint_id,
            url=url,
            secret=secret,
            webhook_id="evt_1",
            body=b"{}",
            previous_secret=None,
        )
        await deliverer._attempt(delivery)
    for port in (25, 587):
        await SmtpSession(account(port, host=host, reach=PUBLIC_ONLY), QUICK).open()
    for port, security in ((143, "NONE"), (993, "TLS")):
        session = ImapSession(
            ImapAccount(host, port, security, "ann", "x", PUBLIC_ONLY),  # type: ignore[arg-type]
            ImapTimeouts(connect_seconds=2, read_seconds=2),
        )
        try:
            await asyncio.to_thread(session.open)
        except ImapFailed:
            continue


async def main() -> dict[str, Any]:
    """Return what each host led to: the addresses and ports that were connected to."""
    vault = Vault(bytes(32))
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        server_tls, client_tls = certificate_for("public.example", Path(folder))
        client_tls.check_hostname = False
        client_tls.verify_mode = ssl.CERT_NONE  # nothing may be refused for another reason than its address
        everywhere = Everywhere(server_tls)
        await everywhere.open()
        threading.Thread(target=NameServer().run, daemon=True).start()
        deliverer = Deliverer(vault, PUBLIC_ONLY, deadline_seconds=3.0, tls_context=client_tls)
        for host in (*PUBLIC, *_NAMES, *_WRITTEN, *INSIDE):
            everywhere.reached = []
            await _tried(host, deliverer, vault)
            told[host] = everywhere.reached
        await deliverer.stop()
    return told


if __name__ == "__main__":
    try:
        _build()
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit(f"no network of its own: {problem}")
    print(json.dumps(asyncio.run(main())))
