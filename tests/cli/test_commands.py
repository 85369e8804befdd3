"""The smaller commands: keys, migrate, doctor, help; and what they say when settings are wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT, Workspace, free_port, relance, relance_process


def test_help_names_every_command_with_examples_and_loads_nothing_heavy() -> None:
    said = relance("--help").stdout
    for words in (
        "up",
        "api",
        "worker",
        "migrate",
        "doctor",
        "keys",
        "users",
        "import",
        "feed",
        "schema",
        "catcher",
        "Examples:",
    ):
        assert words in said
    loaded = subprocess.run(
        [sys.executable, "-c", "import cli.main, sys; print('tortoise' in sys.modules, 'strawberry' in sys.modules)"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert loaded.stdout.split() == ["False", "False"]


def test_a_wrong_command_line_exits_with_2() -> None:
    assert relance("up", "--port", "zero").returncode == 2
    assert relance("nonsense").returncode == 2


def test_settings_that_are_missing_or_wrong_are_listed_all_at_once(tmp_path: Path) -> None:
    answer = relance("keys", "list", environment={"RELANCE_PORT": "none"}, cwd=tmp_path)
    assert answer.returncode == 1
    for name in ("DATABASE_URL", "REDIS_URL", "RELANCE_SECRET_KEY", "RELANCE_PORT"):
        assert f"  - {name} " in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("program", ["api", "worker"])
def test_without_a_database_a_program_says_so_in_one_sentence(program: str, environment: dict[str, str]) -> None:
    port = free_port()
    unreachable = {**environment, "DATABASE_URL": f"postgresql://relance@127.0.0.1:{port}/relance"}
    answer = relance_process(program, environment=unreachable)
    assert answer.returncode == 1
    assert f"PostgreSQL at 127.0.0.1:{port}/relance cannot be reached" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_key_is_made_with_its_workspace_listed_without_its_secret_and_revoked(environment: dict[str, str]) -> None:
    made = json.loads(
        relance("keys", "create", "--name", "ATS", "--workspace", "Fresh", "--json", environment=environment).stdout
    )
    again = json.loads(
        relance("keys", "create", "--name", "CRM", "--workspace", "Fresh", "--json", environment=environment).stdout
    )
    assert made["workspaceId"] == again["workspaceId"]
    listed = relance("keys", "list", environment=environment).stdout
    assert "Fresh: ATS" in listed
    assert made["apiKey"] not in listed
    shown = made["apiKey"].rpartition("_")[0] + "_…"
    assert "opens nothing any more" in relance("keys", "revoke", shown, environment=environment).stdout
    states = {key["name"]: key["revokedAt"] for key in json.loads(_keys(environment)) if key["name"] in ("ATS", "CRM")}
    assert states["ATS"] is not None
    assert states["CRM"] is None


def test_a_key_is_made_with_scopes_and_rotated(environment: dict[str, str]) -> None:
    wanted = ("--scope", "contacts:write", "--scope", "read")
    made = json.loads(
        relance(
            "keys", "create", "--name", "Form", "--workspace", "Scopes", *wanted, "--json", environment=environment
        ).stdout
    )
    assert made["scopes"] == ["read", "contacts:write"]
    shown = made["apiKey"].rpartition("_")[0] + "_…"
    new = json.loads(relance("keys", "rotate", shown, "--json", environment=environment).stdout)
    listed = relance("keys", "list", environment=environment).stdout
    assert listed.count("Scopes: Form (read, contacts:write)") == 2
    assert new["apiKey"] not in listed
    again = relance("keys", "rotate", shown, environment=environment)
    assert (again.returncode, "Two keys of this line" in again.stderr) == (1, True)
    wrong = relance("keys", "create", "--name", "x", "--scope", "everything", environment=environment)
    assert wrong.returncode == 2


def test_users_are_added_listed_and_deactivated(environment: dict[str, str]) -> None:
    relance("keys", "create", "--name", "ATS", "--workspace", "People", environment=environment)
    place = ("--workspace", "People")
    given = ("--name", "Ada", "--email", "ada@example.org", "--subject", "idp|1", "--role", "ADMIN")
    made = json.loads(relance("users", "create", *given, *place, "--json", environment=environment).stdout)
    assert (made["name"], made["role"], made["deactivatedAt"]) == ("Ada", "ADMIN", None)
    twin = relance("users", "create", *given, *place, environment=environment)
    assert (twin.returncode, "this subject already" in twin.stderr) == (1, True)
    assert "Ada <ada@example.org>" in relance("users", "list", *place, environment=environment).stdout
    gone = relance("users", "deactivate", made["id"], *place, environment=environment)
    assert "may do nothing any more" in gone.stdout
    assert "deactivated 20" in relance("users", "list", *place, environment=environment).stdout
    wrong = relance("users", "deactivate", "usr_nobody", *place, environment=environment)
    assert (wrong.returncode, "relance users list" in wrong.stderr) == (1, True)


def _keys(environment: dict[str, str]) -> str:
    return relance("keys", "list", "--json", environment=environment).stdout


def test_an_unknown_key_cannot_be_revoked_and_is_named_so(environment: dict[str, str]) -> None:
    answer = relance("keys", "revoke", "rel_unknown0_…", environment=environment)
    assert answer.returncode == 1
    assert "There is no such API key" in answer.stderr


def test_more_than_one_workspace_asks_which(
    environment: dict[str, str], workspace: Workspace, tmp_path: Path, empty_database_url: str
) -> None:
    relance("keys", "create", "--name", "other", "--workspace", "Another", environment=environment)
    file = tmp_path / "people.csv"
    file.write_text("email\nann@a.test\n")
    answer = relance("import", "contacts", str(file), environment=environment)
    assert answer.returncode == 1
    assert "Say which workspace with --workspace; there is: " in answer.stderr
    taken = relance("import", "contacts", str(file), "--workspace", workspace.name, environment=environment)
    assert (taken.returncode, "created" in taken.stdout) == (0, True)


def test_migrating_twice_is_harmless_and_a_database_without_tables_is_named(
    environment: dict[str, str], empty_database_url: str
) -> None:
    empty = {**environment, "DATABASE_URL": empty_database_url}
    assert "relance migrate" in relance("keys", "list", environment=empty).stderr
    assert relance("migrate", environment=empty).returncode == 0
    second = relance("migrate", "--json", environment=empty)
    assert (second.returncode, json.loads(second.stdout)) == (0, {"applied": []})
    assert relance("keys", "list", environment=empty).returncode == 0


def test_the_doctor_names_a_broken_redis_and_the_fix(environment: dict[str, str]) -> None:
    port = free_port()
    answer = relance("doctor", "--json", environment={**environment, "REDIS_URL": f"redis://127.0.0.1:{port}"})
    report = json.loads(answer.stdout)
    by_part = {finding["part"]: finding for finding in report["findings"]}
    assert (answer.returncode, report["healthy"]) == (1, False)
    assert by_part["Redis"]["verdict"] == "broken"
    assert f"127.0.0.1:{port}" in by_part["Redis"]["found"]
    assert "REDIS_URL" in by_part["Redis"]["fix"]
    assert by_part["PostgreSQL"]["verdict"] == by_part["tables"]["verdict"] == "fine"
    assert by_part["worker"]["verdict"] == "broken"


def test_the_doctor_names_missing_tables_and_wrong_settings(
    environment: dict[str, str], servers: object, tmp_path: Path
) -> None:
    wrong = relance("doctor", environment={"DATABASE_URL": "mysql://x"}, cwd=tmp_path)
    assert wrong.returncode == 1
    assert wrong.stdout.count("NO  settings") == wrong.stdout.count("→ Set ") == 3


def test_the_doctor_looks_at_everything_else_when_settings_are_missing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    some = {"DATABASE_URL": environment["DATABASE_URL"], "REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    answer = relance("doctor", "--json", environment={**some, "RELANCE_PORT": "http"}, cwd=tmp_path)
    findings = json.loads(answer.stdout)["findings"]
    broken = [(finding["part"], finding["found"].partition(" ")[0]) for finding in findings if finding["fix"]]
    assert broken[:2] == [("settings", "RELANCE_SECRET_KEY"), ("settings", "RELANCE_PORT")]
    # An API of somebody's own may answer at the default port.
    assert {part for part, _ in broken} - {"API"} == {"settings", "worker", "Redis"}
    assert "PostgreSQL" in {finding["part"] for finding in findings}


def test_a_directory_on_which_nothing_runs_is_named(tmp_path: Path) -> None:
    answer = relance("keys", "list", "--data", str(tmp_path))
    assert answer.returncode == 1
    assert f"No Relance runs on {tmp_path}" in answer.stderr
