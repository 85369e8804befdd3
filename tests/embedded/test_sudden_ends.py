"""Whatever is killed: nothing is left running, and no row that was acknowledged is lost."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from cli.embedded import DataDirectoryInUse, embedded_servers, start_servers
from cli.embedded.pids import is_running, wait_until_ended


async def rows_kept(directory: Path) -> int:
    async with embedded_servers(directory) as servers:
        assert servers.database_url is not None
        connection = await asyncpg.connect(servers.database_url, timeout=10)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM diary"))
        finally:
            await connection.close()


def write_a_while(diary: Any) -> None:
    for _ in range(100):
        assert diary.next_line()


async def test_a_killed_parent_leaves_no_orphan_and_loses_no_row(
    data_directory: Path, start_diary: Callable[..., Any]
) -> None:
    diary = start_diary(data_directory).begin()
    write_a_while(diary)
    diary.program.kill()
    for name in ("guard", "postgres", "valkey"):
        assert wait_until_ended(diary.words[name], 15), name
    assert await rows_kept(data_directory) >= diary.last_row()


@pytest.mark.parametrize("victims", [["postgres"], ["guard"], ["guard", "postgres", "valkey"]])
async def test_a_killed_parent_and_others_leave_no_orphan_and_a_start_at_once_finds_every_row(
    data_directory: Path, start_diary: Callable[..., Any], victims: list[str]
) -> None:
    diary = start_diary(data_directory).begin()
    write_a_while(diary)
    # The parent stays a zombie until the test's end: as under a shell that is busy.
    for pid in (diary.program.pid, *(diary.words[name] for name in victims)):
        os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    kept = await rows_kept(data_directory)
    assert time.monotonic() - began < 15
    assert kept >= diary.last_row()
    for name in ("guard", "postgres", "valkey"):
        assert wait_until_ended(diary.words[name], 15), name


def test_ctrl_c_reaches_the_parent_alone_which_then_stops_the_servers_in_order(
    data_directory: Path, start_diary: Callable[..., Any]
) -> None:
    diary = start_diary(data_directory).begin()
    write_a_while(diary)
    os.killpg(diary.program.pid, signal.SIGINT)
    while not (line := diary.next_line()).startswith(b"stopping"):
        assert line
    assert line == b"stopping None"
    assert diary.program.wait(20) == 0
    assert not any(is_running(diary.words[name]) for name in ("guard", "postgres", "valkey"))
    assert "database system is shut down" in (data_directory / "postgres.log").read_text()[-200:]


def test_a_directory_in_use_by_another_program_is_refused_with_its_pid(
    data_directory: Path, start_diary: Callable[..., Any]
) -> None:
    diary = start_diary(data_directory).begin()
    with pytest.raises(DataDirectoryInUse) as refusal:
        start_servers(data_directory)
    assert refusal.value.facts == {"directory": str(data_directory), "pid": diary.program.pid}


def test_a_pid_file_that_names_a_stranger_does_not_stop_a_start(data_directory: Path) -> None:
    (data_directory / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{data_directory / 'postgres'}\n")
    (data_directory / "valkey" / "relance.pid").write_text(str(os.getpid()))
    start_servers(data_directory).stop()


def test_a_start_killed_halfway_leaves_nothing_that_stops_the_next(
    tmp_path: Path, start_diary: Callable[..., Any]
) -> None:
    diary = start_diary(tmp_path)
    for _ in range(1000):
        if unfinished := list(tmp_path.glob("postgres.new-*/PG_VERSION")):
            break
        time.sleep(0.01)
    assert unfinished
    diary.program.kill()
    start_servers(tmp_path).stop()
    assert not list(tmp_path.glob("postgres.new-*"))
