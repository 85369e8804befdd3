"""Workspaces and the API keys that open them.

A key opens one workspace, for what its scopes allow. It is replaced by rotating it: for a while both work, never more
than two of one line.

A key is `rel_` (of a test workspace `rel_test_`) + 8 letters that name it + `_` + 32 random letters. Only the name and
a SHA-256 are stored; 190 random bits need no slow hash. A key is shown once, when it is made.

Source: api.md "Auth"; reliability.md 2.24.
"""

import hashlib
import hmac
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from tortoise.expressions import RawSQL

from domain import tables
from domain.database import Tx, tx
from domain.refusals import Invalid, NotFound, WorkspaceUnknown
from domain.rules.access import EVERYTHING, Scope, in_order
from domain.rules.ids import new_id

ROTATION_OVERLAP: Final = timedelta(days=1)
_OVERLAP_AT_MOST: Final = timedelta(days=30)
_LETTERS: Final = string.ascii_letters + string.digits
# The database's clock decides, as everywhere.
_NOW = RawSQL("now()")
_IS_LIVE: Final = "(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"
_LIVE = RawSQL(_IS_LIVE)
_STALE = RawSQL("(last_used_at IS NULL OR last_used_at < now() - interval '1 minute')")


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: UUID
    workspace_id: UUID
    workspace_name: str
    name: str
    public_id: str
    scopes: frozenset[Scope]
    replaces_id: UUID | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    test_mode: bool

    @property
    def hint(self) -> str:
        """The part of the key that may be shown."""
        return f"{_prefix(self.test_mode)}{self.public_id}_…"


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


async def create_workspace(name: str, *, test_mode: bool = False) -> UUID:
    """Create an empty workspace, its feed included, and return its id. In test mode nothing of it ever leaves; that
    is for good.

    Raises:
        Invalid: the name is empty or longer than 200 characters.
    """
    check_name(name, "workspace")
    workspace_id = new_id()

    async def work(t: Tx) -> UUID:
        await t.execute(
            """
            WITH made AS (
                INSERT INTO workspaces (id, name, test_mode, clock_offset_seconds, created_at)
                VALUES ($1, $2, $4, 0, now())
                RETURNING id
            ) INSERT INTO feeds (workspace_id, epoch, last_seq, first_seq) SELECT id, $3, 0, 1 FROM made
            """,
            workspace_id,
            name,
            _random(8),
            test_mode,
        )
        return workspace_id

    return await tx(None, work, rings=False)


async def workspace_name(workspace_id: UUID) -> str:
    """Return the name of a workspace.

    Raises:
        WorkspaceUnknown
    """
    found = await tables.Workspace.get_or_none(id=workspace_id)
    if found is None:
        raise WorkspaceUnknown
    return found.name


async def find_workspace(name: str) -> UUID | None:
    """Return the id of the oldest workspace of this name; None when there is none."""
    found = await tables.Workspace.filter(name=name).order_by("created_at", "id").first()
    return found.id if found else None


async def create(
    workspace_id: UUID,
    name: str,
    *,
    scopes: Collection[Scope] = EVERYTHING,
    expires_at: datetime | None = None,
) -> NewKey:
    """Make a key for a workspace, which may do everything unless told what.

    Raises:
        Invalid: the name is empty or longer than 200 characters, or there is no scope.
        WorkspaceUnknown
    """
    check_name(name, "key")
    if not scopes:
        raise Invalid("A key without a scope opens nothing. Give it at least one.", field=["scopes"])
    made = await _drawn(workspace_id)
    await tables.ApiKey.create(
        id=made.id,
        workspace_id=workspace_id,
        name=name.strip(),
        public_id=_public_id(made.secret),
        secret_hash=_digest(made.secret),
        scopes=" ".join(in_order(scopes)),
        expires_at=expires_at,
    )
    return made


async def rotate(public_id_or_key: str, *, overlap: timedelta = ROTATION_OVERLAP) -> NewKey:
    """Make a key that replaces one: the same name, scopes and end. The old one works on for `overlap`, 0 to 30 days.

    Raises:
        NotFound
        Invalid: the key opens nothing any more, was replaced already, or replaces one that still works.
    """
    if not timedelta(0) <= overlap <= _OVERLAP_AT_MOST:
        raise Invalid("The old key can work on for 0 to 30 days.", field=["overlap"])
    public_id = _public_id(public_id_or_key)
    named = await tables.ApiKey.get_or_none(public_id=public_id)
    if named is None:
        raise NotFound("API key")
    made = await _drawn(named.workspace_id)

    async def work(t: Tx) -> None:
        old = await t.fetchrow(
            f"SELECT *, {_IS_LIVE} AS live FROM api_keys WHERE workspace_id = $1 AND public_id = $2 FOR UPDATE",
            t.workspace_id,
            public_id,
        )
        if old is None or not old["live"]:
            raise Invalid("This key has expired or was revoked. Make a new one with: relance keys create")
        if await t.fetchval(
            f"SELECT EXISTS (SELECT FROM api_keys WHERE workspace_id = $1 AND {_IS_LIVE} "
            "AND (replaces_id = $2 OR id = $3))",
            t.workspace_id,
            old["id"],
            old["replaces_id"],
        ):
            raise Invalid("Two keys of this line work already. Revoke the one that is no longer needed, then rotate.")
        await t.execute(
            "INSERT INTO api_keys (id, workspace_id, name, public_id, secret_hash, scopes, replaces_id, created_at, "
            "expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, now(), $8)",
            made.id,
            t.workspace_id,
            old["name"],
            _public_id(made.secret),
            _digest(made.secret),
            old["scopes"],
            old["id"],
            old["expires_at"],
        )
        await t.execute(
            "UPDATE api_keys SET expires_at = least(expires_at, now() + $3::interval) "
            "WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            old["id"],
            overlap,
        )

    await tx(named.workspace_id, work, rings=False)
    return made


async def _drawn(workspace_id: UUID) -> NewKey:
    """Raises: WorkspaceUnknown."""
    workspace = await tables.Workspace.get_or_none(id=workspace_id)
    if workspace is None:
        raise WorkspaceUnknown
    return NewKey(new_id(), workspace_id, f"{_prefix(workspace.test_mode)}{_random(8)}_{_random(32)}")


def _prefix(test_mode: bool) -> str:
    return "rel_test_" if test_mode else "rel_"


def _public_id(public_id_or_key: str) -> str:
    return public_id_or_key.removeprefix("rel_").removeprefix("test_").partition("_")[0]


async def list_keys(workspace_id: UUID | None = None) -> Sequence[ApiKey]:
    """Return the keys of one workspace or, for the operator, of all; oldest first, revoked ones included."""
    wanted = tables.ApiKey.all() if workspace_id is None else tables.ApiKey.filter(workspace_id=workspace_id)
    return await _named(await wanted.order_by("created_at", "id"))


async def revoke(public_id_or_key: str) -> ApiKey:
    """Revoke a key by its name (the eight letters) or the shown part of it. Revoking twice changes nothing more.

    Raises:
        NotFound
    """
    public_id = _public_id(public_id_or_key)
    await tables.ApiKey.filter(public_id=public_id, revoked_at=None).update(revoked_at=_NOW)
    found = await _named(await tables.ApiKey.filter(public_id=public_id))
    if not found:
        raise NotFound("API key")
    return found[0]


async def authenticate(secret: str) -> ApiKey | None:
    """Return the key whose secret this is; None when it is unknown, expired or revoked."""
    if not secret.startswith("rel_") or len(secret) > 100:
        return None
    row = await tables.ApiKey.annotate(live=_LIVE).get_or_none(public_id=_public_id(secret), live=True)
    if row is None or not hmac.compare_digest(row.secret_hash, _digest(secret)):
        return None
    return (await _named([row]))[0]


async def touch(key_id: UUID) -> None:
    """Note that a key was used, at most once a minute."""
    await tables.ApiKey.annotate(stale=_STALE).filter(id=key_id, stale=True).update(last_used_at=_NOW)


async def _named(rows: Sequence[tables.ApiKey]) -> list[ApiKey]:
    """Return the rows with the names of their workspaces."""
    workspaces = await tables.Workspace.filter(id__in={row.workspace_id for row in rows})
    found = {workspace.id: workspace for workspace in workspaces}
    own = [name for name in ApiKey.__dataclass_fields__ if name not in ("workspace_name", "scopes", "test_mode")]
    return [
        ApiKey(
            **{name: getattr(row, name) for name in own},
            workspace_name=found[row.workspace_id].name,
            test_mode=found[row.workspace_id].test_mode,
            scopes=frozenset(Scope(scope) for scope in row.scopes.split()),
        )
        for row in rows
    ]
