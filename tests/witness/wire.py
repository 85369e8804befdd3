"""A wire with an ear: passes bytes on between our worker and the mail server, and keeps what the worker said.

Here because smtp-sink drops every CR: only on the wire it shows whether each line ends in CRLF.
"""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class _Line(socketserver.BaseRequestHandler):
    server: "Wire"

    def handle(self) -> None:
        kept = bytearray()
        self.server.said.append(kept)
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.behind)) as there:
            back = threading.Thread(target=_pass_on, args=(there, self.request, bytearray()), daemon=True)
            back.start()
            _pass_on(self.request, there, kept)
            back.join(10)


class Wire(socketserver.ThreadingTCPServer):
    """A port that leads to another port of this machine."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, behind: int) -> None:
        self.behind = behind
        self.said: list[bytearray] = []  # by the client, one for each connection
        super().__init__(("127.0.0.1", 0), _Line)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextmanager
def tapped(port: int) -> Iterator[Wire]:
    with Wire(port) as wire:
        listening = threading.Thread(target=wire.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        listening.start()
        try:
            yield wire
        finally:
            wire.shutdown()
            listening.join(10)


def _pass_on(here: socket.socket, there: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):
        while part := here.recv(65_536):
            kept += part
            there.sendall(part)
    with suppress(OSError):
        there.shutdown(socket.SHUT_WR)
