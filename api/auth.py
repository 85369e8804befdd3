"""Who is calling: an API key or a person's token, in a header or in `connection_init`, opens exactly one workspace.

Source: api.md "Auth"; reliability.md 2.24.
"""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.context import Caller
from api.errors import UNAUTHENTICATED, RequestRefused
from api.tokens import TokenRefused, Tokens
from domain import keys
from domain.keys import ApiKey
from domain.rules.actor import Actor, ActorKind

log = logging.getLogger("relance.auth")

_REMEMBERED_SECONDS: Final = 3.0  # how long a revoked key may still work
_REMEMBERED_AT_MOST: Final = 10_000
MISSING: Final = "Send an API key: the header “Authorization: Bearer rel_…”. `relance keys create` makes one."
WRONG: Final = "This API key is not known, has expired or was revoked. `relance keys list` shows those that work."


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of a secret, for a moment."""

    until: float  # of the monotonic clock
    caller: Caller | None
    why_not: str = WRONG


class KeyRing:
    """The keys and tokens seen in the last seconds: a busy client does not cost a statement for each request."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens
        self._seen: dict[bytes, _Seen] = {}

    async def caller(self, secret: str | None) -> Caller:
        """Return who calls with this secret: an API key, or a person's token.

        Raises:
            RequestRefused: UNAUTHENTICATED; no secret, or one that opens nothing (any more).
            KeySetUnreachable
        """
        if not secret:
            raise RequestRefused(401, UNAUTHENTICATED, MISSING)
        digest = hashlib.sha256(secret.encode(errors="replace")).digest()
        seen = self._seen.get(digest)
        if seen is None or time.monotonic() >= seen.until:
            seen = await self._look(secret)
            if len(self._seen) >= _REMEMBERED_AT_MOST:
                self._seen.clear()
            self._seen[digest] = seen
        if seen.caller is None:
            raise RequestRefused(401, UNAUTHENTICATED, seen.why_not)
        return seen.caller

    async def _look(self, secret: str) -> _Seen:
        until = time.monotonic() + _REMEMBERED_SECONDS
        if self._tokens is not None and not secret.startswith("rel_"):
            try:
                caller, lasts_seconds = await self._tokens.caller(secret)
            except TokenRefused as refused:
                return _Seen(until, None, str(refused))
            return _Seen(min(until, time.monotonic() + lasts_seconds), caller)
        key = await keys.authenticate(secret)
        if key is None:
            return _Seen(until, None)
        await self._touch(key)
        caller = Caller(
            workspace_id=key.workspace_id,
            workspace_name=key.workspace_name,
            actor=Actor(ActorKind.API_KEY, key.id),
            name=key.name,
            scopes=key.scopes,
        )
        return _Seen(until, caller)

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
