"""Signing a finished mail with a key of the sender's domain: DKIM, RSA with SHA-256, relaxed in header and body.

Each signed header is named once more than it occurs, so that nobody can add another one without breaking the
signature; both headers of the one-click opt-out are among them, as mail providers demand.

Source: RFC 6376 3.4, 3.5, 3.7, 5.4 and 8.15; RFC 8058 4.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SIGNED_HEADERS: Final = (
    *("from", "reply-to", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references"),
    *("list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type", "content-transfer-encoding"),
)

_SELECTOR: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_BLANK: Final = re.compile(rb"[ \t]+")
_FOLD: Final = re.compile(rb"\r\n(?=[ \t])")
_B64_LINE: Final = 72


@dataclass(frozen=True)
class Signer:
    """A private key (PEM) and where its public half is published: `selector`._domainkey.`domain`."""

    domain: str
    selector: str
    private_key: str = field(repr=False)

    @cached_property
    def _key(self) -> RSAPrivateKey:
        # Made by us and sealed since: checking its primes anew would cost more than the signature.
        key = load_pem_private_key(self.private_key.encode(), None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, RSAPrivateKey)
        return key

    def signed(self, mail: bytes) -> bytes:
        """Return the mail with its signature on top. `mail` has CRLF line ends and is not changed by it.

        The same mail gives the same bytes.
        """
        head, _, body = mail.partition(b"\r\n\r\n")
        present: dict[str, list[bytes]] = {}
        for line in _FOLD.sub(b"", head).split(b"\r\n"):
            written, _, content = line.partition(b":")
            present.setdefault(written.strip().decode("ascii").lower(), []).append(content)
        names: list[str] = []
        signed: list[bytes] = []
        for name in SIGNED_HEADERS:
            contents = present.get(name, [])
            names += [name] * (len(contents) + 1)
            signed += [_relaxed_header(name, content) for content in reversed(contents)]  # from the bottom up
        body_hash = b64encode(sha256(_relaxed_body(body)).digest()).decode()
        value = (
            f" v=1; a=rsa-sha256; c=relaxed/relaxed; d={self.domain};\r\n s={self.selector};\r\n"
            f" h={_folded_names(names)};\r\n bh={body_hash};\r\n b="
        )
        unsigned = _relaxed_header("dkim-signature", _FOLD.sub(b"", value.encode())).removesuffix(b"\r\n")
        made = b64encode(self._key.sign(b"".join(signed) + unsigned, PKCS1v15(), SHA256())).decode()
        folded = "\r\n ".join(made[at : at + _B64_LINE] for at in range(0, len(made), _B64_LINE))
        return f"DKIM-Signature:{value}{folded}\r\n".encode() + mail


def record_name(domain: str, selector: str) -> str:
    """Return the name of the DNS record under which a public key is looked up."""
    return f"{selector}._domainkey.{domain}"


def record_value(public_key: str) -> str:
    """Return the text of the DNS record of a public key, which is given as base64 of its DER form."""
    return f"v=DKIM1; k=rsa; p={public_key}"


def is_selector(text: str) -> bool:
    """Return whether this can be a selector: one label of lower-case letters, digits and hyphens."""
    return _SELECTOR.fullmatch(text) is not None


def covers(domain: str, address_domain: str) -> bool:
    """Return whether a signature of `domain` speaks for addresses of `address_domain`: the same, or above it."""
    return address_domain == domain or address_domain.endswith(f".{domain}")


def _relaxed_header(name: str, value: bytes) -> bytes:
    return name.encode() + b":" + _BLANK.sub(b" ", value).strip(b" ") + b"\r\n"


def _relaxed_body(body: bytes) -> bytes:
    lines = [_BLANK.sub(b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def _folded_names(names: list[str]) -> str:
    lines = [names[0]]
    for name in names[1:]:
        if len(lines[-1]) + len(name) < _B64_LINE:
            lines[-1] += f":{name}"
        else:
            lines.append(name)
    return ":\r\n ".join(lines)
