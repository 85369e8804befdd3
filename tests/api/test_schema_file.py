"""`schema.graphql` is the schema."""

from pathlib import Path

import pytest
from graphql import build_schema

from api.schema import sdl

FILE = Path(__file__).parents[2] / "schema.graphql"


def test_the_file_is_what_the_code_says() -> None:
    if FILE.read_text(encoding="utf-8") != sdl():
        pytest.fail("schema.graphql does not match the code. Make it anew: relance schema print > schema.graphql")


def test_the_file_is_a_valid_schema() -> None:
    build_schema(sdl())
