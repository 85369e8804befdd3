"""What a caller says about a mailbox, and what of it is refused.

Source: product.md sections 1 and 3; reliability.md 2.20.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.refusals import Invalid, api_name
from domain.rules.addresses import EmailInvalid, normalise_email
from domain.rules.network import AddressNotAllowed, PortNotAllowed, Reach
from domain.secrets import Vault

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
DEFAULTS: Final[dict[str, Any]] = {
    "smtp_security": "STARTTLS",
    "daily_limit": 200,
    "minimum_gap_seconds": 60,
    "domain_gap_seconds": 0,
}


def checked(given: MailboxFields) -> dict[str, Any]:
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


def with_passwords_sealed(vault: Vault, workspace_id: UUID, mailbox_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
    sealed = dict(values)
    for name in ("smtp_password", "imap_password"):
        if name in sealed:
            sealed[name] = vault.seal(sealed[name], workspace_id, f"mailboxes.{name}", mailbox_id)
    return sealed


def refuse_password_elsewhere(stored: asyncpg.Record, values: dict[str, Any]) -> None:
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


def refuse_out_of_reach(values: Mapping[str, Any], reach: Reach, stored: Mapping[str, Any] | None = None) -> None:
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


def refuse_reading_without_password(values: Mapping[str, Any]) -> None:
    """Raises: Invalid: a mailbox that is to be read has no password for it."""
    if values.get("imap_host") is not None and values.get("imap_password") is None:
        raise Invalid("To read its mail, a mailbox needs a password. Give imapPassword.", field=["imapPassword"])
