"""Delivery reports: which mail they speak of, and what each says of whom.

Machine-readable reports (RFC 3464) are read field by field; the many that are only text are read by what they share:
an address, what was said about it, and the mail that came back below.

Source: RFC 3461, RFC 3464; reliability.md 2.10.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.rules.html_text import sanitised, text_of
from domain.rules.inbound.mail import Mail, addresses_in
from domain.rules.inbound.report_words import SAID_AT_MOST, command_in, people_in, words_about

DELIVERY_STATUS: Final = ("message/delivery-status", "message/global-delivery-status")
RECIPIENTS_AT_MOST: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """What a report says about one address."""

    address: str | None
    action: str  # failed, delayed, delivered, relayed, expanded; "" where nothing says
    status: str  # the field Status: "5.1.1"; "" where there is none
    said: str  # the words of the mail server, or of the report about this address
    notice: str  # what the report says to people about it
    subject: str = ""  # of the report: the last resort
    command: str = ""  # the SMTP command that was refused, where the report tells


_DAEMON: Final = re.compile(
    r"mailer[-_. ]?daemon|^\W*(?:postmaster|poostmaster|sysadmin)\b|mail[ -.]*(?:delivery|deliver|delivery)[ -.]*"
    r"(?:sub)?[ -.]?(?:system|service|agent)|system administrator|delivery[ -]?(?:status|failure)|postmaster@|"
    r"bounce|mdaemon|mail administrator|content-filter at|mail[ -]router",
    re.IGNORECASE,
)
_SUBJECT: Final = re.compile(
    r"undeliver(?:ed|able)|non[ -]?deliver|not delivered|deliver[y]?\W+(?:status|fail|notif|error|problem|report|"
    r"delay)|"
    r"fail(?:ure|ed)\W+(?:notice|deliver|to deliver)|returned? (?:mail|to sender)|returning message|mail system error|"
    r"message (?:you sent|delivery|could not|not delivered)|(?:mail|message)\W+(?:delivery|deliver)|delayed mail|"
    r"mail failure|"
    r"could not (?:be )?(?:send|sent|deliver)|delivery has failed|warning: (?:could not|message)|bounce|"
    r"unzustellbar|nicht zugestellt|zustellung|non remis|échec de (?:la )?remise|échec de distribution|non distribu|"
    r"no se (?:ha )?pud[oe]|no entregado|error de entrega|devuelto|non recapitabile|mancato recapito|mancata consegna|"
    r"não (?:foi )?(?:entregue|pôde)|falha na entrega|onbestelbaar|niet (?:af)?geleverd|не доставлен|недоставлен|"
    r"ваше сообщение не|доставить|配信(?:不能|エラー|でき)|送信(?:エラー|でき)|エラーメール|未送達|退信|系统退信|"
    r"error sending your mail|"
    r"aws notification message|amazon ses",
    re.IGNORECASE,
)
_FAILURE: Final = re.compile(
    r"\b[45]\d\d[ -]?#?[45]\.\d{1,3}\.\d{1,3}|\b5\d\d[ :-]|could(?: not|n't) be delivered|undeliverable|"
    r"(?:delivery|message) (?:has )?(?:failed|been delayed)|unable to deliver|permanent (?:failure|error|fatal)|"
    r"user unknown|unknown user|fatal errors|was not delivered|not able to deliver|wasn't able to deliver|"
    r"could not deliver|not be delivered|not been delivered|no such user|delivery to the following|error message|"
    r"message (?:was )?(?:undeliverable|rejected|returned)|mailbox (?:is )?(?:full|unavailable)|over quota|bouncetype|"
    r"не (?:может быть|было) доставлено|не доставлено|配信(?:でき|不能)|unzustellbar|nicht zugestellt|out of storage|"
    r"does not (?:exist|like)|isn't a valid|retry time(?:out)? (?:not reached|exceeded)|delivery error|did not reach",
    re.IGNORECASE,
)
_REPORT_HEADERS: Final = ("x-failed-recipients", "x-actual-recipient")

_COPY_BEGINS: Final = re.compile(
    r"^(?:[-=_*> \t]{0,80}(?:original (?:message|mail)|this is a copy of (?:the|your)|below this line is a copy|"
    r"the following (?:text was|is the) |(?:unsent|undelivered|returned|bounced) message (?:below|follows|headers)|"
    r"message headers? (?:follow|are)|(?:the )?(?:beginning|header)s? of (?:the )?(?:original|undelivered|your)|"
    r"original (?:email|header)|message header|(?:the )?(?:attached|included) (?:is|message)|"
    r"message text follows|start of returned message|received: from|message from |текст).*|"
    r"(?:return-path|received|message-id|mime-version|dkim-signature|content-type|x-mailer) ?:.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_BOUNCED: Final = re.compile(r'"emailAddress"\s*:\s*"([^"]{1,400})"([^}]{0,4000})')
_JSON_FIELD: Final = re.compile(r'"(\w+)"\s*:\s*"([^"]*)"')
_THE_FOLLOWING: Final = re.compile(r"following (?:recipient|address)|recipient\(s\)", re.IGNORECASE)
_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)$")


def is_report(mail: Mail) -> bool:
    """Whether a mail system says in it what became of a mail."""
    if mail.report_type in ("feedback-report", "disposition-notification"):
        return False
    if any(part.kind in DELIVERY_STATUS and not part.returned for part in mail.parts):
        return True
    if any(mail.header(name) for name in _REPORT_HEADERS):
        return True
    sender = mail.header("from")
    by_system = bool(_DAEMON.search(sender)) or mail.header("return-path").strip() in ("<>", "<null>")
    if not by_system and not re.search(r"no-?reply|notification", sender, re.IGNORECASE):
        return False
    says_so = bool(_SUBJECT.search(mail.header("subject")))
    fails = bool(_FAILURE.search(notice_of(mail)))
    if _DAEMON.search(sender):
        return says_so or fails or bool(mail.returned_headers)
    return fails and (says_so or bool(mail.returned_headers))


def notice_of(mail: Mail) -> str:
    """Return what the report says to people, without the mail that came back."""
    text = "\n".join(
        part.text for part in mail.parts if part.kind == "text/plain" and not part.returned and part.text.strip()
    )
    if not text.strip():
        text = text_of(sanitised(mail.html))
    found = _COPY_BEGINS.search(text, 1)
    return text[: found.start()] if found and text[: found.start()].strip() else text


def returned_text(mail: Mail) -> str:
    """Return all that came back of the mail the report is about, wherever it stands in the report."""
    text = mail.plain
    found = _COPY_BEGINS.search(text, 1)
    below = text[found.start() :] if found else ""
    return "\n".join([*(f"{name}: {value}" for name, value in mail.returned_headers), below])


def undelivered(mail: Mail) -> list[Undelivered]:
    """Return what the report says about each address; an entry without an address when it names none."""
    notice = notice_of(mail)[: 4 * SAID_AT_MOST]
    found = list(_of_fields(mail, notice)) or list(_of_provider(notice)) or list(_of_text(mail, notice))
    found = [replace(one, subject=mail.header("subject")) for one in found] if len(found) == 1 else found
    named = [one for one in found if one.address]
    if not named:
        whole = found[0] if found else Undelivered(address=None, action="", status="", said=notice, notice=notice)
        addresses = _other_addresses(mail)
        named = [replace(whole, address=addresses[0] if addresses else None)]
    return named[:RECIPIENTS_AT_MOST]


def _of_fields(mail: Mail, notice: str) -> Iterator[Undelivered]:
    texts = [part.text for part in mail.parts if part.kind in DELIVERY_STATUS and not part.returned]
    if not texts and "final-recipient:" in mail.plain.lower():  # the boundaries were lost, or there never were any
        texts = [mail.plain]
    for text in texts:
        shared: dict[str, str] = {}
        for block in _blocks(text):
            recipient = (
                block.get("final-recipient") or block.get("original-recipient") or block.get("x-actual-recipient")
            )
            if recipient is None and "status" not in block and "action" not in block:
                shared |= block
                continue
            address = _address_of(block)
            diagnostics = _diagnostics(block, address)
            about = words_about(notice, address)
            yield Undelivered(
                address=address,
                action=block.get("action", "").split(" ")[0].strip("().;,").lower(),
                status=_status(block.get("status", "")),
                said=diagnostics.strip() or about,
                notice=about or notice,
                command=command_in(f"{diagnostics}\n{about or notice}"),
            )


def _blocks(text: str) -> Iterator[dict[str, str]]:
    block: dict[str, str] = {}
    name = ""
    for line in [*text.split("\n"), ""]:
        if not line.strip():
            if block:
                yield block
            block, name = {}, ""
        elif line[0] in " \t" and name:
            block[name] += " " + line.strip()
        elif found := _FIELD.match(line):
            name = found[1].lower()
            value = found[2].strip()
            block[name] = f"{block[name]} {value}" if name == "diagnostic-code" and name in block else value


def _diagnostics(block: dict[str, str], address: str | None) -> str:
    """Return the mail server's words; of several for several people, those that name this address."""
    found = f"{block.get('diagnostic-code', '')} {block.get('x-supplementary-info', '')}".strip()
    if address and len(several := re.split(r"\s(?=smtp;)", found, flags=re.IGNORECASE)) > 1:
        return next((one for one in several if address in one.lower()), found)
    return found


def _of_provider(notice: str) -> Iterator[Undelivered]:
    """Read the notification of a sending service that came as JSON in a mail, wrapped at any place."""
    for address, more in _BOUNCED.findall(notice):
        fields = dict(_JSON_FIELD.findall(more))
        said = fields.get("diagnosticCode", "")
        found = addresses_in(address)
        yield Undelivered(
            address=found[0] if found else None,
            action=fields.get("action", "").lower(),
            status=_status(fields.get("status", "")),
            said=said,
            notice=said,
        )


def _address_of(block: dict[str, str]) -> str | None:
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        value = block.get(name, "").rpartition(";")[2].strip()
        if found := addresses_in(value):
            return found[0]
    for name in ("final-recipient", "original-recipient", "x-actual-recipient"):
        if found := addresses_in(block.get(name, "")):
            return found[-1]
    return None


def _status(value: str) -> str:
    found = re.search(r"[245]\.\d{1,3}\.\d{1,3}", value)
    return found[0] if found else ""


def _of_text(mail: Mail, notice: str) -> Iterator[Undelivered]:
    failed = [address for value in mail.all("x-failed-recipients") for address in addresses_in(value)]
    own = _own_addresses(mail)
    begins = _THE_FOLLOWING.search(notice)
    mentioned = people_in(notice[begins.start() :] if begins else notice) or people_in(notice)
    # A mail to oneself comes back to oneself.
    names = failed or [name for name in mentioned if name not in own] or mentioned[:1]
    for address in names:
        about = words_about(notice, address) or notice
        yield Undelivered(
            address=address,
            action="",
            status="",
            said=about,
            notice=notice,
            command=command_in(about) or command_in(notice),
        )
    if not names:
        yield Undelivered(address=None, action="", status="", said=notice, notice=notice, command=command_in(notice))


def _own_addresses(mail: Mail) -> set[str]:
    """Return the addresses of whoever sent the mail, and of the report itself."""
    own = {
        address
        for name in ("to", "from", "delivered-to", "x-original-to", "return-path", "reply-to", "sender")
        for address in mail.addresses(name)
    }
    for name in ("from", "return-path", "sender", "reply-to"):
        own |= set(addresses_in(mail.returned_header(name)))
    return own


def _other_addresses(mail: Mail) -> list[str]:
    """Return whom the returned mail was written to: the last resort."""
    found = [a for name in ("to", "cc") for a in addresses_in(mail.returned_header(name))]
    if not found:
        below = re.findall(r"(?im)^to:[ \t]*(.+)$", returned_text(mail))
        found = [address for value in below for address in addresses_in(value)]
    own = set(mail.addresses("from"))
    return [address for address in found if address not in own]


def original_ids(mail: Mail) -> Sequence[str]:
    """Return the text in which the report may name the mail it is about: headers, fields, words."""
    return [
        returned_text(mail),
        *(part.text for part in mail.parts if part.returned or part.kind.startswith("message/")),
        mail.header("in-reply-to"),
        mail.header("references"),
        notice_of(mail),
    ]
