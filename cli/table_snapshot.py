"""Write domain/tables/snapshot.sql from the migrations, or check that it is what they make."""

import asyncio
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from cli.console import CannotGoOn, say
from cli.embedded import start_servers
from cli.embedded.postgres import installation
from domain.migrating import SNAPSHOT, migrate

_LISTED: Final = {"= ANY": "IN", "<> ALL": "NOT IN"}
HEAD: Final = """\
-- The tables as all migrations leave them, for an empty database (domain/migrating.py).
-- Made by `relance schema tables`; `make check` says when it is out of date.
"""


def main(*, check: bool) -> None:
    """Write the snapshot, or only look whether it is up to date.

    Raises:
        CannotGoOn: `check`, and the migrations make something else.
    """
    with tempfile.TemporaryDirectory(prefix="relance-tables-") as directory:
        servers = start_servers(Path(directory), valkey=False, durable=False)
        try:
            url = servers.database_url or ""
            asyncio.run(migrate(url, step_by_step=True))
            made = snapshot_of(url)
        finally:
            servers.stop()
    name = f"{SNAPSHOT.parent.name}/{SNAPSHOT.name}"
    if not check:
        SNAPSHOT.write_text(made, encoding="utf-8")
        say(f"{name} is written.")
    elif SNAPSHOT.is_file() and SNAPSHOT.read_text(encoding="utf-8") == made:
        say(f"{name} is up to date.")
    else:
        raise CannotGoOn(f"{name} is not what the migrations make any more. Run: relance schema tables")


def snapshot_of(url: str) -> str:
    """Return the SQL that makes a database like the one at this address, with the rows it holds."""
    program = installation() / "bin" / "pg_dump"
    dumped = subprocess.run(
        [program, "--no-owner", "--no-privileges", "--inserts", "--schema=public", url],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    # What pg_dump says to its own client, or sets for the session that reads it in, is not ours.
    noise = r"^(--.*|\\.*|SET .*|SELECT pg_catalog\.set_config.*|CREATE SCHEMA public;|COMMENT ON SCHEMA public .*)\n"
    statements = re.sub(noise, "", dumped, flags=re.MULTILINE)
    moments = re.sub(r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*\+00'", "now()", statements)
    # PostgreSQL reads its own way of writing `x IN (…)` as something else than it meant: written back, it stays equal.
    lists = re.sub(
        r"\((\w+)\)::text (= ANY|<> ALL) \(\(ARRAY\[([^\]]*)\]\)::text\[\]\)",
        lambda found: f"{found[1]} {_LISTED[found[2]]} ({found[3].replace('::character varying', '')})",
        moments,
    )
    return HEAD + "\n" + re.sub(r"\n{2,}", "\n\n", lists).strip() + "\n"
