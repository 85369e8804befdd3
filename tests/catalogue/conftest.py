"""The whole way of an error: an API server, a worker and a mail server that answers as it is told to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from cli.mailbox_sign_in import try_mailbox
from domain import keys
from domain.rules.ids import Prefix, to_public
from domain.settings import Settings
from tests.api.conftest import Api, rcp, serving
from tests.conftest import SECRET_KEY
from tests.engine.conftest import until, working
from tests.engine.sending_world import advance
from tests.workers.smtp_servers import ScriptedServer
from tests.world import HERE, World, email

ERRORS = """
    { stepErrors(first: 10, filter: {open: true}) { nodes {
        id code message causeGoneAt availableActions suggestedFix { code message targetId }
        recipient { id status mailbox { state stateMessage } }
    } } }
"""


@dataclass
class Post:
    """A workspace whose mailbox sends to a scripted server, with the API and a worker beside it."""

    api: Api
    server: ScriptedServer
    port: int

    async def world(self, **options: Any) -> World:
        """People in a sequence, written to through the scripted server."""
        return await self.api.world(**{"steps": [email()], "port": self.port, **options})

    def mend(self) -> None:
        """The mail server answers as a good one from now on."""
        self.server.script = dict(ScriptedServer.NORMAL)

    async def errors(self) -> list[dict[str, Any]]:
        nodes: list[dict[str, Any]] = (await self.api.ask(ERRORS))["stepErrors"]["nodes"]
        return nodes

    async def failed(self, code: str, people: int = 1) -> dict[str, Any]:
        """Wait for open errors with this code, one for each person, and return one as a screen shows it."""

        async def there() -> bool:
            return [error["code"] for error in await self.errors()].count(code) == people

        try:
            await until(there)
        except TimeoutError:
            pytest.fail(f"{code} did not come; open are {await self.errors()}")
        found = next(error for error in await self.errors() if error["code"] == code)
        assert found["recipient"]["status"] == "ERROR"
        return found

    async def change(self, mutation: str, **given: Any) -> dict[str, Any]:
        """Make a change that must not be refused."""
        payload = await self.api.change(mutation, given, "__typename")
        assert payload["errors"] == [], payload["errors"]
        return payload

    async def offers_a_retry(self, error_id: str) -> bool:
        (error,) = [error for error in await self.errors() if error["id"] == error_id]
        return bool(error["availableActions"] == ["RETRY"])

    async def is_refused_a_retry(self, error: dict[str, Any]) -> None:
        """While the cause lasts nothing is offered, and a retry is refused with the fix."""
        assert (error["availableActions"], error["causeGoneAt"]) == ([], None)
        payload = await self.api.change("recipientRetry", {"id": error["recipient"]["id"]}, "__typename")
        (refused,) = payload["errors"]
        assert refused["code"] == "RETRY_NOT_AVAILABLE"
        assert refused["message"].endswith(error["suggestedFix"]["message"])

    async def retried(self, error: dict[str, Any]) -> None:
        """See that the retry is offered, that nothing has gone out without it, and that the mail arrives by it."""
        assert await self.offers_a_retry(error["id"])
        before = len(self.server.payloads)
        await asyncio.sleep(0.1)
        assert len(self.server.payloads) == before
        await self.change("recipientRetry", id=error["recipient"]["id"])
        await self.arrives(before + 1)

    async def arrives(self, count: int) -> None:
        """Wait until the server has been offered so many mails in all and nothing is open any more."""

        async def there() -> bool:
            return len(self.server.payloads) >= count and not await self.errors()

        try:
            await until(there)
        except TimeoutError:
            pytest.fail(f"{len(self.server.payloads)} of {count} mails; open are {await self.errors()}")
        assert len(self.server.payloads) == count

    async def contact_of(self, recipient_id: UUID) -> str:
        asked = "query ($id: ID!) { node(id: $id) { ... on Recipient { contact { id } } } }"
        found: str = (await self.api.ask(asked, {"id": rcp(recipient_id)}))["node"]["contact"]["id"]
        return found

    async def later(self, **span: float) -> None:
        await advance(self.api.workspace_id, timedelta(**span))


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url, secret_key=SECRET_KEY, reach=HERE)


@pytest.fixture
async def post(settings: Settings) -> AsyncIterator[Post]:
    server = ScriptedServer()
    async with server.running() as port, serving(settings, try_mailbox=try_mailbox) as running:
        workspace_id = await keys.create_workspace("Acme")
        key = await keys.create(workspace_id, "tests")
        url = f"http://127.0.0.1:{running.config.port}"
        async with httpx.AsyncClient(base_url=url, timeout=15) as http, working(settings):
            yield Post(Api(url, running.config.app.state.process, workspace_id, key, http), server, port)  # type: ignore[union-attr]


def mbx(key: UUID) -> str:
    return to_public(Prefix.MAILBOX, key)
