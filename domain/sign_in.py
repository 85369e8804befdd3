"""How people sign in: by tokens (JWT) of an identity provider that whoever runs Relance has named.

Source: api.md "Auth"; `.env.example` explains each setting.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Whose tokens are believed, and where in them what stands. Exactly one of `jwks_url` and `secret` is set."""

    issuer: str
    audience: str
    jwks_url: str | None = None
    secret: bytes | None = None
    workspace_claim: str = "workspace"
    role_claim: str = "role"


def problem_of_jwks_url(url: str) -> str | None:
    """Return what is wrong with the address of a key set: it must be HTTPS, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    here = host in ("localhost", "127.0.0.1", "::1")
    if host and "@" not in parts.netloc and (parts.scheme == "https" or (parts.scheme == "http" and here)):
        return None
    return "it must be like https://login.example.com/.well-known/jwks.json"
