"""What a text message provider answers, read by its error code: when a message is handed over, and in the report that
comes later. The codes are Twilio's, which others that offer the same interface use as well.

A code that no rule knows is a refusal of the provider's: shown with its words, never guessed at.

Source: Twilio's error and warning dictionary; product.md sections 4 and 6.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from domain.rules.outcomes import Later, LaterReason, MailboxBroken, OptedOut, Outcome, Refused, Sent, Unknown

_WORDS_AT_MOST: Final = 500

_NUMBER_DEAD: Final = frozenset({21211, 21214, 21217, 21265, 21266, 21407, 21421, 21614, 21635, 30005, 30006})
_OPTED_OUT: Final = frozenset({21610})
_SENDER_WRONG: Final = frozenset(
    {21212, 21602, 21603, 21606, 21618, 21659, 21660, 21661, 21701, 21703, 30018, 30024, 30034, 30035, 30038}
)
_SIGN_IN_WRONG: Final = frozenset({20003, 20006, 20008, 20404, 20403})
_SUSPENDED: Final = frozenset({10001, 20005, 30002, 90010})
_THROTTLED: Final = frozenset({14107, 20429, 21611, 30001, 30027})
_DAY_IS_FULL: Final = frozenset({30022, 30023, 63038})
_TOO_LONG: Final = frozenset({21617, 30019, 30037})
_REFUSED_CONTENT: Final = frozenset({30004, 30007, 30044, 30453, 30472, 30489, 30641})
_NOT_REACHED: Final = frozenset({None, 30003, 30008, 30009, 30017, 30036, 30410})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message that the provider had taken was not delivered: a step error code, and words."""

    code: str
    words: str


_MEANING: Final = {
    30003: "the phone is switched off or out of reach",
    30004: "the phone or its network blocks the message",
    30005: "the number does not exist",
    30006: "the number is a landline, or its network cannot be reached",
    30007: "the network filtered the message as unwanted",
    30008: "the network did not say why",
    30009: "a part of the message got lost on its way",
    30010: "the message costs more than the provider's account allows",
    30017: "the network is overloaded",
    30036: "the phone was not reached in time",
    30410: "the network did not answer",
}


def classify_answer(status: int, body: bytes) -> Outcome:
    """What the answer to a POST of a message means. Only 201 with the message's id says that it was taken over.

    An answer of 500 or above does not say whether it was: it is never sent again by itself.
    """
    said = _read(body)
    sid = said.get("sid")
    if 200 <= status < 300:
        if isinstance(sid, str) and sid:
            return Sent(f"{sid} {said.get('status') or 'accepted'}"[:_WORDS_AT_MOST])
        return Unknown(f"The provider answered {status} without saying which message it took.")
    code = said.get("code") if isinstance(said.get("code"), int) else None
    words = _words(status, code, said.get("message"))
    if status >= 500:
        return Unknown(words)
    if code in _DAY_IS_FULL:
        return Later(LaterReason.THROTTLED, words, until_next_day=True)
    if code in _THROTTLED or status == 429:
        return Later(LaterReason.THROTTLED, words)
    if code in _OPTED_OUT:
        return OptedOut(words)
    if code in _NUMBER_DEAD:
        return Refused("PHONE_INVALID", words)
    if code in _SUSPENDED:
        return MailboxBroken("MAILBOX_SUSPENDED", words)
    if code in _SIGN_IN_WRONG or status in (401, 403, 404):
        return MailboxBroken("MAILBOX_CREDENTIALS_REFUSED", words)
    if code in _SENDER_WRONG:
        return MailboxBroken("SENDER_NOT_ALLOWED", words)
    if code in _TOO_LONG:
        return Refused("MESSAGE_TOO_LARGE", words)
    return Refused("INTEGRATION_FAILED", words)


def failure_of(code: int | None) -> Failure | OptedOut:
    """What the report of an undelivered message means."""
    words = f"{_MEANING.get(code or 0, 'the provider could not deliver the message')} ({code or 'no code'})"
    if code in _OPTED_OUT:
        return OptedOut(words)
    if code in _NUMBER_DEAD:
        return Failure("PHONE_INVALID", words)
    if code in _REFUSED_CONTENT:
        return Failure("RECIPIENT_REFUSED_CONTENT", words)
    if code in _DAY_IS_FULL or code in _THROTTLED:
        return Failure("PROVIDER_LIMIT_REACHED", words)
    if code in _SUSPENDED:
        return Failure("MAILBOX_SUSPENDED", words)
    if code in _SENDER_WRONG:
        return Failure("SENDER_NOT_ALLOWED", words)
    if code in _NOT_REACHED:
        return Failure("SOFT_BOUNCE_EXHAUSTED", words)
    return Failure("INTEGRATION_FAILED", words)


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(status: int, code: int | None, message: object) -> str:
    words = " ".join(message.split()) if isinstance(message, str) else ""
    return f"{code or status}: {words or 'no reason given'}"[:_WORDS_AT_MOST]
