"""`relance up`: one command starts everything, and nothing of it is left when it ends, however it ends."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo_content import SEQUENCES
from domain.rules.lifecycle import Status
from tests.cli.running import Up, free_port, get, is_running, relance_process, still_running

ALL_TEN = {status.value for status in Status}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One instance for the tests that only look at it."""
    up = Up(tmp_path_factory.mktemp("up") / "data")
    try:
        yield up.begin()
    finally:
        up.stop()


def test_connection_json_holds_what_scripts_need_and_it_the_logs_and_the_mails_are_for_their_owner_alone(
    running: Up,
) -> None:
    assert set(running.connection) == {"graphql", "websocket", "apiKey", "smtp", "mail"}
    for name in ("connection.json", "instance.json", "secret.key", "api.key"):
        assert stat.S_IMODE((running.data / name).stat().st_mode) == 0o600
    running.wait_until(lambda: any((running.data / "mails").iterdir()), "a mail arrived")
    written = [path for place in ("logs", "mails") for path in (running.data / place).iterdir()]
    for path in (*written, *running.data.glob("*.log")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert running.connection["graphql"] == f"http://127.0.0.1:{running.port}/graphql"
    assert running.connection["websocket"] == f"ws://127.0.0.1:{running.port}/graphql"


def test_the_demo_has_someone_in_each_of_the_ten_statuses_and_mails_arrive(running: Up) -> None:
    running.wait_until(lambda: set(running.statuses()) == ALL_TEN, "all ten statuses")
    status, mails = get(f"{running.connection['mail']}api/mails")
    assert status == 200
    assert json.loads(mails)["total"] >= 10


def test_the_demo_has_emails_and_tasks_that_wait_for_a_person(running: Up) -> None:
    query = "{ recipients(filter: {needsAttention: true}) { nodes { opens } } }"

    def opens() -> set[str]:
        return {node["opens"] for node in running.ask(query)["recipients"]["nodes"]}

    running.wait_until(lambda: opens() >= {"EMAIL", "TASK", "ERRORS"}, "each kind of work")


def test_each_of_the_three_things_to_try_works_when_pasted(running: Up) -> None:
    curl = re.search(r"(curl .*?\n.*?)\n", running.words)
    assert curl
    answer = json.loads(subprocess.run(curl[1], shell=True, capture_output=True, text=True, timeout=20).stdout)
    assert len(answer["data"]["recipients"]["nodes"]) == 5
    code, page = get(f"http://127.0.0.1:{running.port}/graphql", {"Accept": "text/html"})
    assert (code, running.connection["apiKey"] in page) == (200, True)
    assert get(running.connection["mail"])[0] == 200


def test_other_commands_find_the_running_instance(running: Up, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("email,first_name\nann@import.test,Ann\n")
    data = ("--data", str(running.data))
    taken = relance_process("import", "contacts", str(people), "--json", *data)
    assert json.loads(taken.stdout)["created"] == 1
    report = relance_process("doctor", *data)
    assert (report.returncode, "Everything works." in report.stdout) == (0, True), report.stdout


def test_a_directory_in_use_is_refused_in_one_sentence_and_left_alone(running: Up) -> None:
    second = relance_process("up", "--data", str(running.data), "--port", str(free_port()))
    assert second.returncode == 1
    assert f"{running.data} is in use by the running process" in second.stderr
    assert "Traceback" not in second.stderr
    assert running.ask("{ __typename }") == {"__typename": "Query"}


def test_a_port_in_use_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = relance_process("up", "--data", str(tmp_path / "data"), "--port", str(port))
    assert answer.returncode == 1
    assert f"Port {port}" in answer.stderr
    assert "--port" in answer.stderr


def test_a_dead_worker_is_started_again(running: Up) -> None:
    (worker,) = (pid for pid in running.descendants() if "cli.child worker" in _command(pid))
    os.kill(worker, signal.SIGKILL)
    running.wait_until(lambda: "The worker ended unexpectedly (SIGKILL)" in running.words, "it said so")

    def another() -> bool:
        return any("cli.child worker" in _command(pid) for pid in running.descendants() - {worker})

    running.wait_until(another, "another worker ran")


def test_servers_that_die_are_started_again_and_everything_goes_on(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", "--no-demo").begin()
    try:
        for name, file in (("Valkey", "valkey/relance.pid"), ("PostgreSQL", "postgres/postmaster.pid")):
            os.kill(int((up.data / file).read_text().split()[0]), signal.SIGKILL)
            again = f"The embedded {name} ended unexpectedly and was started again"
            up.wait_until(lambda again=again: again in up.words, f"{name} was back")
        ready = f"http://127.0.0.1:{up.port}/readyz"
        up.wait_until(lambda: get(ready)[0] == 200, "the API was ready again")
        assert "contactUpsert" in up.ask(
            'mutation { contactUpsert(input: {email: "after@a.test"}) { contact { id } } }'
        )
    finally:
        assert up.stop() == 0
    assert "Traceback" not in up.words


def test_a_server_that_does_not_come_back_ends_everything_with_one_sentence(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", "--no-demo").begin()
    children = up.descendants()
    (up.data / "postgres" / "global" / "pg_control").write_bytes(b"")
    os.kill(int((up.data / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert up.process.wait(60) == 1
    said = up.words.partition("Stop with Ctrl-C.")[2].strip()
    assert said.startswith("The embedded PostgreSQL ended and cannot be started again: could not read file")
    assert len(said.splitlines()) == 1
    assert still_running(children, 15) == set()


def test_a_demo_that_listens_to_the_network_fills_in_no_key(tmp_path: Path) -> None:
    up = Up(tmp_path / "data", "--host", "0.0.0.0").begin()
    try:
        code, page = get(up.connection["graphql"], {"Accept": "text/html"})
        assert (code, up.connection["apiKey"] in page, "filled in" in up.words) == (200, False, False)
    finally:
        assert up.stop() == 0


def test_ctrl_c_ends_everything_and_the_next_start_finds_all_again(tmp_path: Path) -> None:
    first = Up(tmp_path / "data").begin()
    first.wait_until(lambda: set(first.statuses()) == ALL_TEN, "all ten statuses")
    children, key = first.descendants(), first.connection["apiKey"]
    assert len(children) >= 4
    assert first.stop(signal.SIGINT) == 0
    assert still_running(children, 1) == set()
    assert not (first.data / "connection.json").exists()
    assert "Stopped." in first.words

    second = Up(tmp_path / "data").begin()
    children = second.descendants()
    try:
        assert second.connection["apiKey"] == key
        query = "{ sequences { nodes { name } } mailboxes { nodes { address } } }"
        found = second.ask(query)
        assert (len(found["sequences"]["nodes"]), len(found["mailboxes"]["nodes"])) == (len(SEQUENCES), 2)
        assert set(second.statuses()) == ALL_TEN
    finally:
        assert second.stop(signal.SIGTERM) == 0
    assert still_running(children, 1) == set()


def test_kill_9_leaves_no_orphan_and_loses_nothing_and_two_run_side_by_side(tmp_path: Path, running: Up) -> None:
    up = Up(tmp_path / "data", "--no-demo").begin()
    mutation = 'mutation { contactUpsert(input: {email: "kept@a.test"}) { contact { id } } }'
    contact_id = up.ask(mutation)["contactUpsert"]["contact"]["id"]
    assert up.statuses() == {}
    page = get(up.connection["graphql"], {"Accept": "text/html"})[1]
    assert ("GraphiQL" in page, up.connection["apiKey"] in page, "filled in" in up.words) == (True, False, False)
    children = up.descendants()
    assert up.stop(signal.SIGKILL) == -signal.SIGKILL
    assert still_running(children, 15) == set()
    assert "No Relance runs on" in relance_process("doctor", "--data", str(up.data)).stderr
    assert is_running(running.process.pid)

    again = Up(tmp_path / "data", "--no-demo").begin()
    try:
        found = again.ask(f'{{ node(id: "{contact_id}") {{ id }} }}')
        assert found == {"node": {"id": contact_id}}
    finally:
        assert again.stop() == 0


def test_with_servers_of_ones_own_none_are_embedded(
    tmp_path: Path, environment: dict[str, str], empty_database_url: str
) -> None:
    own = {"DATABASE_URL": empty_database_url, "REDIS_URL": environment["REDIS_URL"]}
    up = Up(tmp_path / "data", "--no-demo", environment=own).begin()
    try:
        assert up.statuses() == {}
        assert not (up.data / "postgres").exists()
        assert len(up.descendants()) == 2
    finally:
        assert up.stop() == 0


def test_ctrl_c_while_starting_leaves_nothing_running(tmp_path: Path) -> None:
    up = Up(tmp_path / "data")
    up.wait_until(lambda: "starting PostgreSQL" in up.words, "it began")
    children = up.descendants()
    assert up.stop(signal.SIGINT) == 0
    assert still_running(children, 1) == set()
    assert not (up.data / "connection.json").exists()


def _command(pid: int) -> str:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout
