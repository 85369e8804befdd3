"""Where a mailbox hands its mails over, and how long each answer may take."""

from dataclasses import dataclass, field
from typing import Literal

from domain.rules.network import PUBLIC_ONLY, Reach


@dataclass(frozen=True, slots=True)
class SmtpAccount:
    """Where and as whom a mailbox hands its mails over, and what may be called for it. `local_hostname` is how we
    introduce ourselves."""

    host: str
    port: int
    security: Literal["NONE", "STARTTLS", "TLS"]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    local_hostname: str = "localhost"
    reach: Reach = PUBLIC_ONLY
    test_mode: bool = False  # of a test workspace: never connected to


@dataclass(frozen=True, slots=True)
class SmtpTimeouts:
    """How long each answer may take. A short wait after the dot would itself create unconfirmed messages."""

    connect_seconds: float = 20.0
    command_seconds: float = 60.0
    dot_seconds: float = 600.0


DEFAULT_TIMEOUTS = SmtpTimeouts()
