"""Workspaces and the API keys that open them.

A key is `rel_` + 8 letters that name it + `_` + 32 random letters. Only the name and a SHA-256 are stored; 190 random
bits need no slow hash. A key is shown once, when it is made.

Source: api.md "Auth"; reliability.md 2.24.
"""

import hashlib
import hmac
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.database import Tx, fetch, tx
from domain.refusals import Invalid, NotFound
from domain.rules.ids import new_id

_LETTERS: Final = string.ascii_letters + string.digits
_TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: UUID
    workspace_id: UUID
    workspace_name: str
    name: str
    public_id: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def hint(self) -> str:
        """The part of the key that may be shown."""
        return f"rel_{self.public_id}_…"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `secret` is the whole key; it cannot be shown again."""

    id: UUID
    workspace_id: UUID
    secret: str


_SELECT = """
    SELECT k.id, k.workspace_id, w.name AS workspace_name, k.name, k.public_id, k.created_at, k.expires_at,
        k.last_used_at, k.revoked_at, k.secret_hash
    FROM api_keys k JOIN workspaces w ON w.id = k.workspace_id
"""


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


async def create_workspace(name: str) -> UUID:
    """Create an empty workspace, its feed included, and return its id."""
    workspace_id = new_id()

    async def work(t: Tx) -> UUID:
        await t.execute(
            "INSERT INTO workspaces (id, name, clock_offset_seconds, created_at) VALUES ($1, $2, 0, now()) "
            "ON CONFLICT DO NOTHING",
            workspace_id,
            name,
        )
        await t.execute(
            "INSERT INTO feeds (workspace_id, epoch, last_seq, first_seq) VALUES ($1, $2, 0, 1) ON CONFLICT DO NOTHING",
            workspace_id,
            _random(8),
        )
        return workspace_id

    return await tx(None, work, rings=False)


async def find_workspace(name: str) -> UUID | None:
    """Return the id of the oldest workspace of this name; None when there is none."""
    rows = await fetch("SELECT id FROM workspaces WHERE name = $1 ORDER BY created_at, id LIMIT 1", name)
    return rows[0]["id"] if rows else None


async def create(workspace_id: UUID, name: str, *, expires_at: datetime | None = None) -> NewKey:
    """Make a key for a workspace.

    Raises:
        Invalid: the name is empty or longer than 200 characters.
        WorkspaceUnknown
    """
    if not name.strip() or len(name) > 200:
        raise Invalid("A key needs a name of 1 to 200 characters, so that you know it again.", field=["name"])
    public_id = _random(8)
    made = NewKey(new_id(), workspace_id, f"rel_{public_id}_{_random(32)}")

    async def work(t: Tx) -> NewKey:
        await t.execute(
            "INSERT INTO api_keys (id, workspace_id, name, public_id, secret_hash, created_at, expires_at) "
            "VALUES ($1, $2, $3, $4, $5, now(), $6) ON CONFLICT (id) DO NOTHING",
            made.id,
            workspace_id,
            name.strip(),
            public_id,
            _digest(made.secret),
            expires_at,
        )
        return made

    return await tx(workspace_id, work, rings=False)


async def list_keys(workspace_id: UUID | None = None) -> Sequence[ApiKey]:
    """Return the keys of one workspace or, for the operator, of all; oldest first, revoked ones included."""
    rows = await fetch(
        f"{_SELECT} WHERE $1::uuid IS NULL OR k.workspace_id = $1 ORDER BY k.created_at, k.id", workspace_id
    )
    return [_to_key(row) for row in rows]


async def revoke(key_id_or_public_id: str) -> ApiKey:
    """Revoke a key by its name (the eight letters) or the shown part of it. Revoking twice changes nothing more.

    Raises:
        NotFound
    """
    public_id = key_id_or_public_id.removeprefix("rel_").partition("_")[0]
    await fetch(
        "WITH u AS (UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE public_id = $1 RETURNING id) "
        "SELECT id FROM u",
        public_id,
    )
    rows = await fetch(f"{_SELECT} WHERE k.public_id = $1", public_id)
    if not rows:
        raise NotFound("API key")
    return _to_key(rows[0])


async def authenticate(secret: str) -> ApiKey | None:
    """Return the key whose secret this is; None when it is unknown, expired or revoked."""
    prefix, _, rest = secret.partition("_")
    public_id = rest.partition("_")[0]
    if prefix != "rel" or len(secret) > 100:
        return None
    rows = await fetch(
        f"{_SELECT} WHERE k.public_id = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())",
        public_id,
    )
    if not rows or not hmac.compare_digest(rows[0]["secret_hash"], _digest(secret)):
        return None
    return _to_key(rows[0])


async def touch(key_id: UUID) -> None:
    """Note that a key was used, at most once a minute."""
    await fetch(
        "WITH u AS (UPDATE api_keys SET last_used_at = now() WHERE id = $1 "
        "AND (last_used_at IS NULL OR last_used_at < now() - $2::interval) RETURNING id) SELECT id FROM u",
        key_id,
        _TOUCH_EVERY,
    )


def _to_key(row: object) -> ApiKey:
    names = ApiKey.__dataclass_fields__
    return ApiKey(**{name: row[name] for name in names})  # type: ignore[index]
