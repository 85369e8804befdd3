"""The bytes of one WebSocket: its heartbeat, and the end of a peer that is silent or does not read.

The server pings each socket and waits for the pong. What is sent to a peer that does not read waits in a bounded
buffer, and whoever sends waits with it; after a while the socket is closed with a code that says why, and cut when even
that is not read, for a transport that is only closed waits for its reader for ever. The codes are none of those after
which clients of graphql-transport-ws do not come again: they connect anew and go on from their last cursor.

Source: reliability.md 2.18, R12.
"""

from contextlib import suppress
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

PING_EVERY_SECONDS: Final = 20.0
PONG_WITHIN_SECONDS: Final = 20.0
UNREAD_AT_MOST_SECONDS: Final = 30.0  # how long the buffer may be full
_LAST_WORD_SECONDS: Final = 5.0

TOO_SLOW: Final = 4410
SILENT: Final = 4411
_AGAIN: Final = "Connect again and go on from your last cursor"
REASONS: Final = {
    TOO_SLOW: f"Too slow: what was sent was not read. {_AGAIN}",
    SILENT: f"Silent: no pong came. {_AGAIN}",
}


class SocketProtocol(WebSocketsSansIOProtocol):
    """One socket, which ends by itself when its peer is gone."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unread: Any = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_AT_MOST_SECONDS, self.end, TOO_SLOW)

    def resume_writing(self) -> None:
        self._forgive()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forgive()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        self.end(SILENT)

    def end(self, code: int) -> None:
        """Say why, and cut the line soon, whether that was read or not."""
        self.stop_keepalive()
        if not self.close_sent:
            reason = REASONS[code]
            with suppress(InvalidState):
                self.conn.send_close(code, reason)
                self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.close()
        self.loop.call_later(_LAST_WORD_SECONDS, self.transport.abort)

    def _forgive(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
