"""Equal subscribers share one execution; what is kept for them is little, short-lived, and goes with the last one."""

import asyncio
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse

from api import sharing
from api.context import Caller
from api.sharing import Selection, Selections
from domain.feed import Event
from domain.rules.access import EVERYTHING
from domain.rules.ids import new_id
from tests.api.conftest import Api
from tests.api.test_ring import events

TEXT = "subscription { recipientEvents { cursor type } }"


def caller_of(api: Api) -> Caller:
    return Caller(
        workspace_id=api.workspace_id, workspace_name="Acme", actor=api.actor, name="tests", scopes=EVERYTHING
    )


def selection_of(api: Api, caller: Any) -> Selection:
    return Selection(api.process, caller, parse(TEXT), None, {})


def joined(selections: Selections, api: Api, caller: Caller, text: str = TEXT) -> AbstractContextManager[Selection]:
    document = parse(text)
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    return selections.joined(api.process, caller, text, document, operation, {})


async def paid(selection: Selection, wanted: list[Event]) -> list[bytes]:
    return await asyncio.wait_for(selection.payloads(wanted), 10)


async def test_one_payload_is_made_for_all_who_ask_within_a_moment(api: Api) -> None:
    selection = selection_of(api, caller_of(api))
    first, second = await asyncio.gather(paid(selection, events(1, 3)), paid(selection, events(2, 4)))
    assert first[1] is second[0]
    assert b"recipient.enrolled" in first[0]


async def test_equal_selections_are_one_and_it_goes_with_its_last_subscriber(api: Api) -> None:
    selections, caller = Selections(), caller_of(api)
    with joined(selections, api, caller) as first:
        with joined(selections, api, caller) as second:
            assert first is second
            with joined(selections, api, replace(caller, workspace_id=new_id())) as third:
                assert third is not first
            assert len(selections) == 1
        assert len(selections) == 1
    assert len(selections) == 0


async def test_a_selection_goes_when_its_subscriber_ends_with_an_error(api: Api) -> None:
    selections = Selections()
    with pytest.raises(ValueError, match="gone"), joined(selections, api, caller_of(api)):
        raise ValueError("gone")
    assert len(selections) == 0


async def test_payloads_are_forgotten_when_their_moment_is_over(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_KEPT_SECONDS", 0.02)
    selection = selection_of(api, caller_of(api))
    await paid(selection, events(1, 50))
    await asyncio.sleep(0.2)  # nobody asks again
    assert (len(selection._kept), selection._kept_bytes) == (0, 0)


async def test_no_more_bytes_are_kept_than_allowed_and_all_are_answered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_KEPT_BYTES_AT_MOST", 1_000)
    selection = selection_of(api, caller_of(api))
    payloads = await paid(selection, events(1, 50))
    assert len(payloads) == 50
    kept = [one.size_bytes for one in selection._kept.values()]
    assert sum(kept) == selection._kept_bytes
    assert 0 < sum(kept) <= 1_000


async def test_what_fails_before_any_event_is_executed_ends_every_subscriber_and_is_tried_again(api: Api) -> None:
    selection = selection_of(api, None)  # no caller: the surroundings of the execution cannot be made
    asked = [asyncio.create_task(paid(selection, events(1, 3))) for _ in range(3)]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [AttributeError] * 3
    assert not selection._kept
    selection._caller = caller_of(api)
    assert len(await paid(selection, events(1, 3))) == 3


async def test_an_execution_that_is_cancelled_leaves_no_subscriber_waiting(api: Api) -> None:
    selection = selection_of(api, caller_of(api))
    asked = asyncio.create_task(paid(selection, events(1, 3)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in list(selection._tasks):
        task.cancel()
    (end,) = await asyncio.gather(asked, return_exceptions=True)
    assert isinstance(end, asyncio.CancelledError)
    assert not selection._kept
