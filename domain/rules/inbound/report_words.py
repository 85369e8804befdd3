"""The words of a delivery report that is only text: whom it names, what it says about each, which command was refused.

Source: reliability.md 2.10; the notices of Postfix, Exim, sendmail, qmail, Exchange, MDaemon and others (tests/data).
"""

import re
from typing import Final

SAID_AT_MOST: Final = 4_000
"""Characters that are looked at about one address."""

_COMMAND: Final = (
    re.compile(r"(?:-->|>>>|Sent <<<) ([A-Za-z]{4})\b[^\n]*\n[^\n]{0,60}(?:<--|<<<|Received >>>) ?[45]\d\d\b"),
    re.compile(r"in reply to (?:the )?(?:end of )?([A-Z]{4})\b"),
    re.compile(
        r"(?:in response to|after|the|during|for)\s+"
        r"(?:the )?(?:end of )?(?:SMTP )?([A-Z]{4})\b[^\n]{0,12}(?:command|\b)"
    ),
    re.compile(r"progress was ([A-Z]{4})\b"),
    re.compile(r"error from remote mail(?:er| server)? after (?:end of )?(?:pipelined )?(?:sending )?([A-Za-z]{4})\b"),
    re.compile(r"SMTP(?: command)?\W{1,20}([A-Z]{4})\b"),
    re.compile(r"^>>> ([A-Z]{4})\b", re.MULTILINE),
)
_ADDRESS: Final = re.compile(
    r"([^\s<>()\[\],;:\"'=（）「」【】《》、，。]{1,256}@[^\s<>()\[\],;:\"'（）「」【】《》、，。]{1,256})"
)
_NAMES_A_MAIL: Final = re.compile(r"\W{0,40}(?:original )?message-?id\b", re.IGNORECASE)
_TO_NOBODY_LEFT: Final = re.compile(r"no valid recipients|need rcpt|no recipients", re.IGNORECASE)


def people_in(text: str) -> list[str]:
    """Return the addresses in a text that may be people's, in order and in lower case."""
    found = []
    for line in text.split("\n"):
        if _NAMES_A_MAIL.match(line):
            continue
        found += [match[1].strip(".").lower() for match in _ADDRESS.finditer(line)]
    return [name for name in dict.fromkeys(found) if not _is_system(name) and not _is_id(name)]


def command_in(text: str) -> str:
    """Return the SMTP command that was refused; "" where the text does not tell."""
    if _TO_NOBODY_LEFT.search(text) or "does not like recipient" in text or "rejected recipient" in text:
        return "RCPT"  # sent in one go with what follows: the answer to RCPT is shown under DATA
    for pattern in _COMMAND:
        for found in pattern.finditer(text):
            word = found[1].upper()
            if word in ("HELO", "EHLO", "MAIL", "RCPT", "DATA"):
                return word
    return ""


def words_about(notice: str, address: str | None) -> str:
    """Return what the notice says from this address up to the next; "" when it does not name it."""
    if not address:
        return ""
    lowered = notice.lower()
    begin = lowered.find(address)
    if begin < 0:
        return ""
    begin = notice.rfind("\n", 0, begin) + 1
    text = notice[begin : begin + SAID_AT_MOST]
    for match in _ADDRESS.finditer(text, len(address) + 1):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.end() + 3]
        if (
            match[1].strip(".").lower() != address
            and re.match(r"[\W\d]*" + re.escape(match[1]), line)
            and match.start() > 0
        ):
            return text[: match.start()].strip()
    return text.strip()


def _is_system(address: str) -> bool:
    local = address.partition("@")[0]
    return (
        local in ("mailer-daemon", "postmaster", "poostmaster", "abuse", "support", "sysadmin")
        or address.endswith(("@postmaster", ".invalid"))
        or local.startswith("owner-")
        or local.endswith(("-owner", "-request", "-help"))
    )


def _is_id(address: str) -> bool:
    """Whether what looks like an address is the identifier of a mail."""
    local, _, domain = address.partition("@")
    if "." not in domain and "localhost" not in domain:
        return True
    return len(local) > 64 or sum(letter.isdigit() for letter in local) > 12
