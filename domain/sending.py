"""Taking up due emails and text messages: the claim, and what becomes of it while nothing is handed over.

A claim is the insert of the outgoing Message, unique for recipient, step and run; there is no second table of
attempts and no lease on recipients. Whose turn it is stands in turns.py, what a claim holds in claims.py, the second
mark, without which nothing is handed over, in marking.py.

Leases, turns and limits are machine time; when a step is due is business time.

Source: architecture.md "The flow of one step"; reliability.md 2.1, 2.2, 2.15.
"""

import logging
import random
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from domain import turns, waiting
from domain.claims import LEASE, Claim, load
from domain.database import Tx, fetch, tx
from domain.rules.ids import new_id
from domain.rules.mime import message_token

log = logging.getLogger("relance.sending")

_ROUNDS: Final = 5  # of a claim that meets only what cannot go out yet


async def claim(
    free_slots: int,
    message_id_key: bytes,
    *,
    per_mailbox: int | None = None,
    lease: timedelta = LEASE,
    but_of: Collection[UUID] = (),
) -> list[Claim]:
    """Claim up to `free_slots` due emails and text messages of all workspaces but those named; [] when none is due.

    A mailbox has at most `per_mailbox` in hand, over all workers (None: any number); one when its server failed last.
    What came due and cannot go out yet (a shut window, an absence, the pacing of a domain) is put off, and costs
    its mailbox no turn. The claims are committed when this returns: whoever dies with them leaves nothing that was
    sent.
    """
    for _ in range(_ROUNDS):
        ids = [new_id() for _ in range(free_slots)]
        local_parts = [message_token(message_id_key, message_id) for message_id in ids]

        async def work(t: Tx, ids: list[UUID] = ids, local_parts: list[str] = local_parts) -> list[UUID]:
            claimed: list[UUID] = []
            # Neither way of sending waits until the other has nothing left.
            for lane in random.sample(turns.LANES, len(turns.LANES)):
                if (left := free_slots - len(claimed)) > 0:
                    names = ids[-left:], local_parts[-left:]
                    rows = await t.fetch(turns.CLAIMS[lane], left, per_mailbox, *names, lease, list(but_of))
                    claimed += [row["id"] for row in rows]
            return claimed

        claimed = await tx(None, work, rings=False)
        if not claimed:
            return []
        if ready := await _put_off_what_cannot_go(await load(claimed)):
            return ready
    return []


async def _put_off_what_cannot_go(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims that may go out now; move the others' recipients to when they may, and give their turns back.

    Beside them, all that waits in the same queues for the same reasons is moved: it is not claimed to find out.
    """
    ready = [claim for claim in claims if claim.may_go]
    if paced := [claim.message_id for claim in ready if claim.domain_paced]:
        on_turn = await turns.take_domain_turns(paced)
        ready = [claim for claim in ready if not claim.domain_paced or claim.message_id in on_turn]
    going = {claim.message_id for claim in ready}
    for workspace_id in {claim.workspace_id for claim in claims if claim.message_id not in going}:
        mine = [claim for claim in claims if claim.workspace_id == workspace_id]
        off = [claim for claim in mine if claim.message_id not in going]
        under_way = [claim.recipient_id for claim in mine if claim.message_id in going]
        try:
            for lane in turns.LANES:
                here = [claim for claim in off if claim.lane is lane]
                queues = {(claim.account.mailbox_id, claim.sequence_id) for claim in here}
                if here:
                    await waiting.put_off(
                        workspace_id, [claim.recipient_id for claim in here], queues, under_way, lane=lane
                    )
            await release(off)
        except Exception:  # one workspace's trouble must not keep the others waiting; these leases run out
            log.exception("%s messages of workspace %s are not put off yet", len(off), workspace_id)
    return ready


async def release(claims: Sequence[Claim]) -> None:
    """Give claims back unsent; they are claimed anew when their recipient is still due."""
    if claims:
        await fetch(
            f"""
            WITH freed AS (
                UPDATE messages x SET state = 'DROPPED', lease_until = NULL
                FROM unnest($1::uuid[], $2::int[]) AS u (id, token)
                WHERE x.id = u.id AND x.token = u.token AND x.state = 'CLAIMED'
                RETURNING x.id, x.mailbox_id, false AS touched
            ), turn_back AS ({turns.TURN_BACK}) SELECT id FROM freed
            """,
            [claim.message_id for claim in claims],
            [claim.token for claim in claims],
        )


async def renew(held: Sequence[tuple[UUID, int]], *, lease: timedelta = LEASE) -> set[UUID]:
    """Lengthen the leases of (message, token) pairs; return the messages that are still this worker's."""
    rows = await fetch(
        """
        WITH kept AS (
            UPDATE messages x SET lease_until = now() + $3::interval
            FROM unnest($1::uuid[], $2::int[]) AS u (id, token)
            WHERE x.id = u.id AND x.token = u.token AND x.state IN ('CLAIMED', 'HANDING_OVER') AND x.lease_until > now()
            RETURNING x.id
        ) SELECT id FROM kept
        """,
        [message_id for message_id, _ in held],
        [token for _, token in held],
        lease,
    )
    return {row["id"] for row in rows}


async def drop_abandoned() -> int:
    """Free the claims whose worker died before the second mark; return how many. Nothing of them was sent."""
    rows = await fetch(
        f"""
        WITH freed AS (
            UPDATE messages SET state = 'DROPPED', lease_until = NULL
            WHERE state = 'CLAIMED' AND lease_until < now() - interval '1 second'
            RETURNING id, mailbox_id, false AS touched
        ), turn_back AS ({turns.TURN_BACK}) SELECT count(*) AS freed FROM freed
        """
    )
    freed: int = rows[0]["freed"]
    return freed
