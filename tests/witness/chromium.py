"""A Chromium without a window, driven over its own protocol: it loads pages, runs their scripts, moves and clicks."""

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from tests.witness.outside import IS_ROOT, end

_PATIENCE_SECONDS = 30.0


@dataclass
class Tab:
    """One tab of a browser."""

    socket: ClientConnection
    _id: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._id += 1
        await self.socket.send(json.dumps({"id": self._id, "method": method, "params": parameters}))
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), _PATIENCE_SECONDS))
            if message.get("id") == self._id:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._events.append(message)

    async def _event(self, method: str) -> None:
        while True:
            while self._events:
                if self._events.pop(0).get("method") == method:
                    return
            self._events.append(json.loads(await asyncio.wait_for(self.socket.recv(), _PATIENCE_SECONDS)))

    async def open(self, url: str) -> None:
        """Load a page, whole."""
        self._events.clear()
        await self.tell("Page.navigate", url=url)
        await self.loaded()

    async def loaded(self) -> None:
        """Wait until the page that was asked for says that it has loaded."""
        await self._event("Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        told = await self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def window(self, width: int, height: int, *, mobile: bool) -> None:
        await self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if mobile else 1,
            mobile=mobile,
        )

    async def click(self, selector: str) -> None:
        """Click in the middle of an element, as a finger or a mouse does, and wait for the page that follows."""
        place = await self.run(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('{selector}')"
            ".getBoundingClientRect())"
        )
        self._events.clear()
        for kind in ("mousePressed", "mouseReleased"):
            await self.tell("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
        await self.loaded()

    async def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.tell(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                text="\r" if key == "Enter" and kind == "keyDown" else "",
            )

    async def picture(self) -> bytes:
        """Return what is seen as a PNG, to be looked at by a person."""
        shot = await self.tell("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browsing(program: str, folder: Path) -> AsyncIterator[Tab]:
    """A tab of a fresh browser, which ends with the block. It reaches loopback alone: nothing else is asked of it."""
    home = folder / "browser"
    home.mkdir()
    words = [
        program,
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={home}",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        *(["--no-sandbox"] if IS_ROOT else []),
        "about:blank",
    ]
    with (folder / "browser.log").open("ab") as log:
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: ASYNC220
    try:
        place = home / "DevToolsActivePort"
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not (place.exists() and place.read_text().count("\n")):
                assert child.poll() is None, (folder / "browser.log").read_text(errors="replace")
                await asyncio.sleep(0.05)
        port = place.read_text().split("\n")[0]
        async with httpx.AsyncClient() as http:
            tabs = (await http.get(f"http://127.0.0.1:{port}/json/list")).json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        async with websockets.connect(address, max_size=None) as socket:
            tab = Tab(socket)
            await tab.tell("Page.enable")
            yield tab
    finally:
        await asyncio.to_thread(end, child)
