"""Who is calling: an API key, in a header or in `connection_init`, opens exactly one workspace.

Source: api.md "Auth"; reliability.md 2.24.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from api.context import Caller
from api.errors import UNAUTHENTICATED, RequestRefused
from domain import keys
from domain.keys import ApiKey
from domain.rules.actor import Actor, ActorKind

log = logging.getLogger("relance.auth")

_REMEMBERED_SECONDS: Final = 3.0  # how long a revoked key may still work
_REMEMBERED_AT_MOST: Final = 10_000
MISSING: Final = "Send an API key: the header “Authorization: Bearer rel_…”. `relance keys create` makes one."
WRONG: Final = "This API key is not known, has expired or was revoked. `relance keys list` shows those that work."


class KeyRing:
    """The keys seen in the last seconds, so that a busy client does not cost a statement for each request."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, ApiKey | None]] = {}

    async def caller(self, secret: str | None) -> Caller:
        """Return who calls with this secret.

        Raises:
            RequestRefused: UNAUTHENTICATED; no secret, or one that opens nothing (any more).
        """
        if not secret:
            raise RequestRefused(401, UNAUTHENTICATED, MISSING)
        now = time.monotonic()
        seen = self._seen.get(secret)
        if seen is None or now - seen[0] > _REMEMBERED_SECONDS:
            seen = (now, await keys.authenticate(secret))
            if len(self._seen) >= _REMEMBERED_AT_MOST:
                self._seen.clear()
            self._seen[secret] = seen
            if seen[1] is not None:
                await self._touch(seen[1])
        if seen[1] is None:
            raise RequestRefused(401, UNAUTHENTICATED, WRONG)
        key = seen[1]
        return Caller(
            workspace_id=key.workspace_id,
            workspace_name=key.workspace_name,
            actor=Actor(ActorKind.API_KEY, key.id),
            name=key.name,
            scopes=key.scopes,
        )

    async def _touch(self, key: ApiKey) -> None:
        try:
            await keys.touch(key.id)
        except Exception as problem:  # when a key was last used is not worth a refused request
            log.info("the use of a key was not noted: %s", type(problem).__name__)


def secret_of_header(authorization: str | None) -> str | None:
    """Return the secret of an Authorization header; None where it has none."""
    scheme, _, secret = (authorization or "").strip().partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def secret_of_connection(payload: Mapping[str, Any]) -> str | None:
    """Return the secret in the payload of `connection_init`: `Authorization` as in the header, or `apiKey`."""
    for name in ("Authorization", "authorization"):
        if isinstance(text := payload.get(name), str):
            return secret_of_header(text) or (text.strip() if text.startswith("rel_") else None)
    text = payload.get("apiKey")
    return text.strip() if isinstance(text, str) else None
