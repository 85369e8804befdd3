"""What is generated or written twice is the same in both places; `make check` runs this file."""

import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, find_breaking_changes
from tortoise import Tortoise
from tortoise.migrations.autodetector import MigrationAutodetector

from domain.settings import SettingsInvalid, read_settings
from domain.tables.config import OFFLINE

ROOT = Path(__file__).parents[2]


async def test_the_migrations_make_exactly_the_tables_of_the_models() -> None:
    context = await Tortoise.init(config=OFFLINE)  # connects to nothing
    try:
        assert context.apps is not None
        changes = await MigrationAutodetector(context.apps, OFFLINE["apps"]).changes()
    finally:
        await context.close_connections()
    operations = [operation for writer in changes for operation in writer.operations]
    assert operations == [], "run: .venv/bin/tortoise -c domain.tables.config.OFFLINE makemigrations"


def test_the_committed_schema_is_what_the_code_says() -> None:
    from api.schema import sdl

    committed = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    assert committed.strip() == sdl().strip(), "run: relance schema print > schema.graphql"


def _unnamed(before: GraphQLSchema, after: GraphQLSchema, changelog: str) -> list[str]:
    """The breaking changes whose sentence does not stand in the changelog's first section."""
    section = re.split(r"^## ", changelog, flags=re.MULTILINE)[1]
    told = " ".join(section.split())
    return [change.description for change in find_breaking_changes(before, after) if change.description not in told]


def test_a_change_that_breaks_clients_stands_in_the_changelog() -> None:
    released = build_schema((ROOT / "schema.released.graphql").read_text(encoding="utf-8"))
    now = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    unnamed = _unnamed(released, now, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert unnamed == [], "clients break on these: undo them, or write each sentence under “Unreleased” in CHANGELOG.md"


def test_a_breaking_change_is_named_only_by_its_own_sentence_under_unreleased() -> None:
    before, after = build_schema("type Query { a: Int b(c: Int): Int }"), build_schema("type Query { b: Int }")
    changelog = (
        "# Changelog\n\n## Unreleased\n\n- Breaking: Field Query.a was\n  removed. Ask for b.\n\n## 0.1.0\n\n{}\n"
    )
    argument = "Argument Query.b(c:) was removed."
    assert _unnamed(before, after, changelog.format(argument)) == [argument]


def test_the_example_of_settings_names_every_setting_and_no_other() -> None:
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    source = (ROOT / "domain" / "settings.py").read_text(encoding="utf-8")
    known = set(re.findall(r'"((?:DATABASE|REDIS|RELANCE)_[A-Z_]+)"', source))
    assert explained - {"RELANCE_API_KEY", "POSTGRES_PASSWORD", "RELANCE_API_PORTS"} == known


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read_settings(
            {
                "DATABASE_URL": "mysql://x",
                "RELANCE_PORT": "0",
                "RELANCE_SECRET_KEY": "short",
                "RELANCE_ALLOWED_ORIGINS": "https://app.example.com/, https://other.example:8443",
            }
        )
    named = {"DATABASE_URL", "REDIS_URL", "RELANCE_PORT", "RELANCE_SECRET_KEY", "RELANCE_ALLOWED_ORIGINS"}
    assert {line.split()[0] for line in refused.value.problems} == named
