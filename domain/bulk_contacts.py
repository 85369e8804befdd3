"""Enrolling, and suppressing, all contacts whom a filter keeps: those of the workspace, or those of recipients.

Source: api.md "Bulk"; docs/adr/0016.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from uuid import UUID

import asyncpg

from domain import bulk_rows, enrolment, suppressing
from domain.bulk_rows import Done, Order, Refused, actor_of, into_of
from domain.contacts import Matched, existing
from domain.database import Tx, tx
from domain.enrolment import Into
from domain.reading import recipient_rows
from domain.reading.contacts import ContactFilter
from domain.reading.filters import RecipientFilter, compile_filter
from domain.reading.pages import Parameters
from domain.refusals import AlreadyEnrolled, Refusal
from domain.rules.actor import Actor
from domain.rules.bulk import BulkKind
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.suppression import Entry, suppress

Chosen = ContactFilter | RecipientFilter
"""Contacts by a filter of theirs, or those of the recipients whom a filter keeps, each once."""


async def order_enrolment(
    workspace_id: UUID, actor: Actor, chosen: Chosen, into: Into, *, dry_run: bool = False
) -> UUID:
    """Order that all who are chosen at this moment are enrolled, and return the operation; a worker does it.

    Raises:
        Invalid: the filter is out of bounds or keeps more than a million; the start is out of bounds.
        NotFound, SequenceArchived, SequenceEmpty: nobody can be enrolled so.
    """
    said = Order(kind=BulkKind.ENROLL, dry_run=dry_run, into=into)

    async def work(t: Tx) -> UUID:
        await enrolment.opened(t, into)
        return await _ordered(t, actor, said, chosen)

    return await tx(workspace_id, work)


async def order_suppression(
    workspace_id: UUID, actor: Actor, chosen: Chosen, *, note: str | None = None, dry_run: bool = False
) -> UUID:
    """Order that all who are chosen at this moment are suppressed, and return the operation; a worker does it.

    Raises:
        Invalid: the filter is out of bounds or keeps more than a million, or the note cannot be stored.
    """
    kept = suppressing.note_of(suppressing.Wanted(note=note))
    said = Order(kind=BulkKind.SUPPRESS, dry_run=dry_run, note=kept)
    return await tx(workspace_id, lambda t: _ordered(t, actor, said, chosen))


async def _ordered(t: Tx, actor: Actor, said: Order, chosen: Chosen) -> UUID:
    operation_id = await bulk_rows.insert(t, actor, said)
    parameters = Parameters([t.workspace_id])
    if isinstance(chosen, ContactFilter):
        chosen.check()
        kept = " AND ".join(["c.erased_at IS NULL", *chosen.conditions(parameters)])
        key, source = "c.id", f"FROM contacts c WHERE c.workspace_id = $1 AND {kept}"
    else:
        kept = " AND ".join(["r.deleted_at IS NULL", *compile_filter(chosen, parameters)])
        key, source = "DISTINCT r.contact_id", f"{recipient_rows.FROM} WHERE r.workspace_id = $1 AND {kept}"
    await bulk_rows.choose(t, operation_id, column="contact_ids", key=key, source=source, values=parameters.values)
    return operation_id


async def carry_out(t: Tx, going: asyncpg.Record, contact_ids: Sequence[UUID]) -> Done:
    """Enrol or suppress the contacts of one batch."""
    work = _suppress if going["action"] == BulkKind.SUPPRESS else _enrol
    async with t.taken_back() if going["dry_run"] else nullcontext():
        return await work(t, going, contact_ids)


async def _enrol(t: Tx, going: asyncpg.Record, contact_ids: Sequence[UUID]) -> Done:
    into = into_of(going)
    assert into is not None
    sequence = await enrolment.opened_or_why_not(t, into)
    if isinstance(sequence, Refusal):
        return Done(changed=0, refused=[_refused(key, sequence) for key in contact_ids])
    found = await existing(t, contact_ids)
    answers = await enrolment.admit(t, actor_of(going), sequence, found)
    told = {key: answer.refusal for key, answer in zip(contact_ids, answers, strict=True) if answer.refusal is not None}
    already = [key for key, refusal in told.items() if isinstance(refusal, AlreadyEnrolled)]
    refused = [_refused(key, refusal) for key, refusal in told.items() if key not in set(already)]
    enrolled = len(contact_ids) - len(told)
    counts = {"enrolled": enrolled, "already_enrolled": len(already)}
    return Done(changed=enrolled, unchanged=len(already), refused=refused, counts=counts)


async def _suppress(t: Tx, going: asyncpg.Record, contact_ids: Sequence[UUID]) -> Done:
    """Suppress the contacts; a worker ends their open recipients, none of whom is written to from now on."""
    found = await existing(t, contact_ids)
    refused = [_refused(key, one) for key, one in zip(contact_ids, found, strict=True) if isinstance(one, Refusal)]
    entries = [
        Entry(SuppressionKind.CONTACT, str(one.row["id"]), one.row["id"]) for one in found if isinstance(one, Matched)
    ]
    made = await suppress(
        t,
        entries,
        reason=SuppressionReason.LISTED,
        source=SuppressionSource.API,
        actor=actor_of(going),
        note=going["note"],
        settling=True,
    )
    return Done(changed=len(made), unchanged=len(entries) - len(made), refused=refused)


def _refused(contact_id: UUID, refusal: Refusal) -> Refused:
    return Refused(code=refusal.code, message=refusal.message, contact_id=contact_id)
