"""What nobody thought of: schemathesis asks every query and mutation in thousands of ways, with ids that are there."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from tests.api.conftest import Api, mbx, rcp, seq, stp
from tests.api.whole_schema import root_fields
from tests.witness.programs import PY, python_checker

ROOT = Path(__file__).parents[3]
CASES = 2_000


@pytest.mark.timeout(400)
async def test_two_thousand_operations_meet_no_server_error(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = python_checker("schemathesis")
    world = await api.world(people=20)
    page = await api.ask("{ recipients(first: 20) { nodes { contact { id } } } }")
    ids = [
        *(rcp(key) for key in world.recipient_ids),
        *(one["contact"]["id"] for one in page["recipients"]["nodes"]),
        seq(world.sequence_id),
        *(stp(key) for key in world.step_ids),
        mbx(world.mailbox_id),
    ]
    operations = [one for one in root_fields() if one.operation != "subscription"]
    each = -(-CASES // len(operations)) + 2
    command = [
        *("run", str(ROOT / "schema.graphql"), "--url", f"{api.url}/graphql", "--no-color"),
        *("-H", f"Authorization: Bearer {api.key.secret}", "--phases", "fuzzing", "--mode", "positive"),
        *("--checks", "not_a_server_error", "--continue-on-failure", "--max-examples", str(each), "--seed", "1"),
        *("--no-shrink", "--generation-database", "none", "--suppress-health-check", "all", "--workers", "2"),
    ]
    child = await asyncio.create_subprocess_exec(
        program,
        *command,
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "seeded_ids", "PYTHONPATH": str(PY), "WITNESS_IDS": json.dumps(ids)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(child.communicate(), 360)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    told = out.decode()
    assert child.returncode == 0, told[-8000:]
    assert "Missing test data" not in told, told[-8000:]
    (generated,) = re.findall(r"(\d+) generated", told)
    assert int(generated) >= CASES
    # What a client sees masked is in the log of the server, which runs in this process.
    assert [one for one in caplog.records if "errorId" in one.getMessage()] == []
