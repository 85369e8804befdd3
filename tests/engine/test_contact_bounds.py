"""What a contact may hold: a value out of bounds is refused alone, and never takes its batch with it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from domain import contacts
from domain.contacts import ContactFields, Matched
from domain.database import Tx, tx
from domain.refusals import Invalid, Refusal


async def _write(workspace_id: UUID, given: Sequence[ContactFields]) -> list[Matched | Refusal]:
    async def work(t: Tx) -> list[Matched | Refusal]:
        return await contacts.write_contacts(t, given)

    return await tx(workspace_id, work)


async def test_an_overlong_address_or_zone_is_refused_alone(workspace_id: UUID) -> None:
    good, long_address, long_zone = await _write(
        workspace_id,
        [
            ContactFields(values={"email": "good@people.example"}),
            ContactFields(values={"email": "a" * 330 + "@people.example"}),
            ContactFields(values={"email": "zone@people.example", "time_zone": "x" * 200}),
        ],
    )
    assert isinstance(good, Matched)
    assert isinstance(long_address, Invalid)
    assert long_address.field == ("email",)
    assert isinstance(long_zone, Invalid)
    assert long_zone.field == ("timeZone",)


@pytest.mark.parametrize(
    "custom",
    [
        {"key": "a\x00b"},
        {"a\x00b": "value"},
        {"key": ["deep", {"in": "a\x00"}]},
        {"": "value"},
        {"n" * 101: "value"},
        {f"field {n}": n for n in range(101)},
        {"key": "x" * 20_001},
        {"key": 2**70},
        {"key": "\ud800"},
    ],
    ids=["nul", "nul in a name", "nul within", "no name", "long name", "too many", "too large", "number", "surrogate"],
)
async def test_custom_fields_out_of_bounds_are_refused_alone(workspace_id: UUID, custom: dict[str, Any]) -> None:
    good, bad = await _write(
        workspace_id,
        [
            ContactFields(values={"email": "good@people.example"}, custom={"path": "C:\\u0000 as letters"}),
            ContactFields(values={"email": "bad@people.example"}, custom=custom),
        ],
    )
    assert isinstance(good, Matched)
    assert isinstance(bad, Invalid)
    assert bad.field == ("customFields",)


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"], ids=["nul", "surrogate"])
async def test_text_that_cannot_be_stored_is_refused(workspace_id: UUID, text: str) -> None:
    (answer,) = await _write(workspace_id, [ContactFields(values={"email": "good@people.example", "first_name": text})])
    assert isinstance(answer, Invalid)
    assert answer.field == ("firstName",)


async def test_merged_custom_fields_are_bounded_too(workspace_id: UUID) -> None:
    email = {"email": "good@people.example"}
    (first,) = await _write(workspace_id, [ContactFields(values=email, custom={f"a{n}": n for n in range(100)})])
    (over,) = await _write(workspace_id, [ContactFields(values=email, custom={"one more": 1})])
    (swapped,) = await _write(workspace_id, [ContactFields(values=email, custom={"one more": 1, "a0": None})])
    assert isinstance(first, Matched)
    assert isinstance(over, Invalid)
    assert isinstance(swapped, Matched)
