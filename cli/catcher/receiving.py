"""The SMTP side of the catcher: takes any credentials and any mail, and misbehaves on request."""

import logging
import re
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from cli.catcher.mails import MailCatcher

MISBEHAVIOUR: dict[str, tuple[str, str]] = {
    "bounce": ("550 5.1.1 No such user here", "the address does not exist"),
    "full": ("452 4.2.2 Mailbox full", "the mailbox is full"),
    "later": ("451 4.7.1 Greylisted, try again later", "come back later"),
    "policy": ("550 5.7.1 Refused by policy", "refused for its content or sender"),
}
"""Local part → the reply to RCPT, and what it means. Also with anything after - + . or _ (`bounce-anna@…`)."""

_MAGIC = re.compile(rf"({'|'.join(MISBEHAVIOUR)})(?:[-+._].*)?@", re.IGNORECASE)

# The library warns of its own use of a deprecated attribute at every sign-in.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class _Handler:
    def __init__(self, catcher: MailCatcher) -> None:
        self._catcher = catcher

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if magic := _MAGIC.match(address):
            return MISBEHAVIOUR[magic[1].lower()][0]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        try:
            mail = self._catcher.keep(envelope.mail_from or "", envelope.rcpt_tos, content)
        except OSError as failure:
            return f"451 4.3.0 The catcher cannot write the mail: {failure.strerror or type(failure).__name__}"
        return f"250 2.0.0 caught as {mail.id}"


def catching_smtp(catcher: MailCatcher) -> SMTP:
    """The protocol of one connection; give it to the loop's `create_server` as the factory's result."""
    return SMTP(
        _Handler(catcher),
        hostname="catcher.localhost",
        ident="Relance mail catcher",
        enable_SMTPUTF8=True,
        auth_require_tls=False,
        authenticator=_anyone,
    )


def _anyone(*_: Any) -> AuthResult:
    return AuthResult(success=True)
