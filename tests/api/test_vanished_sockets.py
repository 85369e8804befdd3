"""Sockets whose peer is gone or does not read end by themselves, with a code that says why."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn
import websockets

from api import socket_protocol, websocket
from api.socket_protocol import SocketProtocol
from domain.settings import Settings
from tests.api.conftest import Api, serving

UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


async def flood(scope: Any, receive: Any, send: Any) -> None:
    """An application that sends, once it was spoken to, for as long as it is let."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    while True:
        await asyncio.sleep(0)
        await send({"type": "websocket.send", "text": "x" * 100_000})


@pytest.fixture
async def flooding(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[uvicorn.Server]:
    """A server without patience, of that application."""
    monkeypatch.setattr(socket_protocol, "UNREAD_AT_MOST_SECONDS", 0.3)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        flood, port=port, ws=SocketProtocol, ws_per_message_deflate=False, log_config=None, lifespan="off"
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve(sockets=[listener]))
    await _until(lambda: running.started)
    yield running
    running.should_exit = True
    await asyncio.wait_for(task, 20)
    listener.close()


async def _told_to_end(running: uvicorn.Server) -> None:
    await _until(lambda: len(running.server_state.connections) == 1)
    (protocol,) = running.server_state.connections
    await _until(lambda: bool(protocol.close_sent))  # type: ignore[union-attr]


async def _gone(running: uvicorn.Server) -> None:
    await _until(lambda: not running.server_state.connections)


async def _until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("not within ten seconds")


async def _read_to_the_end(raw: Any) -> None:
    while True:
        await asyncio.wait_for(raw.recv(), 10)


async def test_a_slow_reader_is_closed_with_the_reason(flooding: uvicorn.Server) -> None:
    options: Any = {"max_queue": 1, "ping_interval": None}
    async with websockets.connect(f"ws://127.0.0.1:{flooding.config.port}/", **options) as raw:
        await raw.send("go on")
        await _told_to_end(flooding)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await _read_to_the_end(raw)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == socket_protocol.TOO_SLOW
    assert "go on from your last cursor" in closed.value.rcvd.reason
    await _gone(flooding)


async def test_one_that_never_reads_again_is_cut(flooding: uvicorn.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_protocol, "_LAST_WORD_SECONDS", 0.3)
    options: Any = {"max_queue": 1, "ping_interval": None}
    raw = await websockets.connect(f"ws://127.0.0.1:{flooding.config.port}/", **options)
    await raw.send("go on")
    await _told_to_end(flooding)
    await _gone(flooding)
    raw.transport.abort()


async def test_a_peer_that_answers_no_ping_is_told_and_cut(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.app.PING_EVERY_SECONDS", 0.2)
    monkeypatch.setattr("api.app.PONG_WITHIN_SECONDS", 0.2)
    async with serving(settings) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.config.port)
        writer.write(UPGRADE.encode())
        await reader.readuntil(b"\r\n\r\n")
        frames = await asyncio.wait_for(reader.read(), 10)
        code = socket_protocol.SILENT.to_bytes(2, "big")
        assert code + socket_protocol.REASONS[socket_protocol.SILENT].encode() in frames
        writer.close()
        await _gone(server)


async def test_each_connection_is_told_another_moment_to_come_again(api: Api) -> None:
    told = set()
    for _ in range(3):
        async with api.raw_socket() as raw:
            await raw.send(json.dumps({"type": "connection_init", "payload": {"apiKey": api.key.secret}}))
            told.add(json.loads(await asyncio.wait_for(raw.recv(), 10))["payload"]["retryAfterSeconds"])
    assert len(told) > 1
    assert all(0 <= seconds <= 1 for seconds in told)


@pytest.mark.parametrize(("sockets", "seconds"), [(1, 1.0), (50, 1.0), (500, 10.0), (100_000, 30.0)])
def test_the_more_are_connected_the_longer_their_return_is_spread(sockets: int, seconds: float) -> None:
    assert websocket.return_within_seconds(sockets) == seconds
