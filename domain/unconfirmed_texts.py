"""Text messages of which nobody knows whether the provider took them, and the proof that it did.

Source: product.md section 2 "Retry belongs to the error"; reliability.md 2.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain.claims import TextAccount
from domain.database import fetch
from domain.delivery import Result, record
from domain.rules.outcomes import Sent

_LOOKED_FOR: Final = timedelta(hours=1)
_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One such message, and the account that may know."""

    workspace_id: UUID
    message_id: UUID
    token: int
    account: TextAccount
    to: str
    text: str
    marked_at: datetime


async def in_doubt() -> list[Doubt]:
    """Return the unconfirmed text messages of the last hour, over all workspaces; at most 50, the oldest first."""
    rows = await fetch(
        """
        SELECT x.id, x.workspace_id, x.token, x.to_address, x.text, x.marked_at, m.id AS mailbox_id, m.address,
            m.display_name, m.sms_api_url, m.sms_account, m.sms_token, w.test_mode
        FROM messages x JOIN mailboxes m ON m.id = x.mailbox_id JOIN workspaces w ON w.id = x.workspace_id
        WHERE x.state = 'UNCONFIRMED' AND x.channel = 'SMS' AND x.marked_at > now() - $1::interval
            AND x.to_address IS NOT NULL AND x.text IS NOT NULL
        ORDER BY x.marked_at LIMIT $2
        """,
        _LOOKED_FOR,
        _AT_ONCE,
    )
    return [
        Doubt(
            workspace_id=row["workspace_id"],
            message_id=row["id"],
            token=row["token"],
            account=TextAccount(
                mailbox_id=row["mailbox_id"],
                address=row["address"],
                display_name=row["display_name"],
                api_url=row["sms_api_url"],
                account=row["sms_account"],
                sealed_token=row["sms_token"],
                test_mode=row["test_mode"],
            ),
            to=row["to_address"],
            text=row["text"],
            marked_at=row["marked_at"],
        )
        for row in rows
    ]


async def settle(doubt: Doubt, provider_ids: Sequence[str]) -> bool:
    """Record that a message was sent, if one of these is none of the other messages that we know to be sent."""
    known = await fetch(
        "SELECT substring(reply from '[A-Za-z0-9][A-Za-z0-9._=+-]{15,}') AS id FROM messages WHERE workspace_id = $1 "
        "AND mailbox_id = $2 AND marked_at > $3 AND state = 'SENT' AND to_address = $4",
        doubt.workspace_id,
        doubt.account.mailbox_id,
        doubt.marked_at - _LOOKED_FOR,  # the provider lists none that is older
        doubt.to,
    )
    own = [one for one in provider_ids if one not in {row["id"] for row in known}]
    if not own:
        return False
    proof = Sent(f"{own[0]} stands in the provider's list.")
    return bool(await record(doubt.workspace_id, [Result(doubt.message_id, doubt.token, proof)]))
