"""Mailboxes: adding, changing, connecting and disconnecting them.

A lost mailbox never un-enrols anyone: it shows as disconnected at once, a recipient turns to ERROR only when its step
is due, and connecting it again offers to retry them.

Source: product.md section 4.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.changes import Change, NewError
from domain.database import Tx, fetch, tx
from domain.plans import load_plans
from domain.refusals import Invalid, NotFound, api_name
from domain.rules import moves
from domain.rules.actor import ENGINE
from domain.rules.addresses import EmailInvalid, address_key, domain_key, normalise_email
from domain.rules.dkim import covers
from domain.rules.event_types import EventType
from domain.rules.ids import new_id
from domain.rules.network import PUBLIC_ONLY, AddressNotAllowed, PortNotAllowed, Reach
from domain.secrets import Vault
from domain.turns import FOLLOWED, LANES, Lane, queues
from domain.writing import read, write

_SIGN_IN: Final = ("host", "port", "security", "username")  # where a password is sent, and for whom
_SECURITY: Final = frozenset({"NONE", "STARTTLS", "TLS"})
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class RampUp:
    """`start` messages within 24 hours at first, `step` more with each day, up to the daily limit."""

    start: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxFields:
    """What a caller says about a mailbox. None keeps what is there, or takes the default for a new one."""

    address: str | None = None
    display_name: str | None = None
    smtp_host: str | None = None
    smtp_port: int | None = None
    smtp_security: str | None = None
    smtp_username: str | None = None
    smtp_password: str | None = None
    imap_host: str | None = None
    imap_port: int | None = None
    imap_security: str | None = None
    imap_username: str | None = None
    imap_password: str | None = None
    daily_limit: int | None = None
    minimum_gap_seconds: int | None = None
    ramp_up: RampUp | None = None
    domain_gap_seconds: int | None = None


CLEARABLE: Final = ("display_name", "smtp_username", "smtp_password", "imap_host", "ramp_up")
_DEFAULTS: Final[dict[str, Any]] = {
    "smtp_security": "STARTTLS",
    "daily_limit": 200,
    "minimum_gap_seconds": 60,
    "domain_gap_seconds": 0,
}
_NO_RAMP_UP: Final = {"ramp_up_start": None, "ramp_up_step": None, "ramp_up_started_at": None}


async def create(workspace_id: UUID, vault: Vault, given: MailboxFields, reach: Reach = PUBLIC_ONLY) -> UUID:
    """Add a mailbox and return its id. It is CONNECTED until a sign-in says otherwise. `reach`: which servers may be
    called.

    Raises:
        Invalid: a value is missing or out of bounds, or the address has a mailbox already.
    """
    values = _DEFAULTS | _checked(given)
    values.setdefault("smtp_port", 465 if values["smtp_security"] == "TLS" else 587)
    for name, label in (("address", "an address"), ("smtp_host", "an SMTP host")):
        if not values.get(name):
            raise Invalid(f"A mailbox needs {label}.", field=[api_name(name)])
    if "imap_host" in values:
        # Most accounts have one user name and one password for both.
        for name in ("username", "password"):
            if f"smtp_{name}" in values:
                values.setdefault(f"imap_{name}", values[f"smtp_{name}"])
    _refuse_out_of_reach(values, reach)
    mailbox_id = new_id()
    sealed = _sealed(vault, workspace_id, mailbox_id, values) | {"address_key": address_key(values["address"])}

    _refuse_reading_without_password(sealed)

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
    values = _sealed(vault, workspace_id, mailbox_id, _checked(given)) | dict.fromkeys(clears)
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
        _refuse_password_elsewhere(stored, values)
        _refuse_out_of_reach(values, reach, dict(stored))
        _refuse_reading_without_password({**stored, **values})
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


# Once for the queues of a lost mailbox, once for none: no index answers IS NOT DISTINCT FROM, nor a clock met only in
# the join.
def _due(lane: Lane) -> str:
    mine = f"r.due_kind = '{lane.due_kind}'"
    return f"""
    SELECT r.id, r.workspace_id, r.version, coalesce(m.state_code, 'MAILBOX_DISCONNECTED') AS code, m.state_message,
        m.id AS mailbox_id
    FROM mailboxes m JOIN workspaces w ON w.id = m.workspace_id
    CROSS JOIN LATERAL ({queues(lane)}) s
    CROSS JOIN LATERAL (
        SELECT r.id, r.workspace_id, r.version FROM recipients r
        WHERE r.{lane.mailbox_column} = m.id AND r.sequence_id = s.id AND {mine} AND {FOLLOWED}
            AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)
            AND NOT EXISTS (SELECT FROM messages x WHERE x.recipient_id = r.id AND x.state = 'HANDING_OVER')
        ORDER BY r.due_at LIMIT $1
    ) r
    WHERE m.state = 'DISCONNECTED'
    UNION ALL
    SELECT r.id, r.workspace_id, r.version, 'NO_MAILBOX', NULL, NULL FROM recipients r
    JOIN sequences s ON s.id = r.sequence_id JOIN workspaces w ON w.id = r.workspace_id
    JOIN steps t ON t.id = r.current_step_id
    WHERE r.{lane.mailbox_column} IS NULL AND {mine} AND s.status = 'ACTIVE'
        AND s.pauses_to_follow IS NULL AND r.plan_revision >= t.revision
        AND r.due_at <= now() + make_interval(secs => w.clock_offset_seconds)
        AND r.due_at <= now() + make_interval(secs => (SELECT max(clock_offset_seconds) FROM workspaces))
        AND NOT EXISTS (SELECT FROM messages x WHERE x.recipient_id = r.id AND x.state = 'HANDING_OVER')
    LIMIT $1
"""


async def fail_due_without_mailbox(limit: int = 500) -> int:
    """Turn due emails that have no usable mailbox into errors, up to `limit` over all workspaces; return how many."""
    due = [row for lane in LANES for row in await fetch(_due(lane), limit)]
    count = 0
    for workspace_id in {row["workspace_id"] for row in due}:
        found = {row["id"]: row for row in due if row["workspace_id"] == workspace_id}

        async def work(t: Tx, found: dict[UUID, asyncpg.Record] = found) -> int:
            recipients = await read(t, found)
            plans = await load_plans(t, [recipient.sequence_id for recipient in recipients.values()])
            changes = []
            for before in recipients.values():
                if before.version != found[before.id]["version"]:
                    continue
                error = NewError(
                    id=new_id(),
                    code=found[before.id]["code"],
                    detail=found[before.id]["state_message"],
                    mailbox_id=found[before.id]["mailbox_id"],
                )
                after = moves.fail(before, plans[before.sequence_id], error.id, t.now)
                changes.append(
                    Change(
                        before=before,
                        after=after,
                        type=EventType.STEP_FAILED,
                        actor=ENGINE,
                        step_id=before.current_step_id,
                        opens=error,
                    )
                )
            return len(await write(t, changes))

        count += await tx(workspace_id, work)
    return count


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


def _refuse_password_elsewhere(stored: asyncpg.Record, values: dict[str, Any]) -> None:
    """Return unless a stored password would follow a change of where it is sent to: who may change a mailbox need not
    know its password, and must not be able to have it sent to a server of their own.

    Raises:
        Invalid
    """
    for kind in ("smtp", "imap"):
        password = f"{kind}_password"
        if stored[password] is None or password in values:
            continue
        if any(values.get(name, stored[name]) != stored[name] for name in (f"{kind}_{part}" for part in _SIGN_IN)):
            given = api_name(password)
            raise Invalid(
                "The stored password is not sent to another server or for another user. "
                f"Give {given} again, or null to have none.",
                field=[given],
            )


def _refuse_out_of_reach(values: Mapping[str, Any], reach: Reach, stored: Mapping[str, Any] | None = None) -> None:
    """Raises: Invalid: a server that is named anew may not be called, which can be told without looking it up."""
    for kind in ("smtp", "imap"):
        host, port = (values.get(name, stored and stored[name]) for name in (f"{kind}_host", f"{kind}_port"))
        if host is None or not {f"{kind}_host", f"{kind}_port"} & values.keys():
            continue
        try:
            reach.check_mail_server(host, port)
        except PortNotAllowed as refused:
            raise Invalid(f"{refused} Choose one of them.", field=[f"{kind}Port"]) from None
        except AddressNotAllowed as refused:
            raise Invalid(
                f"{refused} Name a public mail server, or let whoever runs Relance allow its network "
                "(RELANCE_PRIVATE_NETWORKS).",
                field=[f"{kind}Host"],
            ) from None


def _refuse_reading_without_password(values: Mapping[str, Any]) -> None:
    """Raises: Invalid: a mailbox that is to be read has no password for it."""
    if values.get("imap_host") is not None and values.get("imap_password") is None:
        raise Invalid("To read its mail, a mailbox needs a password. Give imapPassword.", field=["imapPassword"])


def _checked(given: MailboxFields) -> dict[str, Any]:
    """Return the values that were given, checked.

    Raises:
        Invalid
    """
    values = {f.name: getattr(given, f.name) for f in fields(given) if getattr(given, f.name) is not None}
    if "address" in values:
        try:
            values["address"] = normalise_email(values["address"])
        except EmailInvalid as problem:
            raise Invalid(str(problem), field=["address"]) from None
    for kind in ("smtp", "imap"):
        host = values.get(f"{kind}_host")
        if host is not None and not _is_host(host):
            raise Invalid("This is not a host name or an IP address.", field=[f"{kind}Host"])
        if not 1 <= values.get(f"{kind}_port", 1) <= 65535:
            raise Invalid("A port is a number from 1 to 65535.", field=[f"{kind}Port"])
        if values.get(f"{kind}_security", "TLS") not in _SECURITY:
            raise Invalid("The security is NONE, STARTTLS or TLS.", field=[f"{kind}Security"])
    if "imap_host" in values:
        values.setdefault("imap_security", "TLS")
        values.setdefault("imap_port", 993 if values["imap_security"] == "TLS" else 143)
    if not 1 <= values.get("daily_limit", 1) <= 100_000:
        raise Invalid("The daily limit is 1 to 100,000 messages.", field=["dailyLimit"])
    if not 0 <= values.get("minimum_gap_seconds", 0) <= 86_400:
        raise Invalid("The gap between two messages is 0 to 86,400 seconds.", field=["minimumGapSeconds"])
    if not 0 <= values.get("domain_gap_seconds", 0) <= 86_400:
        raise Invalid("The gap between two messages to one domain is 0 to 86,400 seconds.", field=["domainGapSeconds"])
    ramp_up = values.pop("ramp_up", None)
    if ramp_up is not None:
        for part in ("start", "step"):
            if not 1 <= getattr(ramp_up, part) <= 100_000:
                raise Invalid("A ramp-up begins with, and rises by, 1 to 100,000 messages.", field=["rampUp", part])
        values |= {"ramp_up_start": ramp_up.start, "ramp_up_step": ramp_up.step}
    name = values.get("display_name")
    if name is not None and (len(name) > 200 or any(ord(letter) < 32 for letter in name)):
        raise Invalid("The name is one line of at most 200 characters.", field=["displayName"])
    return values


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None
    return True


def _sealed(vault: Vault, workspace_id: UUID, mailbox_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
    sealed = dict(values)
    for name in ("smtp_password", "imap_password"):
        if name in sealed:
            sealed[name] = vault.seal(sealed[name], workspace_id, f"mailboxes.{name}", mailbox_id)
    return sealed
