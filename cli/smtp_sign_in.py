"""Signing in to a mail server for real, for the API: here, because the API and the workers do not know each other."""

import asyncio
from typing import Final, Literal

from api.server_parts import SignInRefused, SmtpSignIn
from domain.rules.smtp_replies import Later, MailboxBroken, Outcome, Refused
from domain.rules.step_errors import StepErrorCode
from workers.smtp import SmtpAccount, SmtpSession

_PATIENCE_SECONDS: Final = 20.0
_SECURITY: Final[dict[str, Literal["NONE", "STARTTLS", "TLS"]]] = {"NONE": "NONE", "STARTTLS": "STARTTLS", "TLS": "TLS"}


async def try_smtp(asked: SmtpSignIn) -> SignInRefused | None:
    """Connect, encrypt and sign in as asked, at most 20 seconds, and part again; return why not, or None."""
    session = SmtpSession(
        SmtpAccount(
            host=asked.host,
            port=asked.port,
            security=_SECURITY[asked.security],
            username=asked.username,
            password=asked.password,
        )
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            outcome = await session.open()
            if outcome is None:
                await session.close()
                return None
    except TimeoutError:
        words = f"{asked.host}:{asked.port} did not answer within {_PATIENCE_SECONDS:.0f} seconds."
        return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, words)
    finally:
        session.abort()
    return _refusal(outcome)


def _refusal(outcome: Outcome) -> SignInRefused:
    match outcome:
        case MailboxBroken() | Refused():
            return SignInRefused(StepErrorCode(outcome.code), outcome.reply)
        case Later():
            return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, outcome.reply)
        case _:
            return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, "The server did not say why.")
