"""A line between a client and the API that fails at a chosen point of what the two say to each other, once."""

import contextlib
import socket
import threading
from enum import StrEnum

_SUBSCRIBES_FROM_BYTES = 150  # a client's frame after the greeting that is longer is no ping


class Fault(StrEnum):
    BEFORE_ACK = "cut before the acknowledgement"
    AFTER_ACK = "cut after the acknowledgement"
    BEFORE_SUBSCRIBE = "cut between the query and the subscription"
    IN_PAGE = "cut in the middle of the page's answer"
    IN_EVENT = "cut in the middle of an event's frame"
    AFTER_EVENT = "cut after an event"
    SILENT = "silent, but open, from an event on"


class _Talk:
    """One connection through the line."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.acknowledged = False
        self.silent = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class FaultyLine:
    """Passes bytes on to a port of this machine, and fails as it is told to."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._fault: Fault | None = None
        self._talks: set[_Talk] = set()
        self.struck = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, fault: Fault) -> None:
        """Fail so at the next such point; `struck` is set then."""
        self.struck.clear()
        self._fault = fault

    def cut(self) -> None:
        """End every connection without a word."""
        for talk in list(self._talks):
            talk.cut()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to_port), 5)
                    server.settimeout(None)
                except OSError:
                    client.close()
                    continue
                talk = _Talk(client, server)
                self._talks.add(talk)
                for outward in (True, False):
                    threading.Thread(target=self._pass_on, args=(talk, outward), daemon=True).start()

    def _pass_on(self, talk: _Talk, outward: bool) -> None:
        source, sink = (talk.client, talk.server) if outward else (talk.server, talk.client)
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                before = self._fault
                passed, cut = self._judged(talk, outward, piece)
                if passed and not talk.silent:
                    sink.sendall(passed)
                if before is not None and self._fault is None:
                    self.struck.set()
                if cut:
                    break
        talk.cut()
        self._talks.discard(talk)

    def _judged(self, talk: _Talk, outward: bool, piece: bytes) -> tuple[bytes, bool]:
        """Return what passes, and whether the line is cut after it."""
        fault, greeted = self._fault, talk.acknowledged
        told_ack, event = b'"connection_ack"' in piece, b'"type":"next"' in piece
        if not outward:
            talk.acknowledged = talk.acknowledged or told_ack
        half = piece[: len(piece) // 2]
        verdicts = {
            Fault.BEFORE_ACK: (not outward and told_ack, b"", True),
            Fault.AFTER_ACK: (not outward and told_ack, piece, True),
            Fault.BEFORE_SUBSCRIBE: (outward and greeted and len(piece) > _SUBSCRIBES_FROM_BYTES, b"", True),
            Fault.IN_PAGE: (not outward and not event and b"eventsCursor" in piece, half, True),
            Fault.IN_EVENT: (not outward and event, half, True),
            Fault.AFTER_EVENT: (not outward and event, piece, True),
            Fault.SILENT: (not outward and event, b"", False),
        }
        if fault is None or not verdicts[fault][0]:
            return piece, False
        self._fault = None
        talk.silent = fault is Fault.SILENT
        return verdicts[fault][1:]
