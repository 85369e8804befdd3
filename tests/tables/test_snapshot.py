"""An empty database is given the tables at once, and they are those of the migrations."""

from cli.table_snapshot import snapshot_of
from domain.migrating import SNAPSHOT, migrate


async def test_an_empty_database_gets_what_the_migrations_make_and_has_nothing_left_to_do(database_url: str) -> None:
    assert snapshot_of(database_url) == SNAPSHOT.read_text(encoding="utf-8"), "run: relance schema tables"
    assert await migrate(database_url) == []
