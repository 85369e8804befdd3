"""Watching mailboxes over IMAP: who watches which, how far each folder has been read, and what was found wrong.

A mailbox is watched by one worker at a time, under a lease. What a folder's cursor has passed was taken in or
recorded as failed; a mail is named by (folder, UIDVALIDITY, UID), and those of the last two weeks are remembered, so
that a look over the last days finds what slipped past the cursor.

Leases and cursors are machine time.

Source: product.md section 4 (a lost mailbox shows at once); reliability.md 2.14.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from domain import mailboxes
from domain.database import Tx, fetch, tx
from domain.delivery import Result, record
from domain.rules.outcomes import Sent
from domain.rules.step_errors import StepErrorCode

LEASE: Final = timedelta(seconds=60)
REMEMBERED: Final = timedelta(days=14)

# What a person has to mend. The mailbox is then disconnected for sending too: while answers cannot be read, people
# who have answered would be written to again.
_FOR_A_PERSON: Final = frozenset({StepErrorCode.MAILBOX_CREDENTIALS_REFUSED, StepErrorCode.MAILBOX_CERTIFICATE_INVALID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One mailbox to watch, for whoever holds this token."""

    workspace_id: UUID
    mailbox_id: UUID
    token: int
    settings_mark: str  # another one when anything of the sign-in has changed
    since: datetime  # when the mailbox was first watched: older mail is none of ours
    failed_last: bool  # it could not be read when it was last tried


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a folder has been read, and when the last days were last looked over."""

    uid_validity: int
    last_uid: int
    reconciled_at: datetime


_MARK: Final = (
    "md5(concat_ws(chr(1), m.imap_host, m.imap_port, m.imap_security, m.imap_username, "
    "encode(m.imap_password, 'hex'), m.address))"
)
_WATCHED: Final = (
    "m.imap_host IS NOT NULL AND m.state <> 'DISCONNECTED' "
    "AND NOT EXISTS (SELECT FROM workspaces o WHERE o.id = m.workspace_id AND o.test_mode)"
)

_TAKE: Final = f"""
    WITH wanted AS (
        SELECT m.id, m.workspace_id FROM mailboxes m LEFT JOIN mailbox_watches w ON w.mailbox_id = m.id
        WHERE {_WATCHED} AND (w.mailbox_id IS NULL OR (w.next_at <= now() AND w.lease_until < now()))
        ORDER BY w.next_at NULLS FIRST, m.id LIMIT $1
    ), taken AS (
        INSERT INTO mailbox_watches (workspace_id, mailbox_id, token, lease_until, next_at)
        SELECT workspace_id, id, 1, now() + $2::interval, now() FROM wanted ORDER BY id
        ON CONFLICT (mailbox_id) DO UPDATE SET token = mailbox_watches.token + 1, lease_until = excluded.lease_until
        WHERE mailbox_watches.lease_until < now()
        RETURNING mailbox_id, token, since, problem_code IS NOT NULL AS failed_last
    )
    SELECT m.workspace_id, m.id AS mailbox_id, k.token, {_MARK} AS settings_mark, k.since, k.failed_last
    FROM taken k JOIN mailboxes m ON m.id = k.mailbox_id
"""


async def take(most: int, *, lease: timedelta = LEASE) -> list[Watch]:
    """Take up to `most` mailboxes that nobody watches, the longest waiting first."""

    async def work(t: Tx) -> list[asyncpg.Record]:
        return await t.fetch(_TAKE, most, lease)

    return [Watch(**row) for row in await tx(None, work, rings=False)]


async def renew(watches: Sequence[Watch], *, lease: timedelta = LEASE) -> set[UUID]:
    """Lengthen the leases of these mailboxes and return those that may go on being watched as they are.

    A missing one was taken by another, is disconnected, or is signed in to otherwise by now: let it go and take anew.
    """
    rows = await fetch(
        f"""
        WITH kept AS (
            UPDATE mailbox_watches w SET lease_until = now() + $4::interval
            FROM unnest($1::uuid[], $2::int[], $3::text[]) AS u (id, token, mark), mailboxes m
            WHERE w.mailbox_id = u.id AND w.token = u.token AND m.id = u.id
                AND m.workspace_id = w.workspace_id AND {_WATCHED} AND {_MARK} = u.mark
            RETURNING w.mailbox_id
        ) SELECT mailbox_id FROM kept
        """,
        [watch.mailbox_id for watch in watches],
        [watch.token for watch in watches],
        [watch.settings_mark for watch in watches],
        lease,
    )
    return {row["mailbox_id"] for row in rows}


async def let_go(watch: Watch, *, again_in: timedelta = timedelta(0)) -> None:
    """Give a mailbox up; it is taken again, by whomever, in `again_in` at the earliest. A lengthening of its lease that
    is on its way comes too late."""
    await _as_holder(watch, "token = token + 1, lease_until = now(), next_at = now() + $4::interval", again_in)


async def found_well(watch: Watch) -> None:
    """Note that all folders were read to their ends."""
    await _as_holder(watch, "read_at = now(), problem_code = NULL, problem_words = NULL, problem_since = NULL")


async def found_failing(watch: Watch, code: StepErrorCode, words: str) -> None:
    """Note that the mailbox cannot be read. Where a person has to mend it, it is disconnected at once."""
    await _as_holder(
        watch, "problem_code = $4, problem_words = $5, problem_since = coalesce(problem_since, now())", code, words
    )
    if code in _FOR_A_PERSON:
        await mailboxes.refused(watch.workspace_id, watch.mailbox_id, code, words)


async def _as_holder(watch: Watch, sets: str, *values: object) -> None:
    async def work(t: Tx) -> None:
        await t.execute(
            f"UPDATE mailbox_watches SET {sets} WHERE workspace_id = $1 AND mailbox_id = $2 AND token = $3",
            t.workspace_id,
            watch.mailbox_id,
            watch.token,
            *values,
        )

    await tx(watch.workspace_id, work, rings=False)


async def cursors(watch: Watch) -> Mapping[str, Cursor]:
    """Return how far each folder of a mailbox has been read, by its name."""
    rows = await fetch(
        "SELECT folder, uid_validity, last_uid, reconciled_at FROM watched_folders "
        "WHERE workspace_id = $1 AND mailbox_id = $2",
        watch.workspace_id,
        watch.mailbox_id,
    )
    return {row["folder"]: Cursor(row["uid_validity"], row["last_uid"], row["reconciled_at"]) for row in rows}


async def unknown_uids(watch: Watch, folder: str, uid_validity: int, uids: Sequence[int]) -> list[int]:
    """Return those of the UIDs that were neither taken in nor recorded as failed yet, in their order."""
    rows = await fetch(
        "SELECT uid FROM watched_mails WHERE workspace_id = $1 AND mailbox_id = $2 AND folder = $3 "
        "AND uid_validity = $4 AND uid = ANY($5::bigint[])",
        watch.workspace_id,
        watch.mailbox_id,
        folder,
        uid_validity,
        list(uids),
    )
    known = {row["uid"] for row in rows}
    return [uid for uid in uids if uid not in known]


async def note(
    watch: Watch, folder: str, uid_validity: int, problems: Mapping[int, str | None], *, last_uid: int | None
) -> None:
    """Remember mails as taken in (None) or as failed, with the reason, and move the cursor up to `last_uid`.

    Without `last_uid` the cursor stays: these were found behind it, or before it is known how far it may go.
    """

    async def work(t: Tx) -> None:
        await t.execute(
            """
            INSERT INTO watched_mails (workspace_id, mailbox_id, folder, uid_validity, uid, noted_at, problem)
            SELECT $1, $2, $3, $4, u.uid, now(), u.problem FROM unnest($5::bigint[], $6::text[]) AS u (uid, problem)
            ON CONFLICT (mailbox_id, folder, uid_validity, uid) DO NOTHING
            """,
            t.workspace_id,
            watch.mailbox_id,
            folder,
            uid_validity,
            list(problems),
            list(problems.values()),
        )
        if last_uid is not None:
            await _move(t, watch, folder, uid_validity, last_uid)

    await tx(watch.workspace_id, work, rings=False)


async def reconciled(watch: Watch, folder: str, uid_validity: int, last_uid: int) -> None:
    """Note that the last days of a folder were looked over, and that it has been read up to `last_uid`."""

    async def work(t: Tx) -> None:
        await _move(t, watch, folder, uid_validity, last_uid, reconciled=True)

    await tx(watch.workspace_id, work, rings=False)


async def _move(
    t: Tx, watch: Watch, folder: str, uid_validity: int, last_uid: int, *, reconciled: bool = False
) -> None:
    # Only forwards, and only by whoever holds the watch: another may have gone further meanwhile.
    await t.execute(
        """
        INSERT INTO watched_folders (workspace_id, mailbox_id, folder, uid_validity, last_uid, reconciled_at)
        SELECT $1, $2, $3, $4, $5, now() FROM mailbox_watches
        WHERE workspace_id = $1 AND mailbox_id = $2 AND token = $6
        ON CONFLICT (mailbox_id, folder) DO UPDATE SET uid_validity = excluded.uid_validity,
            last_uid = CASE WHEN watched_folders.uid_validity = excluded.uid_validity
                THEN greatest(watched_folders.last_uid, excluded.last_uid) ELSE excluded.last_uid END,
            reconciled_at = CASE WHEN $7 THEN now() ELSE watched_folders.reconciled_at END
        """,
        t.workspace_id,
        watch.mailbox_id,
        folder,
        uid_validity,
        last_uid,
        watch.token,
        reconciled,
    )


async def forget_old(limit: int = 5_000) -> int:
    """Forget mails that were noted more than REMEMBERED ago, up to `limit` over all workspaces; return how many."""

    async def work(t: Tx) -> int:
        rows = await t.fetch(
            "WITH old AS (SELECT ctid FROM watched_mails WHERE noted_at < now() - $1::interval LIMIT $2), "
            "gone AS (DELETE FROM watched_mails WHERE ctid IN (SELECT ctid FROM old) RETURNING uid) "
            "SELECT count(*) AS n FROM gone",
            REMEMBERED,
            limit,
        )
        count: int = rows[0]["n"]
        return count

    return await tx(None, work, rings=False)


@dataclass(frozen=True, slots=True)
class Unproved:
    """A message whose mail server never answered: its mailbox's sent mail may prove that it was taken."""

    message_id: UUID
    token: int
    rfc_message_id: str


async def unproved(watch: Watch, limit: int = 50) -> list[Unproved]:
    """Return what this mailbox handed over within the last day without hearing the answer, oldest first."""
    rows = await fetch(
        "SELECT id, token, rfc_message_id FROM messages WHERE workspace_id = $1 AND mailbox_id = $2 "
        "AND state = 'UNCONFIRMED' AND marked_at > now() - interval '1 day' ORDER BY marked_at LIMIT $3",
        watch.workspace_id,
        watch.mailbox_id,
        limit,
    )
    return [Unproved(row["id"], row["token"], row["rfc_message_id"]) for row in rows]


async def proved_sent(watch: Watch, found: Unproved) -> bool:
    """Record that a message was found in the mailbox's sent mail: it was sent, and the error about it closes. Return
    whether that was news."""
    outcome = Sent("It was found in the mailbox's sent mail.")
    return bool(await record(watch.workspace_id, [Result(found.message_id, found.token, outcome)]))
