"""What cannot start says so in one sentence, and what is refused leaves nothing behind."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.cli.running import ROOT, free_port, relance


def test_a_redis_that_cannot_be_reached_is_told_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    up = ("up", "--data", str(tmp_path / "d"), "--port", str(free_port()))
    answer = relance(*up, environment=environment | {"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert answer.returncode == 1
    assert "Redis at 127.0.0.1:1/0 cannot be reached" in answer.stderr
    assert not (tmp_path / "d" / "connection.json").exists()


def test_a_wrong_setting_is_told_before_anything_starts(tmp_path: Path) -> None:
    up = ("up", "--data", str(tmp_path / "d"), "--port", str(free_port()))
    answer = relance(*up, environment={"DATABASE_URL": "x", "RELANCE_LOG_LEVEL": "loud"})
    assert answer.returncode == 1
    assert "DATABASE_URL is not a database address" in answer.stderr
    assert "RELANCE_LOG_LEVEL is “loud”" in answer.stderr
    assert "is not set" not in answer.stderr
    assert not list((tmp_path / "d").iterdir())


@pytest.mark.parametrize(("host", "way_out"), [("127.0.0.1", "--port, or PORT=… with make"), ("192.0.2.1", "--host")])
def test_an_address_that_cannot_be_listened_on_is_told_with_what_to_change(
    tmp_path: Path, host: str, way_out: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = relance("up", "--data", str(tmp_path / "d"), "--host", host, "--port", port)
    assert answer.returncode == 1
    assert answer.stderr.endswith(f"choose another one with {way_out}.\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_a_directory_or_a_file_in_it_that_belongs_to_somebody_else_is_refused_in_one_sentence() -> None:
    roots, mine = (Path(tempfile.mkdtemp(prefix="relance-", dir="/tmp")) for _ in range(2))
    (mine / "logs").mkdir()
    (mine / "logs" / "up.log").touch(mode=0o600)
    os.chown(mine, 65534, 65534)
    relance("up", "--data", str(mine), "--host", "192.0.2.1")  # what it imports may lie where only root reads
    try:
        os.seteuid(65534)
        for directory, place in ((roots, roots), (mine, mine / "logs" / "up.log")):
            answer = relance("up", "--data", str(directory), "--port", str(free_port()))
            assert answer.returncode == 1
            assert answer.stderr.startswith(f"The data directory {place} cannot be used (")
            assert len(answer.stderr.splitlines()) == 1
    finally:
        os.seteuid(0)
        for directory in (roots, mine):
            shutil.rmtree(directory)


def test_an_environment_of_another_user_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch(mode=0o600)
    (tmp_path / ".installed").touch()
    answer = subprocess.run(["make", "run", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert answer.returncode == 2
    assert f"This user cannot run the Python of {tmp_path}" in answer.stderr
    assert "Permission denied" not in answer.stderr


def test_a_refused_key_makes_no_workspace(environment: dict[str, str]) -> None:
    for name, workspace in (("", "Never made"), ("fine", "  ")):
        answer = relance("keys", "create", "--name", name, "--workspace", workspace, environment=environment)
        assert answer.returncode == 1, answer
        assert "needs a name of 1 to 200 characters" in answer.stderr
    listed = relance("keys", "list", environment=environment)
    assert "Never made" not in listed.stdout
