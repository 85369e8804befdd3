"""Putting an address, a domain, a number or a person on the suppression list, and lifting it again.

The open recipients of everyone concerned end in bounded batches: the first with the entry itself, the others before
the answer as far as they go in seconds, the rest by a worker. None of them is written to after the answer: the second
mark looks at the list itself, and the answer waits for the marks that began before it could be seen.

Source: product.md sections 2 and 5; architecture.md "Two marks".
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from domain.database import Tx, outlast_running, tx
from domain.ending_suppressed import end_next, settle_batch
from domain.refusals import Invalid, NotFound
from domain.rules.actor import Actor
from domain.rules.addresses import EmailInvalid, address_key, domain_key, normalise_email, phone_key
from domain.rules.phones import PhoneInvalid, normalise_phone
from domain.rules.suppressed import SuppressionKind, SuppressionReason, SuppressionSource
from domain.suppression import Entry, kept_as, suppress

_BATCHES_BEFORE_THE_ANSWER: Final = 40
NOTE_LENGTH: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be suppressed: exactly one of the four, as it was given."""

    address: str | None = None
    domain: str | None = None
    phone: str | None = None
    contact_id: UUID | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Suppressing:
    """What came of it. `ended` counts the recipients that ended before the answer."""

    suppression_id: UUID
    ended: int
    in_flight: int  # messages whose hand-over had begun before the answer
    created: bool


async def create(
    workspace_id: UUID, actor: Actor, wanted: Wanted, *, source: SuppressionSource = SuppressionSource.API
) -> Suppressing:
    """Suppress, and end the open recipients concerned. What was put on the list in the same way already stays as it
    was, and is answered; beside an opt-out it is an entry of its own.

    Raises:
        Invalid, NotFound
    """
    return await settle_before_the_answer(workspace_id, await put(workspace_id, actor, wanted, source=source))


async def put(
    workspace_id: UUID, actor: Actor, wanted: Wanted, *, source: SuppressionSource = SuppressionSource.API
) -> Suppressing:
    """Suppress, and end the first batch of the open recipients concerned, in one transaction.

    Raises:
        Invalid, NotFound
    """
    entry, note = entry_of(wanted), note_of(wanted)

    async def work(t: Tx) -> Suppressing:
        if entry.contact_id is not None:
            await _refuse_unknown(t, entry.contact_id)
        (kept,) = await kept_as(t, [entry])
        made = await suppress(t, [kept], reason=SuppressionReason.LISTED, source=source, actor=actor, note=note)
        found = await t.fetchval(
            "SELECT id FROM suppressions WHERE workspace_id = $1 AND kind = $2 AND value = $3 AND reason = $4 "
            "AND source = $5 AND num_nonnulls(message_id, recipient_id) = 0 AND lifted_at IS NULL",
            t.workspace_id,
            kept.kind,
            kept.value,
            SuppressionReason.LISTED,
            source,
        )
        if found is None:  # lifted at this very moment
            raise NotFound("suppression")
        ended, in_flight, _ = await end_next(t, found, kept, actor)
        return Suppressing(found, ended, in_flight, bool(made))

    return await tx(workspace_id, work)


async def put_all(
    workspace_id: UUID,
    actor: Actor,
    entries: Sequence[tuple[Entry, str | None]],
    *,
    source: SuppressionSource,
    dry_run: bool = False,
) -> list[UUID]:
    """Suppress what is named, each with its note, in one transaction; return the suppressions that are new, which a
    dry run takes back. The open recipients concerned are not written to from then on; `settle_before_the_answer` ends
    them, or a worker.
    """
    made: list[UUID] = []

    async def work(t: Tx) -> None:
        made.clear()
        for note in dict.fromkeys(note for _, note in entries):
            named = [entry for entry, its in entries if its == note]
            listed = SuppressionReason.LISTED
            made.extend(await suppress(t, named, reason=listed, source=source, actor=actor, note=note, settling=True))
        if dry_run:
            raise _DryRun

    with contextlib.suppress(_DryRun):
        await tx(workspace_id, work)
    return made


class _DryRun(Exception):
    pass


async def settle_before_the_answer(workspace_id: UUID, done: Suppressing) -> Suppressing:
    """End more of the recipients that a suppression is about, each batch in a transaction of its own; return what came
    of all. Whoever is not ended by then is not written to any more, and a worker ends them."""
    more = True
    for _ in range(_BATCHES_BEFORE_THE_ANSWER):
        ended, in_flight, more = await settle_batch(workspace_id, done.suppression_id)
        done = replace(done, ended=done.ended + ended, in_flight=done.in_flight + in_flight)
        if not more:
            break
    if more:
        await outlast_running()
    return done


async def lift(workspace_id: UUID, actor: Actor, suppression_id: UUID, because: str) -> UUID:
    """Lift a suppression, with the reason, and every other ground on which the same stands. They stay in the ledger
    and reopen nothing.

    Raises:
        NotFound: there is none, or it was lifted already.
        Invalid: there is no reason.
    """
    reason = _checked_text(because, "reason")

    async def work(t: Tx) -> UUID:
        lifted = await t.fetch(
            "UPDATE suppressions SET lifted_at = $3, lifted_because = $4, lifted_by_kind = $5, lifted_by_id = $6, "
            "settling = false WHERE workspace_id = $1 AND lifted_at IS NULL AND (kind, value) = (SELECT kind, value "
            "FROM suppressions WHERE workspace_id = $1 AND id = $2 AND lifted_at IS NULL) RETURNING id",
            t.workspace_id,
            suppression_id,
            t.now,
            reason,
            actor.kind,
            actor.id,
        )
        if not lifted:
            raise NotFound("suppression", field=["id"])
        return suppression_id

    return await tx(workspace_id, work)


def entry_of(wanted: Wanted) -> Entry:
    """Return what is suppressed, as it is compared.

    Raises:
        Invalid: not exactly one was given, or it is no address, domain or number.
    """
    given = [name for name in ("address", "domain", "phone", "contact_id") if getattr(wanted, name) is not None]
    if len(given) != 1:
        raise Invalid("Give exactly one of address, domain, phone and contactId.", field=["address"])
    if wanted.contact_id is not None:
        return Entry(SuppressionKind.CONTACT, str(wanted.contact_id), wanted.contact_id)
    if wanted.address is not None:
        try:
            return Entry(SuppressionKind.ADDRESS, address_key(normalise_email(wanted.address)))
        except EmailInvalid as problem:
            raise Invalid(str(problem), field=["address"]) from None
    if wanted.domain is not None:
        domain = domain_key(wanted.domain)
        if domain is None:
            raise Invalid("This is not a domain such as example.com.", field=["domain"])
        return Entry(SuppressionKind.DOMAIN, domain)
    try:
        return Entry(SuppressionKind.PHONE, phone_key(normalise_phone(wanted.phone or "")) or "")
    except PhoneInvalid as problem:
        raise Invalid(str(problem), field=["phone"]) from None


def note_of(wanted: Wanted) -> str | None:
    """Return the note that is kept in the ledger.

    Raises:
        Invalid: it is too long, or cannot be stored.
    """
    return _checked_text(wanted.note, "note") if wanted.note and wanted.note.strip() else None


async def _refuse_unknown(t: Tx, contact_id: UUID) -> None:
    if not await t.fetchval(
        "SELECT EXISTS (SELECT FROM contacts WHERE workspace_id = $1 AND id = $2)", t.workspace_id, contact_id
    ):
        raise NotFound("contact", field=["contactId"])


def _checked_text(text: str, name: str) -> str:
    said = text.strip()
    if not said:
        raise Invalid("Say why: it is kept in the ledger.", field=[name])
    if len(said) > NOTE_LENGTH or "\0" in said or any("\ud800" <= letter <= "\udfff" for letter in said):
        raise Invalid(f"This text has at most {NOTE_LENGTH:,} characters that can be stored.", field=[name])
    return said
