"""Every refusal has a code that clients are told; what nobody foresaw is masked and can be found in the log."""

import importlib
import logging
import pkgutil

import pytest
from graphql import GraphQLError

import domain
from api.errors import MASKED_REFUSALS, RequestRefused, code_of, formatted
from api.mutations.refusals import MutationErrorCode
from api.schema import schema
from domain.feed import ResyncRequired
from domain.refusals import DatabaseUnreachable, EnrolmentRefused, Refusal, TrialRefused

_ONLY_IN_QUERIES = {"CURSOR_INVALID", "RESYNC_REQUIRED"}


def _refusals() -> list[type[Refusal]]:
    for module in pkgutil.walk_packages(domain.__path__, "domain."):
        if ".migrations." not in module.name:
            importlib.import_module(module.name)
    waiting, found = [Refusal], []
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.append(kind)
    return [kind for kind in found if kind not in (Refusal, EnrolmentRefused, TrialRefused)]


def test_each_refusal_has_a_code_that_mutations_or_queries_tell() -> None:
    told = {code.value for code in MutationErrorCode} | _ONLY_IN_QUERIES
    untold = [kind.__name__ for kind in _refusals() if kind not in MASKED_REFUSALS and kind.code not in told]
    assert untold == []


def test_no_code_is_told_that_nothing_has() -> None:
    assert {code.value for code in MutationErrorCode} - {kind.code for kind in _refusals()} == set()


def test_each_refusal_has_a_code_of_apollos_vocabulary_outside_mutations() -> None:
    codes = {code_of(kind.__new__(kind)) for kind in _refusals()}
    assert codes == {"BAD_USER_INPUT", "NOT_FOUND", "RESYNC_REQUIRED"}


def test_a_resync_carries_the_cursor_to_go_on_from() -> None:
    (told,) = formatted([ResyncRequired("abc")], "req_1")
    assert told["extensions"] == {"code": "RESYNC_REQUIRED", "cursor": "abc"}


def test_the_unforeseen_is_masked_and_logged_with_the_same_id(caplog: pytest.LogCaptureFixture) -> None:
    problem = GraphQLError("x", original_error=ZeroDivisionError("secret words"))
    with caplog.at_level(logging.ERROR, "relance.api"):
        (told,) = formatted([problem], "req_1")
    assert told["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "secret words" not in str(told)
    assert told["extensions"]["errorId"] in told["message"]
    assert told["extensions"]["errorId"] in caplog.text
    assert "secret words" in caplog.text


def test_where_our_database_stands_is_nobodys_business() -> None:
    (told,) = formatted([DatabaseUnreachable("postgresql://u:p@db.internal/x", OSError("refused"))], "req_1")
    assert "db.internal" not in str(told)
    assert told["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


def test_a_refused_request_tells_its_facts() -> None:
    (told,) = formatted([RequestRefused(413, "BAD_REQUEST", "Too much.", allowed=5)], "req_1")
    assert told == {"message": "Too much.", "extensions": {"code": "BAD_REQUEST", "allowed": 5}}


def test_everything_in_the_schema_is_described() -> None:
    silent = []
    for name, kind in schema._schema.type_map.items():
        if name.startswith("__"):
            continue
        if not kind.description:
            silent.append(name)
        for member in ("fields", "values"):
            for inner, node in getattr(kind, member, {}).items():
                if not node.description:
                    silent.append(f"{name}.{inner}")
                silent += [
                    f"{name}.{inner}({arg})" for arg, a in getattr(node, "args", {}).items() if not a.description
                ]
    assert silent == []
