"""The monitoring port while API and worker do their work: metrics, health, readiness; and that the dashboard and the
alert rules speak of metrics that there are."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import yaml
from prometheus_client import REGISTRY

from api.app import create_app
from api.health import ApiHealth
from cli.catcher import RunningCatcher
from cli.monitoring import monitored
from domain import figures, keys
from domain.rules.actor import Actor
from domain.secrets import Vault
from domain.settings import Settings
from tests.api.conftest import serving
from tests.cli.running import ROOT, free_port
from tests.engine.conftest import until
from tests.world import IN_AN_HOUR, email, make_mailbox, make_world
from workers.health import WorkerHealth
from workers.main import run
from workers.rounds import Round


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_what_api_and_worker_do_is_counted_and_told_on_a_port_of_its_own(
    workspace_id: UUID, actor: Actor, vault: Vault, settings: Settings, catcher: RunningCatcher
) -> None:
    port = free_port()
    settings = replace(settings, monitor_port=port, budget_points=2_000, redis_url="redis://127.0.0.1:1")
    secret = (await keys.create(workspace_id, "tests")).secret
    await make_world(
        workspace_id, actor, vault, steps=[email(), email(wait=IN_AN_HOUR)], people=3, port=catcher.smtp_port
    )
    sent_before = value("relance_sends_total", kind="email", outcome="sent")
    stop, health = asyncio.Event(), WorkerHealth()
    async with (
        serving(settings) as running,
        AsyncExitStack() as ending_it,
        monitored(settings, health),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as monitor,
        httpx.AsyncClient(headers={"authorization": f"Bearer {secret}"}) as http,
    ):
        # Nothing has begun: what is due is late, and the worker is not ready.
        figures.forget()
        text = (await monitor.get("/metrics")).text
        assert 'relance_due_steps{kind="email"} 3.0' in text
        lag = re.search(r'^relance_queue_lag_seconds\{kind="email"\} (.*)$', text, re.MULTILINE)
        assert lag is not None
        assert float(lag[1]) > 0
        assert 'relance_mailboxes{channel="EMAIL",state="CONNECTED"} 1.0' in text
        assert "relance_workers_seen 0.0" in text
        not_yet = await monitor.get("/readyz")
        assert (not_yet.status_code, not_yet.json()["ready"]) == (503, False)
        # Counted in the database at most every 15 seconds, however often it is asked.
        await make_mailbox(workspace_id, vault, address="second@sender.example")
        assert 'relance_mailboxes{channel="EMAIL",state="CONNECTED"} 1.0' in (await monitor.get("/metrics")).text

        task = asyncio.create_task(run(settings, stop, health=health))
        ending_it.push_async_callback(asyncio.wait_for, task, 30)
        ending_it.callback(stop.set)

        async def all_sent() -> bool:
            return value("relance_sends_total", kind="email", outcome="sent") - sent_before >= 3

        await until(all_sent)
        url = f"http://127.0.0.1:{running.config.port}/graphql"
        assert (await http.post(url, json={"query": "{ __typename }"})).status_code == 200
        for _ in range(2):
            much = await http.post(
                url, json={"query": "{ sequences(first: 50) { nodes { recipients(first: 30) { nodes { id } } } } }"}
            )
        assert much.status_code == 429
        figures.forget()
        text = (await monitor.get("/metrics")).text
        for line in (
            'relance_due_steps{kind="email"} 0.0',
            'relance_queue_lag_seconds{kind="email"} 0.0',
            "relance_workers_seen 1.0",
            'relance_api_errors_total{code="RATE_LIMITED",limit="budget"}',
            'relance_operation_seconds_count{kind="query",outcome="ok"}',
            'relance_round_seconds_count{round="send"}',
            'relance_claims_total{kind="email"}',
            "relance_numbering_delay_seconds_count",
            'relance_database_connections{state="allowed"} 12.0',
        ):
            assert line in text, line
        assert "@" not in text

        ready = await monitor.get("/readyz")
        assert ready.status_code == 200, ready.text
        redis = ready.json()["parts"]["redis"]
        assert (redis["ok"], redis["needed"]) == (False, False)
        assert "works without it" in redis["reason"]
        assert (await monitor.get("/healthz")).json()["alive"] is True
        assert (await monitor.get("/graphql")).status_code == 404
        assert (await monitor.post("/metrics")).status_code == 405

        # A loop that does not come round is a reason to start the process anew.
        hanging = Round("hanging", lambda: asyncio.sleep(0, True), every_seconds=1.0)
        hanging.begun_at = asyncio.get_running_loop().time() - 1_000
        before, health.rounds = health.rounds, [hanging]
        stuck = await monitor.get("/healthz")
        assert (stuck.status_code, "hanging" in stuck.json()["parts"]["loops"]["reason"]) == (503, True)
        health.rounds = before

        stop.set()
        ending = await monitor.get("/readyz")
        assert (ending.status_code, ending.json()["parts"]["ending"]["ok"]) == (503, False)
        await asyncio.wait_for(task, 30)
        assert_every_metric_is_there()


def assert_every_metric_is_there() -> None:
    """That what the dashboard and the alert rules name is exposed."""
    exposed: set[str] = set()
    for family in REGISTRY.collect():
        endings = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
        exposed |= {family.name + ending for ending in endings}
    dashboard: dict[str, Any] = json.loads((ROOT / "monitoring/dashboard.json").read_text())
    rules: dict[str, Any] = yaml.safe_load((ROOT / "monitoring/alerts.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [alert["expr"] for alert in alerts]
    named = {name for each in expressions for name in re.findall(r"\b(?:relance|process)_[a-z_]+", each)}
    assert named - exposed == set()
    ours = {
        name for name in exposed if name.startswith("relance_") and not name.endswith(("_bucket", "_sum", "_count"))
    }
    assert ours - named == set(), "the dashboard lacks a metric"
    assert all(alert["annotations"]["summary"].endswith(".") for alert in alerts)
    page = (ROOT / "docs/operations.md").read_text()
    assert [name for name in sorted(ours) if f"`{name}`" not in page] == []


async def test_an_api_that_is_told_to_end_says_so_and_goes_on_for_a_while(settings: Settings) -> None:
    async with (
        serving(replace(settings, drain_seconds=300)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}") as http,
    ):
        assert (await http.get("/readyz")).status_code in (200, 503)  # 503 until the feed was read first
        running.tell_to_end()  # type: ignore[attr-defined]
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["parts"]["ending"]["ok"]) == (503, False)
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.post("/graphql", json={"query": "{ x }"})).status_code == 401  # still answered
        assert not running.should_exit
        running.tell_to_end()  # type: ignore[attr-defined]
        assert running.should_exit
        assert not running.force_exit


async def test_an_api_without_its_database_says_why_it_is_not_ready() -> None:
    app = create_app(Settings(database_url="postgresql://x@127.0.0.1:1/x", redis_url="redis://x", secret_key=bytes(32)))
    parts = {part.name: part.reason for part in await ApiHealth(app.state.process).ready()}
    assert parts["database"] == "PostgreSQL has not been reached yet."
    assert parts["feed"] is not None
