"""The engine's whole path on Debian's PostgreSQL 15 and Redis 7, named by DATABASE_URL and REDIS_URL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.witness.installation import ROOT
from tests.witness.outside import IS_ROOT, free_port, serving
from tests.witness.programs import postgres_programs, redis_server

# PostgreSQL refuses to run as root.
_ACCOUNT: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if IS_ROOT else {}


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    programs = postgres_programs()
    folder.mkdir()
    folder.chmod(0o777)
    cluster, port = folder / "cluster", free_port()
    subprocess.run(
        [programs / "initdb", "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
        **_ACCOUNT,
    )
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with serving([str(programs / "postgres"), "-D", str(cluster), *options], port, folder, **_ACCOUNT):
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    folder.mkdir()
    port = free_port()
    command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with serving(command, port, folder):
        yield f"redis://127.0.0.1:{port}/0"


def _run_whole_path(**settings: str) -> None:
    """Run the engine's own test against these servers, as an operator's variables name them."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/engine/test_whole_path.py"],
        cwd=ROOT,
        env=environment | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_the_whole_path_runs_on_older_servers(folder: Path) -> None:
    with _postgres(folder / "postgres") as database_url, _redis(folder / "redis") as redis_url:
        _run_whole_path(DATABASE_URL=database_url, REDIS_URL=redis_url)
