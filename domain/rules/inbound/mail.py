"""A raw mail taken apart: its headers, its readable parts, its text. Never raises, whatever the bytes are.

A mail over a limit is read as far as the limit goes rather than refused: a reply with a large attachment is a reply.
Line ends may be CRLF, LF or CR alone; bytes without a charset are read as UTF-8, then as Latin-1.

Source: RFC 5322, RFC 2045 to 2047; reliability.md 2.7 and 2.10.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses
from typing import Final

BYTES_AT_MOST: Final = 25 * 1024 * 1024
HEADER_BYTES_AT_MOST: Final = 256 * 1024
PARTS_AT_MOST: Final = 200
DEPTH_AT_MOST: Final = 20
TEXT_AT_MOST: Final = 256 * 1024
"""Characters of one part that are looked at."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_ADDRESS: Final = re.compile(r"[^\s<>()\[\],;:\"']{1,256}@[^\s<>()\[\],;:\"']{1,256}")
_MESSAGE_ID: Final = re.compile(r"<[^<>\s]{1,398}>")
_HEADER_LINE: Final = re.compile(rb"[!-9;-~]+[ \t]*:")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a mail that is no container. `text` is what it says, "" for attachments and images."""

    kind: str  # its media type in lower case
    text: str
    returned: bool  # inside a message/rfc822: what came back, not what the sender says
    attached: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail taken apart. Header names are in lower case; values are decoded and on one line."""

    headers: Sequence[tuple[str, str]]
    kind: str
    report_type: str
    parts: Sequence[Part]
    returned_headers: Sequence[tuple[str, str]]  # of the first mail inside it

    def header(self, name: str) -> str:
        """Return the first header of this name; "" when there is none."""
        return next((value for found, value in self.headers if found == name), "")

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def returned_header(self, name: str) -> str:
        return next((value for found, value in self.returned_headers if found == name), "")

    def addresses(self, *names: str) -> list[str]:
        """Return the addresses in the headers of these names, in lower case."""
        return [address for name in names for value in self.all(name) for address in addresses_in(value)]

    def texts(self, *kinds: str) -> list[str]:
        return [part.text for part in self.parts if part.kind in kinds]

    @property
    def plain(self) -> str:
        """The text of the plain parts that the sender wrote, attachments aside."""
        return self._said("text/plain")

    @property
    def html(self) -> str:
        return self._said("text/html")

    def _said(self, kind: str) -> str:
        return "\n".join(
            part.text for part in self.parts if part.kind == kind and not part.returned and not part.attached
        )


def parse(raw: bytes) -> Mail:
    """Return the mail taken apart; one without headers and parts when the bytes are no mail at all."""
    message = BytesParser(policy=compat32).parsebytes(_within_limits(raw))
    parts: list[Part] = []
    returned: list[tuple[str, str]] = []
    for part, inside in _walk(message):
        if part.get_content_type() == "message/rfc822" and not returned:
            inner = part.get_payload() if part.is_multipart() else None
            if isinstance(inner, list) and inner and isinstance(inner[0], Message):
                returned.extend(_headers(inner[0]))
        if not _is_container(part):
            parts.append(_part(part, inside))
    if not any(part.text.strip() for part in parts):  # its boundaries are lost: all of it stands before the first
        parts.append(Part("text/plain", _outside(message), False, False))
    if not returned:
        returned.extend(
            pair
            for p in parts
            if p.kind in ("text/rfc822-headers", "text/rfc822-header", "message/rfc822-headers")
            for pair in _lines(p.text)
        )
    report_type = _parameter(message, "report-type").lower()
    return Mail(_headers(message), message.get_content_type(), report_type, parts, returned)


def addresses_in(value: str) -> list[str]:
    """Return the mail addresses in a header's value, in lower case and in order."""
    try:
        found = [address for _, address in getaddresses([value]) if "@" in address]
    except Exception:  # the library stumbles over some of what strangers write
        found = []
    found = [address for address in found if _ADDRESS.fullmatch(address)] or _ADDRESS.findall(value)
    return [address.strip(".").lower() for address in found]


def message_ids(value: str) -> list[str]:
    """Return the identifiers in a header such as References, in order, with their brackets."""
    found = _MESSAGE_ID.findall(value)
    bare = value.strip()
    return found or ([f"<{bare}>"] if "@" in bare and len(bare) < 398 and not re.search(r"[\s<>]", bare) else [])


def storable(text: str) -> str:
    """Return the text without what a database cannot hold: NUL and lone surrogates."""
    return _UNSTORABLE.sub("\ufffd", text)


def _within_limits(raw: bytes) -> bytes:
    kept = raw[:BYTES_AT_MOST].replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n")
    if kept.startswith((b"From ", b">From ")):  # the separator of an mbox file
        kept = kept.partition(b"\n")[2]
    head, blank, body = kept.partition(b"\n\n")
    if len(head) > HEADER_BYTES_AT_MOST:
        head = head[:HEADER_BYTES_AT_MOST].rpartition(b"\n")[0]
    if not _HEADER_LINE.match(head):
        return b""
    return head + (blank or b"\n\n") + body


def _walk(message: Message) -> Iterator[tuple[Message, bool]]:
    """Yield the message and what is in it, in order, and whether it is inside a returned mail."""
    waiting: list[tuple[Message, int, bool]] = [(message, 0, False)]
    for _ in range(PARTS_AT_MOST):
        if not waiting:
            return
        part, depth, inside = waiting.pop()
        yield part, inside
        payload = part.get_payload() if part.is_multipart() else None
        if isinstance(payload, list) and depth < DEPTH_AT_MOST and _is_container(part):
            within = inside or part.get_content_type() == "message/rfc822"
            waiting.extend((inner, depth + 1, within) for inner in reversed(payload) if isinstance(inner, Message))


def _is_container(part: Message) -> bool:
    return part.get_content_maintype() == "multipart" or part.get_content_type() in ("message/rfc822", "message/global")


def _part(part: Message, returned: bool) -> Part:
    kind = part.get_content_type()
    if kind.startswith("message/"):
        return Part(kind, storable(_as_lines(part))[:TEXT_AT_MOST], returned, False)
    if not kind.startswith("text/"):
        return Part(kind, "", returned, True)
    attached = str(part.get("content-disposition", "")).strip().lower().startswith("attachment")
    return Part(kind, storable(_decoded(part))[:TEXT_AT_MOST], returned, attached)


def _outside(message: Message) -> str:
    """Return what stands outside the parts of a multipart message."""
    inside = "" if message.is_multipart() else _decoded(message)
    found = [text for text in (message.preamble, inside, message.epilogue) if isinstance(text, str)]
    return storable("\n".join(found))[:TEXT_AT_MOST]


def _as_lines(part: Message) -> str:
    """Return the fields of a machine-readable report as they stood: the parser takes them for headers."""
    payload = part.get_payload() if part.is_multipart() else None
    if not isinstance(payload, list):
        return _decoded(part)
    blocks = []
    for block in payload[:PARTS_AT_MOST]:
        if isinstance(block, Message):
            lines = [f"{name}: {value}" for name, value in _headers(block)]
            inner = "" if block.is_multipart() else _decoded(block)
            blocks.append("\n".join(lines) + ("\n" + inner if inner.strip() else ""))
    return "\n\n".join(blocks)


def _decoded(part: Message) -> str:
    try:
        payload = part.get_payload(decode=True)
    except Exception:  # what it says of its own encoding or charset is nonsense
        payload = None
    if not isinstance(payload, bytes):
        raw = part._payload  # type: ignore[attr-defined]
        return raw if isinstance(raw, str) else ""
    return _text(payload[: 4 * TEXT_AT_MOST], _parameter(part, "charset"))


def _text(octets: bytes, charset: str) -> str:
    for name in (charset, "utf-8"):
        try:
            if name and codecs.lookup(name):
                return octets.decode(name)
        except (LookupError, UnicodeError, ValueError):
            continue
    if charset:
        try:
            text = octets.decode(charset, "replace")
            if text.count("\ufffd") * 50 <= len(text):
                return text
        except (LookupError, UnicodeError, ValueError):
            pass
    return octets.decode("latin-1")


def _parameter(message: Message, name: str) -> str:
    try:
        found = message.get_param(name)
    except Exception:
        return ""
    return str(found[2] if isinstance(found, tuple) else found or "").strip().strip("\"'")


def _headers(message: Message) -> list[tuple[str, str]]:
    return [(name.lower(), _value(value)) for name, value in message.raw_items()]


def _lines(text: str) -> list[tuple[str, str]]:
    """Return the headers in a part that holds nothing else."""
    unfolded = re.sub(r"\n[ \t]+", " ", text.split("\n\n", 1)[0] if text[:1] != "\n" else text.strip().split("\n\n")[0])
    found = []
    for line in unfolded.split("\n"):
        name, colon, value = line.partition(":")
        if colon and name.strip() and " " not in name.strip():
            found.append((name.strip().lower(), _value(value)))
    return found


def _value(value: object) -> str:
    text = " ".join(line.strip() for line in str(value).split("\n")).strip()
    if not text.isascii():
        try:
            octets = text.encode("ascii", "surrogateescape")
            text = _text(octets, "")
        except UnicodeError:
            pass
    if "=?" in text:
        text = _words(text)
    return storable(text)


def _words(text: str) -> str:
    """Return the text with its encoded-words read."""
    try:
        pieces = decode_header(text)
    except Exception:
        return text
    return "".join(piece if isinstance(piece, str) else _text(piece, charset or "") for piece, charset in pieces)
