"""A refusal names the field as the input that was given calls it."""

from domain.rules.ids import Prefix, new_id, to_public
from tests.api.conftest import Api


async def test_an_unknown_contact_is_named_by_the_id_of_the_input(api: Api) -> None:
    unknown = to_public(Prefix.CONTACT, new_id())
    payload = await api.change("contactUpsert", {"id": unknown, "firstName": "Ada"}, "contact { id }")
    (error,) = payload["errors"]
    assert (error["code"], error["field"]) == ("NOT_FOUND", ["id"])


async def test_an_unknown_sequence_of_a_subscription_is_named_by_its_argument(api: Api) -> None:
    unknown = to_public(Prefix.SEQUENCE, new_id())
    async with api.socket() as socket:
        await socket.start("subscription ($id: ID) { recipientEvents(sequenceId: $id) { id } }", {"id": unknown})
        told = await socket.message()
        assert told["type"] == "error"
        extensions = told["payload"][0]["extensions"]
        assert (extensions["code"], extensions["field"]) == ("NOT_FOUND", ["sequenceId"])
