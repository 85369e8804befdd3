"""Test mails as screens show them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final
from uuid import UUID

from domain.database import fetch
from domain.rules.ids import Prefix, to_public


class TestEmailState(StrEnum):
    QUEUED = "QUEUED"
    HANDING_OVER = "HANDING_OVER"
    SENT = "SENT"
    FAILED = "FAILED"
    UNCONFIRMED = "UNCONFIRMED"


STATE_MEANING: Final[Mapping[TestEmailState, str]] = {
    TestEmailState.QUEUED: "It waits for the turn of its mailbox; after an hour it has failed.",
    TestEmailState.HANDING_OVER: "It is being handed over to the mail server.",
    TestEmailState.SENT: "The mail server took it.",
    TestEmailState.FAILED: "It was not sent; `reply` says why. Also where the mail server said “later”: a test mail "
    "is handed over once, so order another one then.",
    TestEmailState.UNCONFIRMED: "Nobody knows whether it was sent. It is not sent again.",
}


@dataclass(frozen=True, slots=True)
class TestEmailRow:
    type_name: ClassVar[str] = "TestEmail"

    key: UUID
    to: str
    state: TestEmailState
    reply: str | None
    created_at: datetime

    @property
    def id(self) -> str:
        return to_public(Prefix.TEST_EMAIL, self.key)


async def by_ids(workspace_id: UUID, ids: Collection[UUID]) -> dict[UUID, TestEmailRow]:
    """Return those of the test mails that are there, by key; they are kept for 30 days."""
    rows = await fetch(
        "SELECT id, to_address, state, reply, created_at FROM test_emails "
        "WHERE workspace_id = $1 AND id = ANY($2::uuid[])",
        workspace_id,
        list(ids),
    )
    return {
        row["id"]: TestEmailRow(
            row["id"], row["to_address"], TestEmailState(row["state"]), row["reply"], row["created_at"]
        )
        for row in rows
    }
