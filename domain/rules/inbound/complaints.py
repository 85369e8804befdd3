"""Feedback reports: someone pressed "this is spam", or the like.

Source: RFC 5965, RFC 6449; reliability.md 2.12.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.rules.inbound.mail import Mail, addresses_in

# not-spam is praise, and auth-failure is about the domain: nobody complained.
_NO_COMPLAINT: Final = frozenset({"not-spam", "auth-failure", "dkim", "virus"})
_SUBJECT: Final = re.compile(
    r"complaint about (?:message|mail)|(?:spam|abuse|fbl) (?:report|complaint)|email feedback report|feedback loop",
    re.IGNORECASE,
)
_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a feedback report says. `kind` is its Feedback-Type in lower case."""

    kind: str
    addresses: Sequence[str]  # who complained, as far as it is told

    @property
    def is_complaint(self) -> bool:
        return self.kind not in _NO_COMPLAINT and not self.is_opt_out

    @property
    def is_opt_out(self) -> bool:
        return self.kind.startswith("opt-out")


def feedback(mail: Mail) -> Feedback | None:
    """Return what a feedback report says; None when the mail is none."""
    reports = [part.text for part in mail.parts if part.kind == "message/feedback-report" and not part.returned]
    is_told = bool(reports) or mail.report_type == "feedback-report"
    if not is_told and not (_SUBJECT.search(mail.header("subject")) and mail.returned_headers):
        return None
    texts = reports or [mail.plain]
    fields = [(name.lower(), value.strip()) for text in texts for name, value in _FIELD.findall(text)]
    kind = next((value for name, value in fields if name == "feedback-type"), "abuse")
    told = [value for name, value in fields if name in ("removal-recipient", "original-rcpt-to")]
    told += [value for name in ("x-original-to", "to") if (value := mail.returned_header(name))]
    addresses = [address for value in told for address in addresses_in(value)]
    return Feedback(kind.split(" ")[0].lower(), list(dict.fromkeys(addresses)))
