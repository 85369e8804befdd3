"""The secret with which a mail provider signs what it hands in over HTTP: one of each workspace.

Source: the Standard Webhooks specification; api.md "Events".
"""

from datetime import timedelta
from hmac import compare_digest
from typing import Final
from uuid import UUID

from domain.database import Tx, fetch, tx
from domain.rules.webhooks import SECRET_OVERLAP, new_secret, signature
from domain.secrets import Vault

CLOCKS_APART: Final = timedelta(minutes=5)
"""How old a signature may be, and how far ahead a provider's clock may go."""

_PLACE: Final = "workspaces.inbound_secret"


async def rotate(workspace_id: UUID, vault: Vault, *, end_previous: bool = False) -> str:
    """Make a new secret and return it; it cannot be shown again. The one before is good for another day, unless it is
    to end at once.

    Raises:
        WorkspaceUnknown
    """
    secret = new_secret()
    sealed = vault.seal(secret, workspace_id, _PLACE, workspace_id)

    async def work(t: Tx) -> None:
        await t.execute(
            "UPDATE workspaces SET inbound_secret_before = CASE WHEN NOT $3 THEN inbound_secret END, "
            "inbound_secret = $2, inbound_secret_changed_at = now() WHERE id = $1",
            t.workspace_id,
            sealed,
            end_previous,
        )

    await tx(workspace_id, work)
    return secret


async def is_signed(
    workspace_id: UUID, vault: Vault, webhook_id: str, timestamp: str, signatures: str, body: bytes
) -> bool:
    """Whether this workspace's secret signed the body a few minutes ago at most. False for an unknown workspace."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12 and webhook_id):
        return False
    rows = await fetch(
        "SELECT inbound_secret, CASE WHEN inbound_secret_changed_at > now() - $2::interval "
        "THEN inbound_secret_before END AS before, abs(extract(epoch FROM now()) - $3::float8) AS apart "
        "FROM workspaces WHERE id = $1",
        workspace_id,
        SECRET_OVERLAP,
        float(timestamp),
    )
    if not rows or rows[0]["apart"] > CLOCKS_APART.total_seconds():
        return False
    sealed = [one for one in (rows[0]["inbound_secret"], rows[0]["before"]) if one is not None]
    keys = [vault.open(one, workspace_id, _PLACE, workspace_id) for one in sealed]
    expected = signature(keys, webhook_id, int(timestamp), body).split()
    given = signatures.split()[:20]
    return any(compare_digest(one.encode(), other.encode()) for one in expected for other in given)
