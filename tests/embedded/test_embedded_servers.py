"""The embedded servers start, keep what they were given, and refuse in one sentence."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
from redis.asyncio import Redis

from cli.embedded import (
    DataDirectoryInUse,
    DataDirectoryIsAFile,
    DataOfAnotherPostgres,
    ServerDidNotStart,
    embedded_servers,
    start_servers,
)
from cli.embedded.pids import wait_until_ended

T = TypeVar("T")


async def ask(database_url: str | None, question: str) -> object:
    assert database_url is not None
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_a_cold_start_gives_both_servers(open_directory: Path) -> None:
    began = time.monotonic()
    async with embedded_servers(open_directory / "new" / "data") as servers:
        assert time.monotonic() - began < 15
        assert servers.trouble() is None
        assert await ask(servers.database_url, "SELECT lower('ÀÉŁ') || current_setting('fsync')") == "àéłon"
        assert await ask(servers.database_url, "SHOW server_encoding") == "UTF8"
        assert await ask(servers.database_url, "SHOW max_connections") == "200"
        assert await ask(servers.database_url, "SHOW idle_in_transaction_session_timeout") == "30s"
        assert servers.redis_url is not None
        async with Redis.from_url(servers.redis_url) as redis:
            assert await redis.config_get("appendonly", "maxmemory-policy", "save") == {
                "appendonly": "yes",
                "maxmemory-policy": "noeviction",
                "save": "",
            }
    assert stat.S_IMODE((open_directory / "new" / "data" / "postgres").stat().st_mode) == 0o700


async def test_a_second_start_keeps_rows_keys_and_addresses(data_directory: Path) -> None:
    async with embedded_servers(data_directory) as first:
        assert first.redis_url is not None
        await ask(first.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
        async with Redis.from_url(first.redis_url) as redis:
            await redis.set("kept", "8")
    async with embedded_servers(data_directory) as second:
        assert (second.database_url, second.redis_url) == (first.database_url, first.redis_url)
        assert await ask(second.database_url, "SELECT number FROM kept") == 7
        async with Redis.from_url(first.redis_url) as redis:
            assert await redis.get("kept") == b"8"


async def test_neither_server_speaks_without_the_password(data_directory: Path) -> None:
    async with embedded_servers(data_directory) as servers:
        assert servers.database_url is not None
        assert servers.redis_url is not None
        password = servers.database_url.split(":")[2].split("@")[0]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(servers.database_url.replace(password, "guess"), timeout=10)
        socket_address = servers.database_url.replace(password, "guess") + f"?host={data_directory / 'postgres'}"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(socket_address, timeout=10)
        open_commands = await asyncio.to_thread(subprocess.check_output, ["ps", "-eo", "args"])
        assert password.encode() not in open_commands


async def test_a_database_is_copied_from_a_template(data_directory: Path) -> None:
    async with embedded_servers(data_directory, valkey=False, durable=False) as servers:
        assert servers.redis_url is None
        assert await ask(servers.database_url, "SHOW fsync") == "off"
        template = await servers.create_database("a template")
        await ask(template, "CREATE TABLE copied AS SELECT 9 AS number")
        copy = await servers.create_database("a copy", template="a template")
        assert await ask(copy, "SELECT number FROM copied") == 9
        await servers.drop_database("a copy")
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await ask(copy, "SELECT 1")


async def test_two_instances_run_side_by_side_and_a_second_on_the_same_data_is_refused(
    data_directory: Path, tmp_path: Path
) -> None:
    async with embedded_servers(data_directory) as one, embedded_servers(tmp_path / "other", postgres=False) as two:
        assert two.database_url is None
        assert one.redis_url != two.redis_url
        began = time.monotonic()
        with pytest.raises(DataDirectoryInUse) as refusal:
            start_servers(data_directory)
        assert time.monotonic() - began < 2
        assert str(refusal.value) == (
            f"The data directory {data_directory} is in use by the running process {os.getpid()}; "
            "stop that one, or choose another directory."
        )
        assert await ask(one.database_url, "SELECT 1") == 1


async def test_with_servers_of_ones_own_only_the_directory_is_taken(tmp_path: Path) -> None:
    async with embedded_servers(tmp_path, postgres=False, valkey=False) as servers:
        assert (servers.database_url, servers.redis_url, servers.trouble()) == (None, None, None)
        with pytest.raises(DataDirectoryInUse):
            start_servers(tmp_path)
    start_servers(tmp_path, postgres=False, valkey=False).stop()


async def test_a_path_too_long_for_a_socket_and_full_of_odd_characters_works(made_once: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("a name, with 'quotes' \"and\" spaces é " + "x" * 80)
    made_once_copy = await asyncio.to_thread(subprocess.run, ["cp", "-R", str(made_once), str(deep)], check=True)
    assert made_once_copy.returncode == 0
    async with embedded_servers(deep) as servers:
        sockets = Path(str(await ask(servers.database_url, "SHOW unix_socket_directories")))
        assert sockets.parent == Path("/tmp")
        assert await ask(servers.database_url, "SELECT 1") == 1
    assert not await asyncio.to_thread(sockets.exists)


async def test_a_server_that_ends_by_itself_is_started_again_at_its_address_with_all_it_held(
    data_directory: Path,
) -> None:
    async with embedded_servers(data_directory) as servers:
        assert servers.redis_url is not None
        await ask(servers.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
        async with Redis.from_url(servers.redis_url) as redis:
            await redis.set("kept", "8")
            await asyncio.sleep(1.5)  # what Valkey writes each second is on the disk then
        for name, pid in pids(data_directory).items():
            os.kill(pid, signal.SIGKILL)
            news = await until(servers.news)
            log = data_directory / f"{'postgres' if name == 'PostgreSQL' else 'valkey'}.log"
            assert news == [f"The embedded {name} ended unexpectedly and was started again (see {log})."]
        assert await ask(servers.database_url, "SELECT number FROM kept") == 7
        async with Redis.from_url(servers.redis_url) as redis:
            assert await redis.get("kept") == b"8"
        assert (servers.trouble(), servers.news()) == (None, [])


async def test_a_server_that_cannot_be_started_again_ends_the_others_and_is_told_with_the_reason(
    data_directory: Path,
) -> None:
    async with embedded_servers(data_directory) as servers:
        found = pids(data_directory)
        (data_directory / "postgres" / "global" / "pg_control").write_bytes(b"")
        os.kill(found["PostgreSQL"], signal.SIGKILL)
        trouble = await until(servers.trouble)
        assert trouble.startswith("The embedded PostgreSQL ended and cannot be started again: could not read file")
        assert servers.trouble() == trouble
        assert await asyncio.to_thread(wait_until_ended, found["Valkey"], 10)


async def test_a_server_that_keeps_ending_is_given_up(data_directory: Path) -> None:
    async with embedded_servers(data_directory, postgres=False) as servers:
        for _ in range(5):
            os.kill(int((data_directory / "valkey" / "relance.pid").read_text()), signal.SIGKILL)
            assert await until(servers.news)
        os.kill(int((data_directory / "valkey" / "relance.pid").read_text()), signal.SIGKILL)
        assert "it ended 6 times within 60 seconds" in await until(servers.trouble)


def pids(directory: Path) -> dict[str, int]:
    return {
        "PostgreSQL": int((directory / "postgres" / "postmaster.pid").read_text().split()[0]),
        "Valkey": int((directory / "valkey" / "relance.pid").read_text()),
    }


async def until(found: Callable[[], T]) -> T:
    """Return what is found as soon as it is anything; fail after 15 seconds."""
    for _ in range(300):
        if value := found():
            return value
        await asyncio.sleep(0.05)
    pytest.fail("nothing within 15 seconds")


def test_a_cancelled_start_leaves_nothing_running(data_directory: Path) -> None:
    async def start_and_be_cancelled() -> None:
        async with embedded_servers(data_directory):
            pytest.fail("cancelled too late")

    async def scenario() -> None:
        task = asyncio.create_task(start_and_be_cancelled())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    assert not (data_directory / "postgres" / "postmaster.pid").exists()
    start_servers(data_directory, postgres=False, valkey=False).stop()


def test_a_file_is_refused_as_a_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DataDirectoryIsAFile, match="is or passes through a file"):
            start_servers(path)


def test_data_of_another_major_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    (tmp_path / "postgres" / "relance.password").write_text("secret\n")
    with pytest.raises(DataOfAnotherPostgres, match=r"holds data of PostgreSQL 16, .* brings PostgreSQL 18"):
        start_servers(tmp_path)
    assert (tmp_path / "postgres" / "PG_VERSION").read_text() == "16\n"


def test_a_foreign_directory_in_the_place_of_the_cluster_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").write_text("mine")
    with pytest.raises(ServerDidNotStart, match="holds no data that Relance made"):
        start_servers(tmp_path)
    assert (tmp_path / "postgres" / "thesis.txt").read_text() == "mine"


def test_damaged_data_is_refused_with_the_words_of_the_log(data_directory: Path) -> None:
    (data_directory / "postgres" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(ServerDidNotStart, match=r"could not read file \"global/pg_control\".* \(see .*postgres.log\)"):
        start_servers(data_directory)


def test_the_guard_is_light() -> None:
    heavy = "print([name for name in ('asyncio', 'asyncpg', 'redis', 'psutil') if name in sys.modules])"
    said = subprocess.check_output([sys.executable, "-c", f"import sys, cli.embedded.guard; {heavy}"], text=True)
    assert said.strip() == "[]"
