"""docs/limits.md says of each limit what the code holds."""

from dataclasses import fields
from pathlib import Path

import pytest

from api import budget, inbound_door, limits
from api.admission import MUTATION_SECONDS
from api.app import KEPT_IDLE_SECONDS
from domain.import_files import BYTES_AT_MOST
from domain.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("body", limits.BODY_LIMIT_BYTES),
        ("batch", limits.BATCH_LIMIT),
        ("variablesDepth", limits.VARIABLE_DEPTH_LIMIT),
        ("values", limits.VARIABLE_VALUE_LIMIT),
        ("document", limits.DOCUMENT_LIMIT),
        ("tokens", limits.TOKEN_LIMIT),
        ("digits", limits.DIGIT_LIMIT),
        ("depth", limits.DEPTH_LIMIT),
        ("aliases", limits.ALIAS_LIMIT),
        ("directives", limits.DIRECTIVE_LIMIT),
        ("rootFields", limits.ROOT_FIELD_LIMIT),
        ("merges", limits.MERGE_LIMIT),
        ("selections", limits.SELECTION_LIMIT),
        ("introspectionDepth", limits.INTROSPECTION_DEPTH_LIMIT),
        ("rows", limits.ROW_LIMIT),
        ("eventRows", limits.EVENT_ROW_LIMIT),
        ("upload", BYTES_AT_MOST),
    ],
)
def test_the_table_says_the_number(name: str, allowed: int) -> None:
    assert f"| `{name}` | {allowed:,} |" in PAGE


def test_points_and_settings_are_those_of_the_code() -> None:
    for what, points in (
        ("an operation", budget.OPERATION_COST),
        ("each mutation in it", budget.MUTATION_COST),
        ("an upload or a download", budget.OPERATION_COST + budget.MUTATION_COST),
        ("an introspection", budget.INTROSPECTION_COST),
        ("a document that is wrong or exceeds a limit", budget.REFUSED_COST),
    ):
        assert f"| {what} | {points} |" in PAGE
    defaults = {field.name: field.default for field in fields(Settings)}
    for name in (
        "budget_points",
        "budget_points_per_second",
        "query_seconds",
        "operations_per_key",
        "operations_per_process",
        "subscriptions_per_key",
        "subscriptions_per_process",
        "uploads_per_key",
        "uploads_per_process",
        "exports_per_key",
        "exports_per_process",
    ):
        default = defaults[name]
        assert f"| `RELANCE_{name.upper()}` | {default:,}" in PAGE, name
        assert f"#RELANCE_{name.upper()}={default}\n" in EXAMPLE, name
    assert f"a mutation has {MUTATION_SECONDS}" in PAGE


def test_doors_without_a_key_and_idle_connections_have_the_bounds_of_the_code() -> None:
    for bound in (inbound_door.BYTES_AT_MOST, inbound_door.BYTES_IN_HAND_AT_MOST):
        assert f"{bound:,} bytes" in PAGE
    assert f"{inbound_door.BODY_SECONDS} seconds (408)" in PAGE
    assert f"is kept for {KEPT_IDLE_SECONDS} seconds" in PAGE
    assert KEPT_IDLE_SECONDS > 60, "a proxy that keeps its connections for a minute would lose requests"
