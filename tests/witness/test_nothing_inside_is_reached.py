"""Whatever host a workspace names, for webhooks, for sending or for reading: nothing inside is connected to.

In a network of its own, where every address of the world answers. reliability.md R20.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.witness.everywhere import PUBLIC
from tests.witness.programs import found

pytestmark = pytest.mark.witness
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reached() -> dict[str, set[tuple[str, int]]]:
    """What each host led to. Where no network of its own can be made, there is nothing to judge."""
    unshare = found("unshare", "It is part of util-linux: apt-get install util-linux")
    found("ip", "It is part of iproute2: apt-get install iproute2")
    alone = [unshare, "--net", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("this account may not make a network of its own (it takes root, or CAP_SYS_ADMIN)")
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.witness.everywhere"],
        cwd=_ROOT,
        capture_output=True,
        timeout=110,
        check=False,
    )
    if b"no network of its own" in done.stderr:
        pytest.skip(done.stderr.decode())
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    return {host: {(address, port) for address, port in connections} for host, connections in told.items()}


def test_public_hosts_are_reached_in_each_way(reached: dict[str, set[tuple[str, int]]]) -> None:
    for host in (*PUBLIC, "public.example"):
        assert {port for _, port in reached[host]} == {443, 8443, 25, 587, 143, 993}, host
        assert {address for address, _ in reached[host]} <= set(PUBLIC)


def test_nothing_inside_is_connected_to_whatever_a_host_is_called(reached: dict[str, set[tuple[str, int]]]) -> None:
    assert len(reached) >= 60
    inside = {
        host: connections
        for host, connections in reached.items()
        if not {address for address, _ in connections} <= set(PUBLIC)
    }
    assert inside == {}


def test_a_name_that_leads_elsewhere_the_second_time_is_called_at_what_was_looked_at(
    reached: dict[str, set[tuple[str, int]]],
) -> None:
    assert {address for address, _ in reached["rebinding.example"]} == {"8.8.8.8"}
    assert {address for address, _ in reached["rebound.example"]} <= {"8.8.8.8"}
    for name in ("both.example", "inside.example", "mapped.example"):
        assert reached[name] == set(), name
