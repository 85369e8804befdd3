"""A payload as JSON and back, so that a repeat of a mutation can be answered; and what of it the audit trail keeps.

A payload holds keys and refusals, never rows: what a repeat selects is looked up as it is now.

Source: api.md "Idempotency".
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import orjson
from strawberry import UNSET

from api.mutations.payloads import Payload
from domain.rules.ids import IdMalformed, Prefix, from_public, to_public

# What the keys of payloads name: `recipient_key` is that of a RECIPIENT.
_PREFIXES: Final = {prefix.name.lower(): prefix for prefix in Prefix} | {
    "pending": Prefix.PENDING_ACTION,
    "cause": Prefix.ERROR_GROUP,
}


def to_json(payload: Payload) -> str:
    """Return a payload as JSON."""
    return orjson.dumps(_plain(payload)).decode()


def from_json(text: str) -> Payload:
    """Return the payload that `to_json` was given."""
    return cast(Payload, _restored(orjson.loads(text), Payload))


def digest_of(input_key: bytes, input: Any) -> bytes:
    """Return a digest of a mutation's input without its key, the same for the same values in any order.

    It is keyed, because an input may hold a password that could be guessed from a plain digest.
    """
    plain = _plain(input)
    plain["values"].pop("idempotency_key", None)
    canonical = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    return hmac.new(input_key, canonical, hashlib.sha256).digest()


def ids_in(payload: Payload) -> list[str]:
    """Return the outside ids that a payload holds, each once; those of refused results left out."""
    return list(dict.fromkeys(_ids(payload)))


def _ids(payload: Payload) -> Iterator[str]:
    for field in fields(cast(Any, payload)):
        value = getattr(payload, field.name, None)
        if isinstance(value, UUID) and field.name.endswith("_key"):
            yield to_public(_PREFIXES[field.name.removesuffix("_key")], value)
        elif isinstance(value, str):
            try:
                from_public(value)
            except IdMalformed:
                continue
            yield value
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, Payload) and not one.errors:
                    yield from _ids(one)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        values = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        kept = {name: _plain(one) for name, one in values.items() if one is not UNSET}
        return {"type": type(value).__name__, "values": kept}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, UUID) else value  # asyncpg's are a kind of their own


def _restored(value: Any, hint: Any) -> Any:
    if value is None:
        return None
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        (inner,) = [one for one in get_args(hint) if one is not NoneType]
        return _restored(value, inner)
    if origin is list:
        return [_restored(one, get_args(hint)[0]) for one in value]
    if hint is UUID:
        return UUID(value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    if isinstance(hint, type) and is_dataclass(hint):
        made = next(kind for kind in _kinds(hint) if kind.__name__ == value["type"])
        hints = get_type_hints(made)
        return made(**{name: _restored(one, hints[name]) for name, one in value["values"].items()})
    return value


def _kinds(kind: Any) -> Iterator[Any]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
