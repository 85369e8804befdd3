"""Mailboxes: adding, changing, connecting and disconnecting them.

A lost mailbox never un-enrols anyone: it shows as disconnected at once, a recipient turns to ERROR only when its step
is due (`unsendable`), and connecting it again offers to retry them.

Source: product.md section 4.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.database import Tx, tx
from domain.mailbox_fields import (
    DEFAULTS,
    MailboxFields,
    checked,
    refuse_out_of_reach,
    refuse_password_elsewhere,
    refuse_reading_without_password,
    with_passwords_sealed,
)
from domain.refusals import Invalid, NotFound, api_name
from domain.rules.addresses import address_key, domain_key
from domain.rules.dkim import covers
from domain.rules.ids import new_id
from domain.rules.network import PUBLIC_ONLY, Reach
from domain.secrets import Vault

_NO_RAMP_UP: Final = {"ramp_up_start": None, "ramp_up_step": None, "ramp_up_started_at": None}


async def create(workspace_id: UUID, vault: Vault, given: MailboxFields, reach: Reach = PUBLIC_ONLY) -> UUID:
    """Add a mailbox and return its id. It is CONNECTED until a sign-in says otherwise. `reach`: which servers may be
    called.

    Raises:
        Invalid: a value is missing or out of bounds, or the address has a mailbox already.
    """
    values = DEFAULTS | checked(given)
    values.setdefault("smtp_port", 465 if values["smtp_security"] == "TLS" else 587)
    for name, label in (("address", "an address"), ("smtp_host", "an SMTP host")):
        if not values.get(name):
            raise Invalid(f"A mailbox needs {label}.", field=[api_name(name)])
    if "imap_host" in values:
        # Most accounts have one user name and one password for both.
        for name in ("username", "password"):
            if f"smtp_{name}" in values:
                values.setdefault(f"imap_{name}", values[f"smtp_{name}"])
    refuse_out_of_reach(values, reach)
    mailbox_id = new_id()
    sealed = with_passwords_sealed(vault, workspace_id, mailbox_id, values) | {
        "address_key": address_key(values["address"])
    }

    refuse_reading_without_password(sealed)

    async def work(t: Tx) -> UUID:
        await _refuse_taken(t, sealed["address_key"], mailbox_id)
        sealed.update(await _ramp_up_begins(t, sealed, None))
        names = list(sealed)
        await t.execute(
            f"""
            INSERT INTO mailboxes (id, workspace_id, state, next_send_at, failures_in_a_row, created_at, updated_at,
                {", ".join(names)})
            VALUES ($1, $2, 'CONNECTED', now(), 0, $3, $3, {", ".join(f"${n}" for n in range(4, 4 + len(names)))})
            """,
            mailbox_id,
            t.workspace_id,
            t.now,
            *sealed.values(),
        )
        return mailbox_id

    return await tx(workspace_id, work, rings=False)


async def update(
    workspace_id: UUID,
    vault: Vault,
    mailbox_id: UUID,
    given: MailboxFields,
    reach: Reach = PUBLIC_ONLY,
    *,
    clears: Sequence[str] = (),
) -> UUID:
    """Change what is given of a mailbox; `clears` names those of CLEARABLE that it has no longer.

    Raises:
        Invalid: also where a stored password would follow to another server or another user.
        NotFound
    """
    values = with_passwords_sealed(vault, workspace_id, mailbox_id, checked(given)) | dict.fromkeys(clears)
    if "imap_host" in clears:  # not read any more: the rest would only wait to be sent elsewhere
        values |= dict.fromkeys(("imap_port", "imap_security", "imap_username", "imap_password"))
    if "ramp_up" in values:
        values = {name: value for name, value in values.items() if name != "ramp_up"} | _NO_RAMP_UP
    if "address" in values:
        values["address_key"] = address_key(values["address"])

    async def work(t: Tx) -> UUID:
        stored = await _locked(t, mailbox_id)
        if stored["channel"] != "EMAIL":
            raise Invalid("This is a number for text messages. Change it with smsMailboxUpdate.", field=["id"])
        refuse_password_elsewhere(stored, values)
        refuse_out_of_reach(values, reach, dict(stored))
        refuse_reading_without_password({**stored, **values})
        if "address_key" in values:
            _refuse_address_beyond_key(stored["dkim_domain"], values["address"])
            await _refuse_taken(t, values["address_key"], mailbox_id)
        values.update(await _ramp_up_begins(t, values, stored["ramp_up_start"]))
        if values:
            pairs = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, start=4))
            await t.execute(
                f"UPDATE mailboxes SET updated_at = $3, {pairs}, next_send_at = least(next_send_at, "
                "CASE WHEN held_back_by = 'DAILY_LIMIT' THEN now() ELSE next_send_at END) "
                "WHERE workspace_id = $1 AND id = $2",
                t.workspace_id,
                mailbox_id,
                t.now,
                *values.values(),
            )
        return mailbox_id

    return await tx(workspace_id, work, rings=False)


async def _ramp_up_begins(t: Tx, values: dict[str, Any], start_before: int | None) -> dict[str, Any]:
    """Return when a ramp-up begins that is not the one already under way: limits are machine time."""
    start = values.get("ramp_up_start")
    if start is None or start == start_before:
        return {}
    return {"ramp_up_started_at": await t.fetchval("SELECT now()")}


async def disconnect(workspace_id: UUID, mailbox_id: UUID) -> UUID:
    """Take a mailbox out of use. No hand-over begins after this has answered.

    Raises:
        NotFound
    """
    return await _set_state(
        workspace_id, mailbox_id, "DISCONNECTED", "MAILBOX_DISCONNECTED", "Disconnected by a person."
    )


async def connected(workspace_id: UUID, mailbox_id: UUID) -> UUID:
    """Note that a sign-in worked: the mailbox sends from now on, and what waited for it may be retried.

    Raises:
        NotFound
    """
    return await _set_state(workspace_id, mailbox_id, "CONNECTED", None, None)


async def refused(workspace_id: UUID, mailbox_id: UUID, code: str, words: str) -> UUID:
    """Note that a sign-in failed, with the step error code and the server's words.

    Raises:
        NotFound
    """
    return await _set_state(workspace_id, mailbox_id, "DISCONNECTED", code, words)


async def _set_state(workspace_id: UUID, mailbox_id: UUID, state: str, code: str | None, message: str | None) -> UUID:
    async def work(t: Tx) -> UUID:
        # FOR UPDATE, stronger than the update itself needs: it excludes the second mark's FOR KEY SHARE.
        await _locked(t, mailbox_id)
        await t.execute(
            "UPDATE mailboxes SET state_code = $4, updated_at = $6, "
            # Signing in does not release what a guardrail holds.
            "state = CASE WHEN $3::text = 'CONNECTED' AND guardrail_hold IS NOT NULL THEN 'HELD' ELSE $3::text END, "
            "state_message = $5, "
            "next_send_at = CASE WHEN held_back_by = 'MAILBOX_BACKOFF' THEN now() ELSE next_send_at END, "
            "connected_at = CASE WHEN $3::text = 'CONNECTED' THEN $6 ELSE connected_at END, "
            "failures_in_a_row = 0, throttled_since = NULL WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            mailbox_id,
            state,
            code,
            message,
            t.now,
        )
        return mailbox_id

    return await tx(workspace_id, work)


async def _locked(t: Tx, mailbox_id: UUID) -> asyncpg.Record:
    row = await t.fetchrow(
        "SELECT * FROM mailboxes WHERE workspace_id = $1 AND id = $2 FOR UPDATE", t.workspace_id, mailbox_id
    )
    if row is None:
        raise NotFound("mailbox", field=["id"])
    return row


async def _refuse_taken(t: Tx, key: str, own_id: UUID) -> None:
    if await t.fetchval(
        "SELECT EXISTS (SELECT FROM mailboxes WHERE workspace_id = $1 AND address_key = $2 AND id <> $3)",
        t.workspace_id,
        key,
        own_id,
    ):
        raise Invalid("There is a mailbox with this address already. Change that one instead.", field=["address"])


def _refuse_address_beyond_key(dkim_domain: str | None, address: str) -> None:
    """Raises: Invalid: the mailbox's mail is signed for a domain that does not cover its new address."""
    if dkim_domain is not None and not covers(dkim_domain, domain_key(address.rpartition("@")[2]) or ""):
        raise Invalid(
            f"The mail of this mailbox is signed for {dkim_domain}. Remove that key first (mailboxDkimKeyRemove).",
            field=["address"],
        )
