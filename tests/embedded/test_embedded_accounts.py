"""PostgreSQL never runs as root, and root needs no ordinary user's help to run it."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.embedded import accounts, start_servers
from cli.embedded.accounts import Account
from cli.embedded.postgres import installation

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="shows what root does")
NAMELESS_USER = 12345


def owner_of_postmaster(directory: Path) -> int:
    pid = (directory / "postgres" / "postmaster.pid").read_text().split()[0]
    return int(subprocess.check_output(["ps", "-o", "uid=", "-p", pid]))


@needs_root
def test_root_runs_postgres_as_nobody_and_changes_no_mode(open_directory: Path, made_once: Path) -> None:
    data = Path(shutil.copytree(made_once, open_directory / "data"))
    data.chmod(0o751)
    servers = start_servers(data)
    try:
        assert owner_of_postmaster(data) == pwd.getpwnam("nobody").pw_uid
    finally:
        servers.stop()
    assert stat.S_IMODE(data.stat().st_mode) == 0o751
    assert data.stat().st_uid == 0


@needs_root
def test_programs_below_a_closed_directory_are_reached_without_opening_it(tmp_path: Path, open_directory: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "bin").mkdir()
    shutil.copy(installation() / "bin" / "postgres", closed / "bin" / "postgres")
    account, programs = accounts.choose(closed, open_directory)
    assert account.name != "nobody"
    assert programs == closed
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities and user namespaces are Linux's")
@pytest.mark.parametrize("position", [1, 2])
def test_each_way_of_root_reaches_data_below_a_closed_directory(data_directory: Path, position: int) -> None:
    account = list(accounts.ways_of_root(data_directory / "postgres"))[position]
    if (obstacle := accounts.obstacle(account, installation(), data_directory)) == "not allowed here":
        pytest.skip(f"{account.name}: {obstacle}")
    assert obstacle == ""
    cluster = data_directory / "postgres"
    account.own(cluster)
    subprocess.run(
        [installation() / "bin" / "postgres", "--single", "-D", cluster, "relance"],
        input=b"CREATE TABLE reached (id int);\n",
        preexec_fn=account.become,
        check=True,
        timeout=20,
    )
    assert cluster.stat().st_uid == account.uid


@needs_root
def test_where_no_way_is_allowed_a_copy_of_the_programs_serves(open_directory: Path) -> None:
    copied = accounts.copy_installation(installation(), open_directory)
    nobody: Account = next(accounts.ways_of_root(open_directory / "postgres"))
    assert accounts.obstacle(nobody, copied, open_directory) == ""
    assert accounts.copy_installation(installation(), open_directory) == copied


@needs_root
@pytest.mark.parametrize("name", ["nobody", None])
def test_an_ordinary_user_runs_everything_as_himself_even_without_a_name(
    open_directory: Path, start_diary: Callable[..., Any], name: str | None
) -> None:
    uid = pwd.getpwnam(name).pw_uid if name else NAMELESS_USER
    os.chown(open_directory, uid, uid)
    diary = start_diary(open_directory, [_python_for_everyone()], user=uid, group=uid, extra_groups=[]).begin()
    assert int(diary.next_line()) == 1
    assert {path.stat().st_uid for path in open_directory.iterdir()} == {uid}
    assert owner_of_postmaster(open_directory) == uid


@needs_root
def test_an_ordinary_user_is_refused_a_directory_of_root(tmp_path: Path, start_diary: Callable[..., Any]) -> None:
    diary = start_diary(Path("/etc/relance"), [_python_for_everyone()], user=NAMELESS_USER, group=NAMELESS_USER)
    assert diary.program.wait(30) == 3
    assert diary.program.stderr is not None
    assert diary.program.stderr.read().decode() == (
        "The data directory /etc/relance cannot be used (permission denied); "
        "give this user the right to write there, or choose another directory.\n"
    )


def _python_for_everyone() -> str:
    """Return a Python that every user may run: root's own may lie in root's home."""
    for python in (sys.executable, "/usr/bin/python3"):
        trial = [python, "-c", "import sys, asyncpg; sys.exit(sys.version_info < (3, 11))"]
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            answer = subprocess.run(
                trial, user=NAMELESS_USER, group=NAMELESS_USER, env=environment, capture_output=True, check=False
            )
        except OSError:
            continue
        if answer.returncode == 0:
            return python
    pytest.skip("no Python here that an ordinary user may run")
