"""What belongs to one API process, whatever the transport: made once by `create_app`, handed to each operation."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from strawberry import Schema

from api.auth import KeyRing
from api.budget import Budgets
from api.charges import Charge, Places
from api.context import Caller, Context
from api.loaders import Loaders
from api.ring import Hub
from api.sharing import Selections
from api.workspace_tail import WorkspaceTails
from domain.mailbox_sign_in import ImapSignIn, SmtpSignIn, TextSignIn
from domain.rules.step_errors import StepErrorCode
from domain.secrets import Vault
from domain.settings import Settings

__all__ = ["ImapSignIn", "ServerParts", "SignInRefused", "SmtpSignIn", "TextSignIn", "TryMailbox", "parts_of"]


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """Why a sign-in did not work: a step error code, the server's words, and which of the two servers it was."""

    code: StepErrorCode
    words: str
    reading: bool = False


TryMailbox = Callable[[SmtpSignIn | TextSignIn, ImapSignIn | None], Awaitable[SignInRefused | None]]
"""Signs in for sending, and for reading where the mailbox is read, and ends the connections; None means that all
worked. Bounded in time by whoever wires it."""


@dataclass(slots=True, kw_only=True)
class ServerParts:
    """This process's parts."""

    settings: Settings
    schema: Schema
    hub: Hub
    tails: WorkspaceTails = field(default_factory=WorkspaceTails)
    keys: KeyRing
    vault: Vault
    budgets: Budgets
    operations: Places
    subscriptions: Places
    uploads: Places
    exports: Places
    try_mailbox: TryMailbox | None = None
    selections: Selections = field(default_factory=Selections)
    draining: asyncio.Event = field(default_factory=asyncio.Event)  # set when nothing new is to be sent here any more
    closing: asyncio.Event = field(default_factory=asyncio.Event)  # set when this server is told to end
    answering: int = 0  # queries and mutations being carried out for sockets

    def context(self, caller: Caller, request_id: str, charge: Charge | None = None) -> Context:
        """Return the surroundings of one operation, with loaders of its own."""
        more: dict[str, Any] = {"process": self}
        return Context(
            caller=caller,
            settings=self.settings,
            vault=self.vault,
            loaders=Loaders(caller.workspace_id),
            request_id=request_id,
            charge=charge,
            more=more,
        )


def parts_of(context: Context) -> ServerParts:
    """Return the process an operation runs in."""
    process: ServerParts = context.more["process"]
    return process
