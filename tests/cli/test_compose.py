"""docker-compose.yml, as far as it can be tried without Docker.

No container engine is at hand here, so the image itself is not built and no container is started. What is tried: the
file can be read, each of our services runs a command that exists, and these commands, started as processes with the
settings the file gives them, come up in the file's order and answer.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.secrets import new_key
from domain.settings import read_settings
from tests.cli.running import ROOT, Program, free_port, get, relance

OURS = ("migrate", "api", "worker", "mail")
_SIZES = (
    "RELANCE_DATABASE_POOL",
    "RELANCE_WORKER_SLOTS",
    "RELANCE_LEASE_SECONDS",
    "RELANCE_EVENTS_KEPT_DAYS",
    "RELANCE_BUDGET_POINTS",
    "RELANCE_BUDGET_POINTS_PER_SECOND",
    "RELANCE_QUERY_SECONDS",
    "RELANCE_OPERATIONS_PER_KEY",
    "RELANCE_OPERATIONS_PER_PROCESS",
    "RELANCE_SUBSCRIPTIONS_PER_KEY",
    "RELANCE_SUBSCRIPTIONS_PER_PROCESS",
    "RELANCE_UPLOADS_PER_KEY",
    "RELANCE_UPLOADS_PER_PROCESS",
    "RELANCE_EXPORTS_PER_KEY",
    "RELANCE_EXPORTS_PER_PROCESS",
    "RELANCE_DRAIN_SECONDS",
    "RELANCE_STOP_SECONDS",
)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def test_the_services_are_those_of_the_architecture_and_can_be_scaled(services: dict[str, Any]) -> None:
    assert set(services) == {"postgres", "redis", *OURS}
    assert all("container_name" not in service for service in services.values())
    assert services["api"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["worker"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_each_of_our_services_runs_a_command_that_exists(services: dict[str, Any]) -> None:
    for name in OURS:
        program, *arguments = services[name]["command"]
        assert program == "relance"
        assert relance(*arguments[:1], "--help").returncode == 0
        options = [argument for argument in arguments if argument.startswith("--")]
        said = relance(*arguments[:1], "--help").stdout if options else ""
        assert all(option in said for option in options)


def test_the_settings_in_the_file_are_settings_we_know(services: dict[str, Any]) -> None:
    known = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name in ("migrate", "api", "worker"):
        assert set(services[name]["environment"]) <= known


def test_what_stands_in_env_reaches_the_api_and_the_workers(services: dict[str, Any]) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    asked_for = set(re.findall(r"\$\{([A-Z_]+)", compose))
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    its_own = {"RELANCE_HOST", "RELANCE_PORT", "RELANCE_MONITOR_HOST", "RELANCE_MONITOR_PORT"}
    assert asked_for == explained - its_own - {"RELANCE_DEMO_KEY", "RELANCE_API_KEY"}
    for name in ("migrate", "api", "worker"):
        assert set(services[name]["environment"]) - its_own <= asked_for


def test_env_copied_as_it_is_only_lacks_the_secret_key_and_points_nowhere_else() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["RELANCE_SECRET_KEY="]


def test_the_defaults_of_the_file_are_those_of_the_program(services: dict[str, Any]) -> None:
    given = services["api"]["environment"]
    sizes = {name: re.sub(r"\$\{[A-Z_]+:-(\d+)\}", r"\1", given[name]) for name in _SIZES}
    needed = {"DATABASE_URL": "postgresql://x@y/z", "REDIS_URL": "redis://x", "RELANCE_SECRET_KEY": new_key()}
    assert read_settings(needed | sizes) == read_settings(needed)


def test_the_image_is_made_from_the_lock_alone_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert all("--require-hashes -r requirements.lock" in line or "--no-deps" in line for line in installs)
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"]
    copied = {line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line}
    assert {"api", "domain", "workers", "cli"} <= copied


def test_migrate_then_api_and_worker_come_up_and_answer(
    services: dict[str, Any], environment: dict[str, str], empty_database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    monitors = {"api": free_port(), "worker": free_port()}
    given = {name: "" for name in services["api"]["environment"] if name.startswith("RELANCE_")}
    here = {
        **given,
        **environment,
        "DATABASE_URL": empty_database_url,
        "RELANCE_PORT": str(port),
        "RELANCE_HOST": "127.0.0.1",
    }

    def start(name: str) -> Program:
        own = {"RELANCE_MONITOR_HOST": "127.0.0.1", "RELANCE_MONITOR_PORT": str(monitors[name])}
        return Program(*services[name]["command"][1:], said=tmp_path / name, environment=here | own)

    def check(name: str) -> int:
        test = services[name]["healthcheck"]["test"]
        code = test[-1].replace(":8000/", f":{port}/").replace(":9464/", f":{monitors[name]}/")
        return subprocess.run([sys.executable, *test[2:-1], code], timeout=10, stderr=subprocess.DEVNULL).returncode

    migrated = relance(*services["migrate"]["command"][1:], environment=here)
    assert migrated.returncode == 0, migrated.stderr
    api, worker = start("api"), start("worker")
    try:
        api.wait_until(lambda: get(f"http://127.0.0.1:{port}/readyz")[0] == 200, "it was ready")
        assert get(f"http://127.0.0.1:{port}/healthz")[0] == 200
        worker.wait_until(lambda: "ready" in worker.words, "the worker was ready")
        for name, program in (("api", api), ("worker", worker)):
            program.wait_until(lambda name=name: check(name) == 0, "its health check was passed")
            status, metrics = get(f"http://127.0.0.1:{monitors[name]}/metrics")
            assert (status, "relance_workers_seen 1.0" in metrics) == (200, True)
            assert get(f"http://127.0.0.1:{monitors[name]}/healthz")[0] == 200
            assert get(f"http://127.0.0.1:{monitors[name]}/graphql")[0] == 404
        assert "ok  worker" in relance("doctor", environment=here).stdout
    finally:
        ends = [program.stop() for program in (worker, api)]
    assert ends == [0, 0], api.words + worker.words


def test_the_mail_catcher_of_the_file_comes_up(services: dict[str, Any], tmp_path: Path) -> None:
    smtp_port, http_port = free_port(), free_port()
    ports = {"1025": str(smtp_port), "8025": str(http_port), "0.0.0.0": "127.0.0.1"}
    arguments = [ports.get(argument, argument) for argument in services["mail"]["command"][1:]]
    mail = Program(*arguments, said=tmp_path / "mail")
    try:
        mail.wait_until(lambda: get(f"http://127.0.0.1:{http_port}/")[0] == 200, "the page answered")
    finally:
        assert mail.stop() == 0
