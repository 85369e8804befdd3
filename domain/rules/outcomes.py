"""How a hand-over to a mail server can end: a closed set, and the patience with what may still work later.

Source: product.md sections 4 and 6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import accumulate, chain, repeat
from types import MappingProxyType


class Stage(StrEnum):
    """The part of a hand-over that was answered. GREETING includes EHLO, DOT is the end of the message."""

    CONNECT = "CONNECT"
    GREETING = "GREETING"
    TLS = "TLS"
    AUTH = "AUTH"
    MAIL_FROM = "MAIL_FROM"
    RCPT_TO = "RCPT_TO"
    DATA = "DATA"
    DOT = "DOT"


class LaterReason(StrEnum):
    """Why a hand-over is tried again by itself.

    TRANSPORT and THROTTLED make the whole mailbox wait and are not charged to the recipient.
    """

    TRANSPORT = "TRANSPORT"
    THROTTLED = "THROTTLED"
    GREYLISTED = "GREYLISTED"
    MAILBOX_FULL = "MAILBOX_FULL"
    SOFT = "SOFT"


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took the message over; `reply` keeps its words, which may hold the provider's own id."""

    reply: str


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will not be taken. Nothing was sent.

    `code` names a StepErrorCode. With `hard_bounce` the address is dead and the recipient ends as BOUNCED.
    `recognised` is False for a reply that no rule knows: worth a line in the log.
    """

    code: str
    reply: str
    hard_bounce: bool = False
    recognised: bool = True


@dataclass(frozen=True, slots=True)
class Later:
    """Not now. Nothing was sent. `until_next_day` is set for daily limits of the provider."""

    reason: LaterReason
    reply: str
    until_next_day: bool = False


@dataclass(frozen=True, slots=True)
class MailboxBroken:
    """The mailbox is at fault, whoever the recipient is. Nothing was sent. `code` names a StepErrorCode."""

    code: str
    reply: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may or may not have been taken over; it must not be sent again by itself."""

    why: str
    assumable: bool = True  # a sequence may be set to assume that it was sent; False: a person is asked in any case


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The provider knows that the person has opted out of this sender, and did not take the message."""

    reply: str


@dataclass(frozen=True, slots=True)
class NotSendable:
    """The message could not even be made: a missing value, a broken template, no address. Nothing was sent."""

    code: str  # a step error code
    detail: str | None = None


Outcome = Sent | Refused | Later | MailboxBroken | Unknown | OptedOut

MAILBOX_WAITS = frozenset({LaterReason.TRANSPORT, LaterReason.THROTTLED})
"""What makes the whole mailbox wait, whoever the message was for."""


def is_the_mailboxes(outcome: Outcome | NotSendable) -> bool:
    """Return whether a try ended for the mailbox's sake, so that it does not cost the recipient's patience."""
    return isinstance(outcome, MailboxBroken) or (isinstance(outcome, Later) and outcome.reason in MAILBOX_WAITS)


def server_answered(outcome: Outcome | NotSendable) -> bool:
    """Return whether the mail server was there and took or refused this one message: the mailbox works again."""
    if isinstance(outcome, Later):
        return outcome.reason not in MAILBOX_WAITS
    return isinstance(outcome, Sent | Refused | OptedOut)


_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
PATIENCE = timedelta(hours=72)
_JITTER_SHARE = 0.2
_PAUSES: Mapping[LaterReason, tuple[timedelta, ...]] = MappingProxyType(
    {
        LaterReason.TRANSPORT: (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR),
        LaterReason.THROTTLED: (5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR),
        LaterReason.GREYLISTED: (5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 4 * _HOUR),
        LaterReason.MAILBOX_FULL: (15 * _MINUTE, _HOUR, 4 * _HOUR),
        LaterReason.SOFT: (_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR),
    }
)

ERROR_WHEN_PATIENCE_IS_OUT: Mapping[LaterReason, str] = MappingProxyType(
    {
        LaterReason.THROTTLED: "PROVIDER_LIMIT_REACHED",
        LaterReason.GREYLISTED: "SOFT_BOUNCE_EXHAUSTED",
        LaterReason.MAILBOX_FULL: "MAILBOX_FULL",
        LaterReason.SOFT: "SOFT_BOUNCE_EXHAUSTED",
    }
)


def retry_after(reason: LaterReason, tries: int, jitter: float = 0.0) -> timedelta | None:
    """The pause before the next try after `tries` (from 1) in a row ended with this reason; None: patience is out.

    `jitter`, 0 to 1, lengthens the pause by up to a fifth. Patience is 72 hours of pauses; what holds the whole
    mailbox (TRANSPORT, THROTTLED) is not given up by the number of tries: a provider that has taken nothing from it for
    longer than `PATIENCE` is an error of whoever is tried then. For `Later.until_next_day` the caller waits for the
    mailbox's next day instead.
    """
    if tries < 1:
        raise ValueError("tries counts from 1")
    steps = _PAUSES[reason]
    pause = steps[min(tries, len(steps)) - 1]
    if reason not in MAILBOX_WAITS:
        endless = chain(steps, repeat(steps[-1]))
        spent = next(total for count, total in enumerate(accumulate(endless), start=1) if count == tries)
        if spent > PATIENCE:
            return None
    return pause * (1 + _JITTER_SHARE * min(max(jitter, 0.0), 1.0))
