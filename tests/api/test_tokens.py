"""People's tokens: whom they mean, and every way in which one is not believed."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api import key_set
from api.server_parts import ServerParts
from domain import keys, users
from domain.rules.access import Role
from domain.rules.ids import Prefix, new_id, to_public
from domain.settings import Settings, SettingsInvalid, read_settings
from domain.sign_in import SignIn
from tests.api.conftest import PATIENCE_SECONDS, SECRET_KEY, Api, serving

ISSUER, AUDIENCE = "https://login.example/", "relance"
SHARED = b"a secret of thirty-two bytes or more"
RSA_KEY, OTHER_RSA_KEY = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC_KEY, ED_KEY = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
_ALGORITHMS = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}


def _jwk(key: Any, algorithm: str, key_id: str) -> dict[str, Any]:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": key_id, "alg": algorithm, "use": "sig"}


class Provider:
    """An identity provider: its keys on a local port, and how often it was asked."""

    def __init__(self) -> None:
        self.keys = [_jwk(RSA_KEY, "RS256", "rsa"), _jwk(EC_KEY, "ES256", "ec"), _jwk(ED_KEY, "EdDSA", "ed")]
        self.asked = 0
        self.redirects_to: str | None = None
        provider = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                if provider.redirects_to and self.path == "/keys":
                    self.send_response(302)
                    self.send_header("location", provider.redirects_to)
                    self.end_headers()
                    return
                body = json.dumps({"keys": provider.keys}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.stop()


async def _serving(settings: Settings, sign_in: SignIn) -> AsyncIterator[Api]:
    async with serving(replace(settings, sign_in=sign_in)) as running:
        process: ServerParts = running.config.app.state.process  # type: ignore[union-attr]
        workspace_id = await keys.create_workspace("Acme")
        key = await keys.create(workspace_id, "tests")
        url = f"http://127.0.0.1:{running.config.port}"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
            yield Api(url, process, workspace_id, key, http)


@pytest.fixture
async def signed(settings: Settings, provider: Provider) -> AsyncIterator[Api]:
    async for api in _serving(settings, SignIn(issuer=ISSUER, audience=AUDIENCE, jwks_url=provider.url)):
        yield api


@pytest.fixture
async def shared(settings: Settings) -> AsyncIterator[Api]:
    async for api in _serving(settings, SignIn(issuer=ISSUER, audience=AUDIENCE, secret=SHARED)):
        yield api


def claims(api: Api, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "idp|ada",
        "name": "Ada",
        "email": "ada@example.org",
        "workspace": to_public(Prefix.WORKSPACE, api.workspace_id),
        "role": "member",
        "iat": now,
        "exp": now + 300,
    } | more
    return {name: value for name, value in given.items() if value is not None}


def token(given: dict[str, Any], key: Any = RSA_KEY, algorithm: str = "RS256", key_id: str | None = "rsa") -> str:
    return jwt.encode(given, key, algorithm, headers={"kid": key_id} if key_id else None)


async def ask(api: Api, secret: str, query: str = "{ viewer { user { id name email role } scopes } }") -> Any:
    return (await api.post(query, authorization=f"Bearer {secret}")).json()


async def refused(api: Api, secret: str) -> str:
    response = await api.post("{ viewer { scopes } }", authorization=f"Bearer {secret}")
    assert response.status_code == 401, response.text
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    sentence: str = error["message"]
    return sentence


async def test_a_person_is_created_at_first_sight_and_acts_under_its_name(signed: Api) -> None:
    answer = await ask(signed, token(claims(signed)))
    viewer = answer["data"]["viewer"]
    (user,) = await users.list_users(signed.workspace_id)
    assert viewer["user"] == {
        "id": to_public(Prefix.USER, user.id),
        "name": "Ada",
        "email": "ada@example.org",
        "role": "MEMBER",
    }
    assert "recipients:write" in viewer["scopes"]
    assert "admin" not in viewer["scopes"]
    made = await ask(
        signed, token(claims(signed)), 'mutation { sequenceCreate(input: {name: "Hers"}) { errors { code } } }'
    )
    assert made["data"]["sequenceCreate"]["errors"] == []
    trail = await signed.ask("{ auditTrail { nodes { action actor { kind name id } } } }")
    actor = {"kind": "USER", "name": "Ada", "id": to_public(Prefix.USER, user.id)}
    assert trail["auditTrail"]["nodes"] == [{"action": "sequenceCreate", "actor": actor}]
    assert (await ask(signed, signed.key.secret))["data"]["viewer"]["user"] is None  # keys go on working


@pytest.mark.parametrize(("key_id", "key"), [("rsa", RSA_KEY), ("ec", EC_KEY), ("ed", ED_KEY)])
async def test_each_kind_of_published_key_is_believed(signed: Api, key_id: str, key: Any) -> None:
    assert "data" in await ask(signed, token(claims(signed), key, _ALGORITHMS[key_id], key_id))


async def test_a_shared_secret_is_believed_too(shared: Api) -> None:
    for algorithm in ("HS256",):
        assert "data" in await ask(shared, token(claims(shared), SHARED, algorithm, None))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"exp": int(time.time()) - 3_600, "iat": int(time.time()) - 7_200}, "expired"),
        ({"nbf": int(time.time()) + 3_600}, "not good yet"),
        ({"iat": int(time.time()) + 3_600, "exp": int(time.time()) + 7_200}, "not good yet"),
        ({"aud": "another"}, "another audience"),
        ({"iss": "https://elsewhere.example/"}, "another issuer"),
        ({"aud": None}, "not valid"),
        ({"iss": None}, "not valid"),
        ({"exp": None}, "not valid"),
        ({"sub": None}, "not valid"),
        ({"sub": ""}, "A subject has 1 to 255"),
        ({"workspace": None}, "names no workspace"),
        ({"workspace": "acme"}, "names no workspace"),
        ({"workspace": to_public(Prefix.WORKSPACE, new_id())}, "does not exist"),
        ({"workspace": to_public(Prefix.SEQUENCE, new_id())}, "names no workspace"),
        ({"role": "owner"}, "none of VIEWER, MEMBER, ADMIN"),
        ({"role": ["ADMIN"]}, "none of VIEWER, MEMBER, ADMIN"),
    ],
)
async def test_a_token_that_says_the_wrong_thing_is_refused(signed: Api, more: dict[str, Any], words: str) -> None:
    assert words in await refused(signed, token(claims(signed, **more)))
    assert not await users.list_users(signed.workspace_id)


def _by_hand(header: dict[str, Any], given: dict[str, Any], secret: bytes | None) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (header, given)]
    signing = b".".join(parts)
    signature = hmac.new(secret, signing, hashlib.sha256).digest() if secret is not None else b""
    return (signing + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


async def test_a_token_chooses_neither_its_algorithm_nor_its_key(signed: Api) -> None:
    good = claims(signed)
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    forged = [
        _by_hand({"alg": "none", "typ": "JWT"}, good, None),
        _by_hand({"alg": "None", "kid": "rsa"}, good, None),
        *(_by_hand({"alg": "HS256", "kid": "rsa"}, good, secret) for secret in (pem, pem.strip(), der, b"")),
        token(good, OTHER_RSA_KEY),  # signed by somebody else under a known id
        token(good, OTHER_RSA_KEY, key_id=None),
        token(good, RSA_KEY, "RS512"),  # the key is published for RS256
        token(good, RSA_KEY, key_id="ec"),
        jwt.encode(good, OTHER_RSA_KEY, "RS256", headers={"jwk": _jwk(OTHER_RSA_KEY, "RS256", "x")}),
        jwt.encode(good, OTHER_RSA_KEY, "RS256", headers={"jku": "http://127.0.0.1:1/keys", "kid": "x"}),
        token(good)[:-4] + "AAAA",
        "x." * 2 + "x",
        "a.b",
        "x" * 9_000,
    ]
    for secret in forged:
        sentence = await refused(signed, secret.encode().decode("latin-1"))
        assert "Traceback" not in sentence
    assert not await users.list_users(signed.workspace_id)


async def test_with_a_shared_secret_no_other_kind_of_token_is_believed(shared: Api) -> None:
    for secret in (
        token(claims(shared)),
        _by_hand({"alg": "none"}, claims(shared), None),
        token(claims(shared), b"another secret of thirty-two bytes", "HS256", None),
    ):
        await refused(shared, secret)


async def test_a_new_key_of_the_provider_is_fetched_and_a_withdrawn_one_is_not_believed_for_long(
    signed: Api, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "ASKED_AT_MOST_EVERY_SECONDS", 0.0)
    assert "data" in await ask(signed, token(claims(signed)))
    assert "data" in await ask(signed, token(claims(signed, jti="2")))
    assert provider.asked == 1
    await refused(signed, token(claims(signed), OTHER_RSA_KEY, key_id="new"))
    provider.keys = [_jwk(OTHER_RSA_KEY, "RS256", "new")]
    assert "data" in await ask(signed, token(claims(signed, jti="3"), OTHER_RSA_KEY, key_id="new"))
    assert "does not publish" in await refused(signed, token(claims(signed, jti="4")))


async def test_unknown_keys_do_not_make_us_ask_the_provider_again_and_again(signed: Api, provider: Provider) -> None:
    for number in range(20):
        await refused(signed, token(claims(signed, jti=str(number)), OTHER_RSA_KEY, key_id=f"made-up-{number}"))
    assert provider.asked == 1


async def test_no_redirect_is_followed_and_the_fault_is_ours(signed: Api, provider: Provider) -> None:
    provider.redirects_to = provider.url.removesuffix("keys") + "elsewhere"
    answer = await ask(signed, token(claims(signed)))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL_SERVER_ERROR"]
    assert provider.asked == 1


async def test_the_known_keys_go_on_while_the_provider_is_away(
    signed: Api, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_set, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(key_set, "ASKED_AT_MOST_EVERY_SECONDS", 0.0)
    assert "data" in await ask(signed, token(claims(signed)))
    provider.redirects_to = "http://127.0.0.1:1/"
    assert "data" in await ask(signed, token(claims(signed, jti="2")))


@pytest.mark.parametrize(
    ("role", "read", "write", "trail"),
    [("VIEWER", True, False, False), ("MEMBER", True, True, False), ("ADMIN", True, True, True)],
)
async def test_a_role_is_a_set_of_scopes(signed: Api, role: str, read: bool, write: bool, trail: bool) -> None:
    secret = token(claims(signed, role=role))
    for allowed, query in (
        (read, "{ sequences { totalCount } }"),
        (write, 'mutation { sequenceCreate(input: {name: "x"}) { errors { code } } }'),
        (trail, "{ auditTrail { totalCount } }"),
    ):
        answer = await ask(signed, secret, query)
        assert ("errors" not in answer) is allowed, answer
        if not allowed:
            assert "Ask an administrator for the role" in answer["errors"][0]["message"]


async def test_a_token_without_a_role_leaves_a_person_the_one_it_has(signed: Api) -> None:
    await users.create(signed.workspace_id, "Bea", external_subject="idp|bea", role=Role.ADMIN)
    viewer = (await ask(signed, token(claims(signed, sub="idp|bea", role=None))))["data"]["viewer"]
    assert (viewer["user"]["name"], viewer["scopes"]) == ("Bea", ["admin"])
    stranger = (await ask(signed, token(claims(signed, role=None))))["data"]["viewer"]
    assert stranger["scopes"] == ["read"]


async def test_a_token_that_ends_and_a_person_who_is_deactivated_end_their_sockets(signed: Api) -> None:
    now = int(time.time())
    ending = token(claims(signed, sub="idp|1", exp=now - 5))  # within the leeway for a few seconds
    going = token(claims(signed, sub="idp|2"))
    async with (
        signed.socket(Authorization=f"Bearer {ending}") as first,
        signed.socket(Authorization=f"Bearer {going}") as second,
        signed.socket() as third,
    ):
        for socket in (first, second, third):
            await socket.start("subscription { recipientEvents { type } }")
        gone = next(one for one in await users.list_users(signed.workspace_id) if one.external_subject == "idp|2")
        await users.deactivate(signed.workspace_id, gone.id)
        for socket in (first, second):
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.message(), 20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403
        await third.start("{ viewer { scopes } }")
        assert (await third.message())["type"] == "next"
    assert "deactivated" in await refused(signed, going)


async def test_without_the_setting_no_token_opens_anything(api: Api) -> None:
    await refused(api, token(claims(api)))


def test_the_settings_of_sign_in_are_checked_together() -> None:
    needed = {
        "DATABASE_URL": "postgresql://x@y/z",
        "REDIS_URL": "redis://x",
        "RELANCE_SECRET_KEY": base64.b64encode(SECRET_KEY).decode(),
    }
    full = {"RELANCE_JWT_ISSUER": ISSUER, "RELANCE_JWT_AUDIENCE": AUDIENCE}
    assert read_settings(needed).sign_in is None
    url = "https://login.example/keys"
    assert read_settings(needed | full | {"RELANCE_JWT_JWKS_URL": url}).sign_in == SignIn(
        issuer=ISSUER, audience=AUDIENCE, jwks_url=url
    )
    for wrong, named in (
        ({"RELANCE_JWT_JWKS_URL": "http://login.example/keys"}, "RELANCE_JWT_JWKS_URL"),
        ({"RELANCE_JWT_JWKS_URL": "file:///etc/passwd"}, "RELANCE_JWT_JWKS_URL"),
        ({"RELANCE_JWT_JWKS_URL": url, "RELANCE_JWT_SECRET": "x" * 40}, "RELANCE_JWT_SECRET"),
        ({"RELANCE_JWT_SECRET": "short"}, "RELANCE_JWT_SECRET"),
        ({"RELANCE_JWT_SECRET": "x" * 40, "RELANCE_JWT_ISSUER": ""}, "RELANCE_JWT_ISSUER"),
        ({"RELANCE_JWT_SECRET": "x" * 40, "RELANCE_JWT_AUDIENCE": ""}, "RELANCE_JWT_AUDIENCE"),
    ):
        with pytest.raises(SettingsInvalid) as refused_:
            read_settings(needed | full | wrong)
        assert [line.split()[0] for line in refused_.value.problems] == [named]
