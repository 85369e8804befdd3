"""What every bench needs: servers with fsync on, processes and the CPU they used, and one table at the end."""

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.embedded import Servers, start_servers
from domain.database import fetch
from domain.rules.network import Reach
from domain.secrets import Vault, new_key, read_key

ROOT = Path(__file__).parents[1]
SECRET_KEY = new_key()
PEPPER = Vault(read_key(SECRET_KEY)).pepper
HERE = Reach.of("127.0.0.1")
_PROC = Path("/proc")


@contextlib.contextmanager
def embedded() -> Iterator[Servers]:
    """PostgreSQL and Redis of our own, as `relance up` runs them: with fsync on."""
    folder = Path(tempfile.mkdtemp(prefix="relance-bench-"))
    folder.chmod(0o755)
    servers = start_servers(folder / "data")
    try:
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


def environment(database_url: str, redis_url: str, **settings: str) -> dict[str, str]:
    """Return the environment of a process of ours."""
    ours = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "RELANCE_SECRET_KEY": SECRET_KEY,
        "RELANCE_PUBLIC_URL": "https://opt-out.example",
        "RELANCE_PRIVATE_NETWORKS": "127.0.0.1",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RELANCE_")}
    return kept | ours | {"RELANCE_LOG_LEVEL": "WARNING"} | settings


@contextlib.contextmanager
def running(*words: str, env: Mapping[str, str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m …` while the block runs."""
    child = subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=dict(env), **options)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@dataclass(frozen=True)
class Sink:
    """A mail server that takes everything and keeps nothing."""

    name: str
    port: int


@contextlib.contextmanager
def mail_sink() -> Iterator[Sink]:
    """Postfix's smtp-sink; the built-in catcher, which is much slower, where there is none."""
    port = free_port()
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        name, command = "built-in catcher", [sys.executable, "-m", "cli", "catcher", "--smtp-port", str(port)]
        command += ["--http-port", str(free_port())]
    else:
        identity = ["-u", "nobody"] if os.geteuid() == 0 else []
        name, command = "smtp-sink", [program, *identity, "-m", "5000", f"127.0.0.1:{port}", "500"]
    child = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: listens(port), f"the {name} listens")
        yield Sink(name, port)
    finally:
        child.terminate()
        child.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(holds: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    end_at = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end_at:
            sys.exit(f"{what}: not within {seconds:g} seconds.")
        time.sleep(0.02)


def cpu_seconds(*pids: int | None) -> float:
    """Return the CPU seconds these processes have used, with the children they waited for; nan without /proc."""
    if not _PROC.is_dir():
        return float("nan")
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            ticks += sum(map(int, (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def below(pid: int | None, name: str) -> list[int]:
    """Return the processes under this one, at any depth, whose program's name begins so."""
    parents: dict[int, int] = {}
    named: set[int] = set()
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = stat.read_text().rpartition(")")
            own = int(stat.parent.name)
            parents[own] = int(rest.split()[1])
            if head.partition("(")[2].startswith(name):
                named.add(own)

    def is_below(one: int) -> bool:
        while one in parents:
            one = parents[one]
            if one == pid:
                return True
        return False

    return [one for one in named if is_below(one)]


def postgres_seconds() -> float:
    """Return the CPU seconds that the PostgreSQL below this process has used so far."""
    return cpu_seconds(*below(os.getpid(), "postgres"))


async def until(question: str, *values: object) -> None:
    """Wait until a statement says `holds`; ten minutes at most.

    Raises:
        TimeoutError
    """
    for _ in range(20_000):
        if (await fetch(question, *values))[0]["holds"]:
            return
        await asyncio.sleep(0.03)
    raise TimeoutError(question)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)] if ordered else float("nan")


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Print one table, the first column to the left, figures to the right."""
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
    print(f"\n{title}\n")
    for row in [columns, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells))
    for note in notes:
        print(f"  {note}")
    print(flush=True)
