"""Webhook endpoints: adding, changing, giving new secrets.

An endpoint is a subscriber of the feed whose cursor is stored: it hears what happens from the moment it is added.

Source: api.md "Events"; the Standard Webhooks specification.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from domain import feed
from domain.database import Tx, tx
from domain.refusals import Invalid, NotFound, Refusal
from domain.rules.ids import new_id
from domain.rules.network import Reach
from domain.rules.webhooks import (
    PORTS,
    SECRET_OVERLAP,
    UrlInvalid,
    new_secret,
    target_of,
    unknown_types,
)
from domain.secrets import Vault

ENDPOINTS_AT_MOST: Final = 20
SECRET_PLACE: Final = "webhook_endpoints.secret"
_PREVIOUS_PLACE: Final = "webhook_endpoints.previous_secret"


class WebhookDisabled(Refusal):
    """The endpoint is switched off, so that nothing is sent to it."""

    code = "WEBHOOK_DISABLED"

    def __init__(self) -> None:
        super().__init__("This endpoint is switched off. Switch it on first, then send again.")


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An endpoint and its secret, which cannot be shown again."""

    endpoint_id: UUID
    secret: str


async def create(
    workspace_id: UUID,
    vault: Vault,
    reach: Reach,
    url: str,
    *,
    description: str | None = None,
    event_types: Sequence[str] | None = None,
) -> WithSecret:
    """Add an endpoint; it is told of what happens from now on. `event_types` None: of everything.

    Raises:
        Invalid: the URL or a type is not acceptable, or there are ENDPOINTS_AT_MOST already.
    """
    _check_url(url, reach)
    _check_description(description)
    _check_types(event_types)
    endpoint_id, secret = new_id(), new_secret()
    sealed = vault.seal(secret, workspace_id, SECRET_PLACE, endpoint_id)
    head = await feed.state(workspace_id)

    async def work(t: Tx) -> None:
        there = await t.fetchval(
            "SELECT count(*) FROM webhook_endpoints WHERE workspace_id = $1 AND removed_at IS NULL", t.workspace_id
        )
        if there >= ENDPOINTS_AT_MOST:
            raise Invalid(f"A workspace has at most {ENDPOINTS_AT_MOST} endpoints. Remove one that is not needed.")
        await t.execute(
            """
            INSERT INTO webhook_endpoints (id, workspace_id, url, description, event_types, enabled, secret, epoch,
                last_seq, failures_in_a_row, created_at, updated_at)
            VALUES ($2, $1, $3, $4, $5::jsonb, true, $6, $7, $8, 0, $9, $9)
            """,
            t.workspace_id,
            endpoint_id,
            url,
            description,
            _json(event_types),
            sealed,
            head.epoch,
            head.last_seq,
            t.now,
        )

    await tx(workspace_id, work, rings=False)
    return WithSecret(endpoint_id, secret)


async def update(workspace_id: UUID, reach: Reach, endpoint_id: UUID, changes: dict[str, Any]) -> UUID:
    """Change what is given of url, description, event_types and enabled; return the endpoint's id.

    Switching an endpoint on lets it go on where it stood: what happened meanwhile is sent, as far as it is kept.

    Raises:
        Invalid, NotFound
    """
    if "url" in changes:
        _check_url(changes["url"], reach)
    _check_description(changes.get("description"))
    _check_types(changes.get("event_types"))

    async def work(t: Tx) -> UUID:
        row = await locked(t, endpoint_id)
        now = {name: changes.get(name, row[name]) for name in ("url", "description", "enabled")}
        types = _json(changes["event_types"]) if "event_types" in changes else row["event_types"]
        switched_on = now["enabled"] and not row["enabled"]
        await t.execute(
            """
            UPDATE webhook_endpoints SET url = $3, description = $4, event_types = $5::jsonb, enabled = $6,
                updated_at = $7,
                disabled_at = CASE WHEN $6 THEN NULL ELSE coalesce(disabled_at, $7) END,
                disabled_because = CASE WHEN NOT $6 THEN coalesce(disabled_because, 'Switched off by a person.') END,
                failures_in_a_row = CASE WHEN $8 THEN 0 ELSE failures_in_a_row END,
                failing_since = CASE WHEN $8 THEN NULL ELSE failing_since END
            WHERE workspace_id = $1 AND id = $2
            """,
            t.workspace_id,
            endpoint_id,
            now["url"],
            now["description"],
            types,
            now["enabled"],
            t.now,
            switched_on,
        )
        if switched_on:
            await t.execute(
                "UPDATE webhook_deliveries SET next_at = now() "
                "WHERE workspace_id = $1 AND endpoint_id = $2 AND state = 'PENDING' AND lease_until IS NULL",
                t.workspace_id,
                endpoint_id,
            )
        return endpoint_id

    return await tx(workspace_id, work)


async def delete(workspace_id: UUID, endpoint_id: UUID) -> None:
    """Remove an endpoint; its log goes with it, in the background. What is on its way to it may still arrive.

    Raises:
        NotFound
    """

    async def work(t: Tx) -> None:
        await locked(t, endpoint_id)
        await t.execute(
            "UPDATE webhook_endpoints SET removed_at = $3, enabled = false WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            endpoint_id,
            t.now,
        )

    await tx(workspace_id, work, rings=False)


async def rotate_secret(workspace_id: UUID, vault: Vault, endpoint_id: UUID) -> WithSecret:
    """Give an endpoint a new secret. For SECRET_OVERLAP each delivery is signed with the old one too, so that the
    receiver can change over without losing any.

    Raises:
        NotFound
        SecretUnreadable: the old one was saved with another key.
    """
    secret = new_secret()
    sealed = vault.seal(secret, workspace_id, SECRET_PLACE, endpoint_id)

    async def work(t: Tx) -> None:
        row = await locked(t, endpoint_id)
        old = vault.open(bytes(row["secret"]), workspace_id, SECRET_PLACE, endpoint_id)
        await t.execute(
            "UPDATE webhook_endpoints SET secret = $3, previous_secret = $4, previous_until = now() + $5::interval, "
            "updated_at = $6 WHERE workspace_id = $1 AND id = $2",
            t.workspace_id,
            endpoint_id,
            sealed,
            vault.seal(old, workspace_id, _PREVIOUS_PLACE, endpoint_id),
            SECRET_OVERLAP,
            t.now,
        )

    await tx(workspace_id, work, rings=False)
    return WithSecret(endpoint_id, secret)


def signing_keys(
    vault: Vault, workspace_id: UUID, endpoint_id: UUID, secret: bytes, previous: bytes | None
) -> list[str]:
    """Return the secrets that sign for an endpoint now, the present one first.

    Raises:
        SecretUnreadable
    """
    keys = [vault.open(secret, workspace_id, SECRET_PLACE, endpoint_id)]
    return keys + ([vault.open(previous, workspace_id, _PREVIOUS_PLACE, endpoint_id)] if previous else [])


async def locked(t: Tx, endpoint_id: UUID) -> asyncpg.Record:
    """Return the endpoint, locked until the transaction ends.

    Raises:
        NotFound
    """
    row = await t.fetchrow(
        "SELECT * FROM webhook_endpoints WHERE workspace_id = $1 AND id = $2 AND removed_at IS NULL FOR UPDATE",
        t.workspace_id,
        endpoint_id,
    )
    if row is None:
        raise NotFound("endpoint", field=["id"])
    return row


def refuse_disabled(row: asyncpg.Record) -> None:
    """Raises: WebhookDisabled: the endpoint is switched off."""
    if not row["enabled"]:
        raise WebhookDisabled


def _check_url(url: str, reach: Reach) -> None:
    try:
        target = target_of(url)
    except UrlInvalid as problem:
        raise Invalid(str(problem), field=["url"]) from None
    if reach.names(target.host):  # the operator's own network
        return
    if target.scheme != "https":
        raise Invalid("The URL must begin with https://, so that nobody reads along.", field=["url"])
    if target.port not in PORTS:
        raise Invalid(f"The port must be {' or '.join(map(str, PORTS))}.", field=["url"])


def _check_description(description: str | None) -> None:
    if description is not None and len(description) > 200:
        raise Invalid("The description has at most 200 characters.", field=["description"])


def _check_types(event_types: Sequence[str] | None) -> None:
    if event_types is None:
        return
    if not event_types:
        raise Invalid("An empty list of types would send nothing. Leave it out for all.", field=["eventTypes"])
    if unknown := unknown_types(event_types):
        raise Invalid(f"There is no event type “{unknown[0][:60]}”. See RecipientEvent.type.", field=["eventTypes"])


def _json(event_types: Sequence[str] | None) -> str | None:
    return orjson.dumps(list(dict.fromkeys(event_types))).decode() if event_types is not None else None
