"""Reading a caught mail, tolerantly: whatever it holds, there is something to show.

Source: RFC 5322, RFC 2047.
"""

import email
import email.policy
import re
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import EmailMessage

_FOLD = re.compile(r"\r?\n[ \t]+")
_WANTED = re.compile(
    r"^(subject|from|to|message-id|in-reply-to|references):[ \t]*(.*?)\r?$", re.MULTILINE | re.IGNORECASE
)
_ID = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True, slots=True)
class Headings:
    """What a list shows of a mail; the ids with their angle brackets, empty when absent."""

    subject: str
    sender: str
    to: str
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is neither the text nor the HTML of the mail."""

    name: str
    media_type: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """A mail taken apart: headers as they came (decoded), both bodies where they exist, and the rest."""

    headers: list[tuple[str, str]]
    text: str | None
    html: str | None
    attachments: list[Attachment]


def read_headings(head: bytes) -> Headings:
    """The headings in the header block `head`, found without taking the mail apart."""
    found: dict[str, str] = {}
    for name, value in _WANTED.findall(_FOLD.sub(" ", head.decode("utf-8", "replace"))):
        found.setdefault(name.lower(), value.strip())
    return Headings(
        subject=_decoded(found.get("subject", "")),
        sender=_decoded(found.get("from", "")),
        to=_decoded(found.get("to", "")),
        message_id=_first_id(found.get("message-id", "")),
        in_reply_to=_first_id(found.get("in-reply-to", "")),
        references=tuple(_ID.findall(found.get("references", ""))),
    )


def open_mail(raw: bytes) -> OpenedMail:
    """The mail taken apart; broken parts come out as well as they can, never as an exception."""
    headers = [
        (name, _decoded(_FOLD.sub(" ", str(value))))
        for name, value in email.message_from_bytes(raw, policy=email.policy.compat32).items()
    ]
    text = html = None
    attachments: list[Attachment] = []
    for part in email.message_from_bytes(raw, policy=email.policy.default).walk():
        if part.is_multipart():
            continue
        media_type, name = part.get_content_type(), _file_name(part)
        if name is None and media_type == "text/plain" and text is None:
            text = _text_of(part)
        elif name is None and media_type == "text/html" and html is None:
            html = _text_of(part)
        else:
            attachments.append(Attachment(name or "(no name)", media_type, len(_bytes_of(part))))
    return OpenedMail(headers, text, html, attachments)


def _decoded(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


def _first_id(value: str) -> str:
    found = _ID.search(value)
    return found[0] if found else ""


def _file_name(part: EmailMessage) -> str | None:
    try:
        return part.get_filename() or ("(no name)" if part.get_content_disposition() == "attachment" else None)
    except (ValueError, LookupError, AttributeError, TypeError):
        return None


def _bytes_of(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text_of(part: EmailMessage) -> str:
    charset = part.get_content_charset() or "utf-8"
    try:
        return _bytes_of(part).decode(charset, "replace")
    except LookupError:
        return _bytes_of(part).decode("utf-8", "replace")
