"""A line between two programs that is cut every few seconds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class CutLine:
    """Passes bytes on to a port of this machine."""

    to_port: int
    port: int = 0
    connections: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """End every connection without a word."""
        for writer in list(self._open):
            writer.transport.abort()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            self._open -= {writer, back}
            for end in (writer, back):
                end.transport.abort()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
    sink.transport.abort()


@contextlib.asynccontextmanager
async def line_cut_every(seconds: float, to_port: int) -> AsyncIterator[CutLine]:
    """A line that stands for `seconds` at a time, while the block runs."""
    line = CutLine(to_port)
    server = await asyncio.start_server(line.pass_on, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]

    async def cutting() -> None:
        while True:
            await asyncio.sleep(seconds)
            line.cut()

    task = asyncio.create_task(cutting())
    try:
        yield line
    finally:
        task.cancel()
        server.close()
        line.cut()
        await asyncio.gather(task, return_exceptions=True)
