"""Test workspaces: nothing of them leaves, what comes back is simulated, and their clock can be moved.

What comes back is found in the table of messages, so that a worker that dies loses none of it, and goes through the
same intake as everybody's mail.

Source: api.md "Sandbox"; architecture.md "Two clocks".
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain import inbound, texts
from domain.database import Tx, fetch, tx
from domain.refusals import Invalid
from domain.rules.inbound.intake import InboundSource
from domain.rules.sandbox import DOMAIN, NUMBERS_THAT_ANSWER, PEOPLE_WHO_ANSWER, Back, Outgoing, answer, of_person
from domain.texts import IncomingText, TextReport

ADVANCE_AT_MOST: Final = timedelta(days=366)
_ALTOGETHER: Final = timedelta(days=3_660)
_WITHIN: Final = timedelta(hours=1)
_AT_ONCE: Final = 20


async def is_test(workspace_id: UUID) -> bool:
    """Return whether this is a test workspace."""
    rows = await fetch("SELECT test_mode FROM workspaces WHERE id = $1", workspace_id)
    return bool(rows and rows[0]["test_mode"])


async def advance(workspace_id: UUID, span: timedelta) -> datetime:
    """Move the clock of a test workspace forward and return the time there now. What is due by then happens within
    seconds. The turns of its mailboxes come nearer by the same span; their daily limits go on counting real time.

    Raises:
        Invalid: it is no test workspace, or the span is not above 0 and at most ADVANCE_AT_MOST.
    """
    if not timedelta(0) < span <= ADVANCE_AT_MOST:
        raise Invalid("The clock goes forward by 1 to 31,622,400 seconds (366 days) at once.", field=["seconds"])

    async def work(t: Tx) -> datetime:
        row = await t.fetchrow(
            "SELECT test_mode, clock_offset_seconds FROM workspaces WHERE id = $1 FOR UPDATE", t.workspace_id
        )
        if row is None or not row["test_mode"]:
            raise Invalid(
                "Only the clock of a test workspace can be moved. `relance keys create --test` makes one and its key."
            )
        offset = timedelta(seconds=row["clock_offset_seconds"]) + span
        if offset > _ALTOGETHER:
            raise Invalid("The clock of this workspace is ten years ahead already. Make a new one.", field=["seconds"])
        await t.execute(
            "UPDATE workspaces SET clock_offset_seconds = $2 WHERE id = $1",
            t.workspace_id,
            int(offset.total_seconds()),
        )
        await t.execute(
            "UPDATE mailboxes SET next_send_at = next_send_at - $2::interval WHERE workspace_id = $1",
            t.workspace_id,
            span,
        )
        moved: datetime = await t.fetchval(
            "SELECT now() + make_interval(secs => clock_offset_seconds) FROM workspaces WHERE id = $1", t.workspace_id
        )
        return moved

    return await tx(workspace_id, work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A message of a test workspace that something comes back to."""

    workspace_id: UUID
    mailbox_id: UUID
    message_id: UUID
    channel: str
    back: Back
    outgoing: Outgoing


async def unanswered(but: Collection[UUID] = ()) -> list[Expected]:
    """Return messages of the last hour that something is to come back to and has not, at most 20."""
    rows = await fetch(
        """
        SELECT x.id, x.workspace_id, x.mailbox_id, x.channel, x.rfc_message_id, x.from_address, x.to_address, x.subject,
            now() + make_interval(secs => w.clock_offset_seconds) AS at
        FROM workspaces w JOIN mailboxes m ON m.workspace_id = w.id
        CROSS JOIN LATERAL (
            SELECT * FROM messages x
            WHERE x.workspace_id = w.id AND x.mailbox_id = m.id AND x.marked_at > now() - $1::interval
                AND x.state = 'SENT' AND x.direction = 'OUTGOING' AND x.id <> ALL($2::uuid[])
                AND (x.to_address = ANY($4::text[]) OR (lower(split_part(x.to_address, '@', 2)) = $3
                    AND lower(split_part(split_part(x.to_address, '@', 1), '+', 1)) = ANY($6::text[])))
            ORDER BY x.marked_at LIMIT $5
        ) x
        WHERE w.test_mode LIMIT $5
        """,
        _WITHIN,
        list(but),
        DOMAIN,
        list(NUMBERS_THAT_ANSWER),
        _AT_ONCE,
        list(PEOPLE_WHO_ANSWER),
    )
    found = []
    for row in rows:
        magic = of_person(row["to_address"])
        outgoing = Outgoing(
            id=str(row["id"]),
            rfc_message_id=row["rfc_message_id"] or "",
            from_address=row["from_address"] or "",
            to_address=row["to_address"],
            subject=row["subject"] or "",
            at=row["at"],
        )
        back = magic.back if magic is not None else None
        if back is not None:
            found.append(
                Expected(
                    workspace_id=row["workspace_id"],
                    mailbox_id=row["mailbox_id"],
                    message_id=row["id"],
                    channel=row["channel"],
                    back=back,
                    outgoing=outgoing,
                )
            )
    return found


async def come_back(expected: Expected) -> None:
    """Let it come in, as it would from outside. Repeating it changes nothing more."""
    if expected.channel != "SMS":
        raw = answer(expected.back, expected.outgoing)
        await inbound.ingest(expected.workspace_id, expected.mailbox_id, raw, InboundSource.MAILBOX)
    elif expected.back is Back.FAILED:
        told = TextReport(provider_id=f"SM{expected.message_id.hex}", state="undelivered", error_code=30007)
        await texts.report(expected.workspace_id, expected.message_id, told)
    else:
        incoming = IncomingText(
            provider_id=f"SM{expected.message_id.hex}",
            from_number=expected.outgoing.to_address,
            to_number=expected.outgoing.from_address,
            text="STOP" if expected.back is Back.OPT_OUT else "Could we talk about it on Thursday?",
        )
        await texts.take_in(expected.workspace_id, expected.mailbox_id, incoming)
