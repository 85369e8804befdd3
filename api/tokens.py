"""People's tokens (JWT): who is meant, in which workspace, with which role.

The algorithms are those of the kind of key that is configured, never what the token chooses: a shared secret checks HS
tokens only, a key set never does.

Source: RFC 7519, RFC 8725 (best current practices); api.md "Auth".
"""

import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import jwt

from api.context import Caller
from api.key_set import KeySet
from domain import keys, users
from domain.refusals import Refusal
from domain.rules.access import ROLE_SCOPES, Role
from domain.rules.actor import Actor, ActorKind
from domain.rules.addresses import EmailInvalid, normalise_email
from domain.rules.ids import IdMalformed, Prefix, from_public
from domain.sign_in import SignIn
from domain.users import User

_LENGTH_LIMIT: Final = 8_192
_LEEWAY_SECONDS: Final = 10  # for clocks that differ
_OF_SECRETS: Final = ("HS256", "HS384", "HS512")
_OF_KEY_SETS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


class TokenRefused(Exception):
    """The token opens nothing; the sentence says why."""


class Tokens:
    """Checks tokens and finds whom they mean."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._key_set = KeySet(sign_in.jwks_url) if sign_in.jwks_url else None

    async def caller(self, token: str) -> tuple[Caller, float]:
        """Return who calls with the token, and for how many seconds it is still good.

        Raises:
            TokenRefused, KeySetUnreachable
        """
        claims = await self._claims(token)
        workspace_id = _workspace(claims.get(self._sign_in.workspace_claim), self._sign_in.workspace_claim)
        role = _role(claims.get(self._sign_in.role_claim))
        try:
            workspace_name = await keys.workspace_name(workspace_id)
            user = await users.of_subject(workspace_id, claims["sub"], _name(claims), _email(claims), role)
        except Refusal as refusal:
            raise TokenRefused(refusal.message) from None
        if user.deactivated_at is not None:
            raise TokenRefused("This person was deactivated in this workspace. Ask an administrator.")
        lasts = float(claims["exp"]) + _LEEWAY_SECONDS - time.time()
        return _caller(workspace_id, workspace_name, user), lasts

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > _LENGTH_LIMIT:
            raise TokenRefused("This token is too long.")
        allowed = _OF_SECRETS if self._key_set is None else _OF_KEY_SETS
        try:
            header = jwt.get_unverified_header(token)
            algorithm = str(header.get("alg"))
            if algorithm not in allowed:
                raise TokenRefused("This token is not signed as the operator of Relance has configured.")
            return jwt.decode(
                token,
                await self._key(header, algorithm),
                algorithms=[algorithm],
                audience=self._sign_in.audience,
                issuer=self._sign_in.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("This token has expired. Sign in again.") from None
        except jwt.ImmatureSignatureError:
            raise TokenRefused("This token is not good yet. The clock of whoever made it may be wrong.") from None
        except jwt.InvalidAudienceError:
            raise TokenRefused("This token was made for another audience.") from None
        except jwt.InvalidIssuerError:
            raise TokenRefused("This token was made by another issuer.") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise TokenRefused("This token is not valid.") from None

    async def _key(self, header: Mapping[str, Any], algorithm: str) -> Any:
        if self._key_set is None:
            return self._sign_in.secret
        key_id = header.get("kid")
        found = await self._key_set.find(key_id if isinstance(key_id, str) else None, algorithm)
        if found is None:
            raise TokenRefused("This token is signed with a key that the identity provider does not publish.")
        return found.key


def _caller(workspace_id: UUID, workspace_name: str, user: User) -> Caller:
    return Caller(
        workspace_id=workspace_id,
        workspace_name=workspace_name,
        actor=Actor(ActorKind.USER, user.id),
        name=user.name,
        scopes=ROLE_SCOPES[user.role],
    )


def _workspace(text: object, claim: str) -> UUID:
    try:
        prefix, key = from_public(text) if isinstance(text, str) else (None, None)
    except IdMalformed:
        prefix, key = None, None
    if prefix is not Prefix.WORKSPACE or key is None:
        raise TokenRefused(f"This token names no workspace: its claim “{claim}” must be an id such as wsp_….")
    return key


def _role(text: object) -> Role | None:
    if text is None:
        return None
    if isinstance(text, str) and text.upper() in Role.__members__:
        return Role(text.upper())
    raise TokenRefused(f"The role in this token is none of {', '.join(Role)}.")


def _name(claims: Mapping[str, Any]) -> str:
    for claim in ("name", "preferred_username", "email", "sub"):
        text = claims.get(claim)
        if isinstance(text, str) and (name := "".join(one for one in text if one.isprintable()).strip()):
            return name[:200]
    return "A user"


def _email(claims: Mapping[str, Any]) -> str | None:
    text = claims.get("email")
    try:
        return normalise_email(text) if isinstance(text, str) else None
    except EmailInvalid:
        return None
