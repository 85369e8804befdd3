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
from datetime import datetime
from typing import Final
from uuid import UUID

from tortoise.expressions import RawSQL

from domain import tables
from domain.database import Tx, tx
from domain.refusals import Invalid, NotFound, WorkspaceUnknown
from domain.rules.ids import new_id

_LETTERS: Final = string.ascii_letters + string.digits
# The database's clock decides, as everywhere.
_NOW = RawSQL("now()")
_LIVE = RawSQL("(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))")
_STALE = RawSQL("(last_used_at IS NULL OR last_used_at < now() - interval '1 minute')")


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


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def check_name(name: str, of_what: str) -> None:
    """Refuse a name that nobody would know again.

    Raises:
        Invalid
    """
    if not name.strip() or len(name) > 200 or "\0" in name:
        raise Invalid(f"A {of_what} needs a name of 1 to 200 characters, so that you know it again.", field=["name"])


async def create_workspace(name: str) -> UUID:
    """Create an empty workspace, its feed included, and return its id.

    Raises:
        Invalid: the name is empty or longer than 200 characters.
    """
    check_name(name, "workspace")
    workspace_id = new_id()

    async def work(t: Tx) -> UUID:
        await t.execute(
            """
            WITH made AS (
                INSERT INTO workspaces (id, name, clock_offset_seconds, created_at) VALUES ($1, $2, 0, now())
                RETURNING id
            ) INSERT INTO feeds (workspace_id, epoch, last_seq, first_seq) SELECT id, $3, 0, 1 FROM made
            """,
            workspace_id,
            name,
            _random(8),
        )
        return workspace_id

    return await tx(None, work, rings=False)


async def find_workspace(name: str) -> UUID | None:
    """Return the id of the oldest workspace of this name; None when there is none."""
    found = await tables.Workspace.filter(name=name).order_by("created_at", "id").first()
    return found.id if found else None


async def create(workspace_id: UUID, name: str, *, expires_at: datetime | None = None) -> NewKey:
    """Make a key for a workspace.

    Raises:
        Invalid: the name is empty or longer than 200 characters.
        WorkspaceUnknown
    """
    check_name(name, "key")
    if not await tables.Workspace.exists(id=workspace_id):
        raise WorkspaceUnknown
    public_id = _random(8)
    made = NewKey(new_id(), workspace_id, f"rel_{public_id}_{_random(32)}")
    await tables.ApiKey.create(
        id=made.id,
        workspace_id=workspace_id,
        name=name.strip(),
        public_id=public_id,
        secret_hash=_digest(made.secret),
        expires_at=expires_at,
    )
    return made


async def list_keys(workspace_id: UUID | None = None) -> Sequence[ApiKey]:
    """Return the keys of one workspace or, for the operator, of all; oldest first, revoked ones included."""
    wanted = tables.ApiKey.all() if workspace_id is None else tables.ApiKey.filter(workspace_id=workspace_id)
    return await _named(await wanted.order_by("created_at", "id"))


async def revoke(public_id_or_key: str) -> ApiKey:
    """Revoke a key by its name (the eight letters) or the shown part of it. Revoking twice changes nothing more.

    Raises:
        NotFound
    """
    public_id = public_id_or_key.removeprefix("rel_").partition("_")[0]
    await tables.ApiKey.filter(public_id=public_id, revoked_at=None).update(revoked_at=_NOW)
    found = await _named(await tables.ApiKey.filter(public_id=public_id))
    if not found:
        raise NotFound("API key")
    return found[0]


async def authenticate(secret: str) -> ApiKey | None:
    """Return the key whose secret this is; None when it is unknown, expired or revoked."""
    prefix, _, rest = secret.partition("_")
    public_id = rest.partition("_")[0]
    if prefix != "rel" or len(secret) > 100:
        return None
    row = await tables.ApiKey.annotate(live=_LIVE).get_or_none(public_id=public_id, live=True)
    if row is None or not hmac.compare_digest(row.secret_hash, _digest(secret)):
        return None
    return (await _named([row]))[0]


async def touch(key_id: UUID) -> None:
    """Note that a key was used, at most once a minute."""
    await tables.ApiKey.annotate(stale=_STALE).filter(id=key_id, stale=True).update(last_used_at=_NOW)


async def _named(rows: Sequence[tables.ApiKey]) -> list[ApiKey]:
    """Return the rows with the names of their workspaces."""
    workspaces = await tables.Workspace.filter(id__in={row.workspace_id for row in rows})
    names = {workspace.id: workspace.name for workspace in workspaces}
    own = [name for name in ApiKey.__dataclass_fields__ if name != "workspace_name"]
    return [
        ApiKey(**{name: getattr(row, name) for name in own}, workspace_name=names[row.workspace_id]) for row in rows
    ]
