"""The public keys of the identity provider: fetched from the one address that the operator set, kept, fetched anew when
they are old or a token names an unknown one. What a token says of other addresses is never followed.

Source: RFC 7517; reliability.md 2.20 (no redirect, bounded in time and size).
"""

import asyncio
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from email.message import Message
from typing import IO, Any, Final

import orjson
from jwt import PyJWK
from jwt.exceptions import PyJWTError

log = logging.getLogger("relance.auth")

FRESH_SECONDS: Final = 300.0
STALE_AT_MOST_SECONDS: Final = 3_600.0  # how long old keys count while new ones cannot be fetched
ASKED_AT_MOST_EVERY_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_TOGETHER_SECONDS: Final = 10.0
_BYTES_AT_MOST: Final = 256 * 1024
_KEYS_AT_MOST: Final = 100
_RSA_BITS_AT_LEAST: Final = 2048
_KIND_OF: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeySetUnreachable(Exception):
    """The identity provider's keys cannot be fetched. Not the caller's fault: it may try again."""


class KeySet:
    """The keys at one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: Sequence[Mapping[str, Any]] = ()
        self._fetched_at: float | None = None  # of the monotonic clock
        self._tried_at: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """Return the key of this id that is meant for the algorithm; without an id, the only one; None: there is none.

        Raises:
            KeySetUnreachable
        """
        if self._age() > FRESH_SECONDS:
            await self._fetch()
        found = self._match(key_id, algorithm)
        if found is None:
            await self._fetch()  # the provider may have changed its keys
            found = self._match(key_id, algorithm)
        return found

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else time.monotonic() - self._fetched_at

    async def _fetch(self) -> None:
        async with self._one_at_a_time:
            tried_at, now = self._tried_at, time.monotonic()
            if tried_at is None or now - tried_at >= ASKED_AT_MOST_EVERY_SECONDS:
                self._tried_at = now
                try:
                    text = await asyncio.wait_for(asyncio.to_thread(_read, self._url), _TOGETHER_SECONDS + 1)
                    self._keys, self._fetched_at = _keys_in(text), now
                except (OSError, ValueError) as problem:  # TimeoutError is an OSError
                    log.warning("the keys of the identity provider were not fetched", exc_info=problem)
            if self._age() > STALE_AT_MOST_SECONDS:
                raise KeySetUnreachable

    def _match(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        found = []
        for each in self._keys:
            if key_id is not None and each.get("kid") != key_id:
                continue
            if each.get("kty") != _KIND_OF.get(algorithm[:2]) or each.get("alg", algorithm) != algorithm:
                continue
            try:
                key = PyJWK(dict(each), algorithm=algorithm)
            except (PyJWTError, ValueError, TypeError):
                continue
            if getattr(key.key, "key_size", _RSA_BITS_AT_LEAST) >= _RSA_BITS_AT_LEAST or each["kty"] != "RSA":
                found.append(key)
        return found[0] if len(found) == 1 else None


def _keys_in(text: bytes) -> Sequence[Mapping[str, Any]]:
    keys = (orjson.loads(text) or {}).get("keys")
    if not isinstance(keys, list):
        raise ValueError("the answer is no key set")
    return [one for one in keys[:_KEYS_AT_MOST] if isinstance(one, dict) and one.get("use", "sig") == "sig"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        fp.close()
        raise OSError(f"it redirects ({code}), which is not followed")


def _read(url: str) -> bytes:
    end_at = time.monotonic() + _TOGETHER_SECONDS
    text = bytearray()
    request = urllib.request.Request(url, headers={"accept": "application/json"})
    try:
        opened = urllib.request.build_opener(_NoRedirect).open(request, timeout=_CONNECT_SECONDS)
    except urllib.error.HTTPError as problem:
        problem.close()
        raise
    with opened as answer:
        while part := answer.read1(65_536):
            text += part
            if len(text) > _BYTES_AT_MOST or time.monotonic() > end_at:
                raise OSError("the answer is too long")
    return bytes(text)
