"""Signing in to mail servers for real, for the API: here, because the API and the workers do not know each other."""

import asyncio
from typing import Final

from api.server_parts import ImapSignIn, SignInRefused, SmtpSignIn, TextSignIn
from domain.rules.smtp_replies import Later, MailboxBroken, Outcome, Refused
from domain.rules.step_errors import StepErrorCode
from workers.imap import ImapAccount, ImapFailed, ImapSession, ImapTimeouts
from workers.smtp import SmtpAccount, SmtpSession
from workers.text_gateway import OpenedAccount
from workers.twilio import TwilioGateway

_PATIENCE_SECONDS: Final = 20.0


async def try_mailbox(sending: SmtpSignIn | TextSignIn, reading: ImapSignIn | None) -> SignInRefused | None:
    """Sign in for sending, then for reading where asked for, each at most 20 seconds; return why not, or None."""
    if isinstance(sending, TextSignIn):
        return await _try_texts(sending)
    return await _try_smtp(sending) or (await _try_imap(reading) if reading else None)


async def _try_texts(asked: TextSignIn) -> SignInRefused | None:
    gateway = TwilioGateway(asked.reach, deadline_seconds=_PATIENCE_SECONDS / 2)
    try:
        found = await gateway.try_account(OpenedAccount(asked.address, asked.api_url, asked.account, asked.token))
    finally:
        await gateway.close()
    return _refusal(found) if found is not None else None


async def _try_imap(asked: ImapSignIn) -> SignInRefused | None:
    session = ImapSession(
        ImapAccount(asked.host, asked.port, asked.security, asked.username, asked.password or "", asked.reach),
        ImapTimeouts(connect_seconds=_PATIENCE_SECONDS / 2, read_seconds=_PATIENCE_SECONDS / 2),
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.to_thread(session.open)
            await asyncio.to_thread(session.open_folder, "INBOX")
            await asyncio.to_thread(session.close)
    except ImapFailed as failed:
        return SignInRefused(failed.code or StepErrorCode.MAILBOX_SERVER_UNREACHABLE, failed.words, reading=True)
    except TimeoutError:
        return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, _too_long(asked), reading=True)
    finally:
        session.abort()
    return None


async def _try_smtp(asked: SmtpSignIn) -> SignInRefused | None:
    session = SmtpSession(
        SmtpAccount(
            host=asked.host,
            port=asked.port,
            security=asked.security,
            username=asked.username,
            password=asked.password,
            reach=asked.reach,
        )
    )
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            outcome = await session.open()
            if outcome is None:
                await session.close()
                return None
    except TimeoutError:
        return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, _too_long(asked))
    finally:
        session.abort()
    return _refusal(outcome)


def _too_long(asked: SmtpSignIn | ImapSignIn) -> str:
    return f"{asked.host}:{asked.port} did not answer within {_PATIENCE_SECONDS:.0f} seconds."


def _refusal(outcome: Outcome) -> SignInRefused:
    match outcome:
        case MailboxBroken() | Refused():
            return SignInRefused(StepErrorCode(outcome.code), outcome.reply)
        case Later():
            return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, outcome.reply)
        case _:
            return SignInRefused(StepErrorCode.MAILBOX_SERVER_UNREACHABLE, "The server did not say why.")
