"""What the worker asks of arq."""

import orjson
from arq.jobs import deserialize_result, serialize_result
from arq.worker import JobExecutionFailed

from workers.main import _to_json


def test_the_end_of_an_expired_tick_can_be_stored() -> None:
    stored = serialize_result(
        "tick",
        (),
        {},
        1,
        0,
        False,
        JobExecutionFailed("job tick expired"),
        0,
        0,
        "ref",
        "q",
        "tick:1",
        serializer=_to_json,
    )
    assert stored is not None
    assert "expired" in deserialize_result(stored, deserializer=orjson.loads).result
