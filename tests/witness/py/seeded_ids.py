"""What schemathesis fills in where the schema says ID or a scalar of ours: ids of a workspace that is there, so that
what is asked for is found, and times and values as clients send them. Read by schemathesis (SCHEMATHESIS_HOOKS)."""

import json
import os

import schemathesis
from graphql.language import NameNode, ObjectFieldNode, ObjectValueNode, StringValueNode
from hypothesis import strategies as st


def _object(fields: dict[str, str]) -> ObjectValueNode:
    named = [ObjectFieldNode(name=NameNode(value=key), value=StringValueNode(value=fields[key])) for key in fields]
    return ObjectValueNode(fields=tuple(named))


def _text(value: str) -> StringValueNode:
    return StringValueNode(value=value)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
schemathesis.graphql.scalar("ID", st.sampled_from(json.loads(os.environ["WITNESS_IDS"])).map(_text))
schemathesis.graphql.scalar("Date", st.dates().map(lambda day: _text(day.isoformat())))
schemathesis.graphql.scalar("DateTime", st.datetimes().map(lambda at: _text(at.isoformat() + "Z")))
schemathesis.graphql.scalar("JSON", st.dictionaries(st.sampled_from(["role", "city"]), _TEXTS).map(_object))
