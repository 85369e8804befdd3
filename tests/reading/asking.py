"""Queries in this process: the schema executed with the context of one key."""

from typing import Any
from uuid import UUID

from strawberry.types import ExecutionResult

from api.context import Caller, Context
from api.loaders import Loaders
from api.schema import schema
from domain.rules.access import EVERYTHING
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings

SETTINGS = Settings(database_url="postgresql://x/y", redis_url="redis://x", secret_key=bytes(32))


class Reader:
    """Asks as the holder of one key."""

    def __init__(self, workspace_id: UUID, actor: Actor, vault: Vault) -> None:
        self._caller = Caller(
            workspace_id=workspace_id,
            workspace_name="Acme",
            actor=actor,
            name="tests",
            scopes=EVERYTHING,
        )
        self._vault = vault

    async def execute(self, query: str, **variables: Any) -> ExecutionResult:
        context = Context(
            caller=self._caller,
            settings=SETTINGS,
            vault=self._vault,
            loaders=Loaders(self._caller.workspace_id),
        )
        result = await schema.execute(query, variable_values=variables, context_value=context)
        assert isinstance(result, ExecutionResult)
        return result

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        result = await self.execute(query, **variables)
        assert result.errors is None, result.errors
        assert result.data is not None
        return result.data

    async def refused(self, query: str, **variables: Any) -> str:
        """Return the code of the refusal that answers."""
        result = await self.execute(query, **variables)
        assert result.errors is not None
        code: str = getattr(result.errors[0].original_error, "code", repr(result.errors[0]))
        return code
