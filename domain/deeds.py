"""One change that somebody ordered: done once for each idempotency key, and written into the audit trail.

`carry_out` puts one transaction around whatever the change does. In it, before anything else, the key is looked up; at
its end, the answer is kept under the key and the audit entry is written. So either all of it happened, or none.

Source: api.md "Idempotency"; reliability.md 2.29, 2.30.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

import asyncpg
import orjson

from domain.database import Tx, tx
from domain.refusals import IdempotencyInProgress, IdempotencyKeyReused, Invalid
from domain.rules.actor import Actor
from domain.rules.ids import new_id

T = TypeVar("T")

KEY_LENGTH_LIMIT: Final = 200
KEPT_HOURS: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Who does what, by which request. With a key, a repeat of the same input is answered as the first was."""

    workspace_id: UUID
    actor: Actor
    action: str  # the mutation's name
    request_id: str
    key: str | None = None
    input_digest: bytes = b""  # of the canonical input, the key left out


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of a deed."""

    answer: T
    kept: bytes  # the answer for a repeat, sealed
    object_ids: Sequence[str]  # outside ids of what was touched


async def carry_out(deed: Deed, work: Callable[[], Awaitable[Outcome[T]]], recall: Callable[[bytes], T]) -> T:
    """Return the answer of `work`, or of the first time that this key was used within 24 hours.

    The verbs that `work` calls join its transaction. A twin that runs at this moment is waited for, up to 2 seconds.

    Raises:
        IdempotencyInProgress, IdempotencyKeyReused
        Invalid: the key is not of 1 to 200 characters.
        Refusal: whatever `work` raised; nothing has changed, and nothing is kept under the key.
    """
    if deed.key is not None and not 1 <= len(deed.key) <= KEY_LENGTH_LIMIT:
        raise Invalid(f"An idempotency key has 1 to {KEY_LENGTH_LIMIT} characters.", field=["idempotencyKey"])

    async def once(t: Tx) -> T:
        key = t.hashed(deed.key)  # the caller's own words, which can name a person
        if key is not None and (kept := await _known(t, deed, key)) is not None:
            return recall(kept)
        outcome = await work()
        await _record(t, deed, key, outcome)
        return outcome.answer

    return await tx(deed.workspace_id, once, rings=False)


async def _known(t: Tx, deed: Deed, key: str) -> bytes | None:
    """Return the answer kept under the key; None where there is none, and nobody else can use it until our end."""
    try:
        await t.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{t.workspace_id} {key}")
    except asyncpg.LockNotAvailableError:  # after the session's lock_timeout, 2 seconds
        raise IdempotencyInProgress from None
    row = await t.fetchrow(
        "SELECT mutation, input_digest, answer FROM idempotency_keys WHERE workspace_id = $1 AND key = $2 "
        "AND created_at > now() - make_interval(hours => $3)",
        t.workspace_id,
        key,
        KEPT_HOURS,
    )
    if row is None:
        return None
    if (row["mutation"], row["input_digest"]) != (deed.action, deed.input_digest):
        raise IdempotencyKeyReused
    answer: bytes = row["answer"]
    return answer


_AUDIT: Final = """
    INSERT INTO audit_entries (workspace_id, id, at, actor_kind, actor_id, action, object_ids, request_id)
    VALUES ($1, $2, now(), $3, $4, $5, $6, $7)
"""
_KEEP: Final = """
    WITH kept AS (
        INSERT INTO idempotency_keys (workspace_id, key, mutation, input_digest, answer, created_at)
        VALUES ($1, $8, $5, $9, $10, now())
        ON CONFLICT (workspace_id, key) DO UPDATE SET mutation = excluded.mutation,
            input_digest = excluded.input_digest, answer = excluded.answer, created_at = excluded.created_at
    )
"""


async def _record(t: Tx, deed: Deed, key: str | None, outcome: Outcome[T]) -> None:
    entry = (
        t.workspace_id,
        new_id(),
        deed.actor.kind,
        deed.actor.id,
        deed.action,
        orjson.dumps(list(outcome.object_ids)).decode(),
        deed.request_id,
    )
    if key is None:
        await t.execute(_AUDIT, *entry)
    else:
        await t.execute(_KEEP + _AUDIT, *entry, key, deed.input_digest, outcome.kept)


async def forget_old_keys(limit: int = 5_000) -> int:
    """Remove up to `limit` keys of all workspaces that are older than 24 hours; return how many."""

    async def work(t: Tx) -> int:
        rows = await t.fetch(
            "DELETE FROM idempotency_keys k USING (SELECT workspace_id, key FROM idempotency_keys "
            "WHERE created_at <= now() - make_interval(hours => $2) ORDER BY created_at LIMIT $1 "
            "FOR UPDATE SKIP LOCKED) old WHERE k.workspace_id = old.workspace_id AND k.key = old.key RETURNING 1",
            limit,
            KEPT_HOURS,
        )
        return len(rows)

    return await tx(None, work, rings=False)
