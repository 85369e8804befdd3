"""The schema as outside tools see it: linted, and operations on it compiled. (The TypeScript preset and ariadne-codegen
compile the same operations in test_quick_start.py.)"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from graphql import parse

from tests.witness.clients.conftest import run
from tests.witness.programs import JS, node

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "docs" / "operations"

# Beside the rules that are eased as a whole, with their reasons, in js/eslint.config.mjs.
EASED = {
    ("@graphql-eslint/relay-arguments", "recipients: PreflightRecipientConnection!"): "paged by the query's arguments",
}


def test_the_schema_keeps_the_rules_of_graphql_eslint_and_of_relay(tmp_path: Path) -> None:
    program = node()
    schema = tmp_path / "schema.graphql"
    shutil.copy(ROOT / "schema.graphql", schema)
    shutil.copy(JS / "eslint.config.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(JS / "node_modules")
    done = subprocess.run(
        [program, "node_modules/eslint/bin/eslint.js", "--format", "json", "schema.graphql"],
        cwd=tmp_path,
        env=os.environ | {"RELANCE_SCHEMA": str(schema)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    (report,) = json.loads(done.stdout)
    lines = schema.read_text(encoding="utf-8").splitlines()
    found = {(one["ruleId"], lines[one["line"] - 1].strip()): one["message"] for one in report["messages"]}
    assert {at: message for at, message in found.items() if at not in EASED} == {}


async def test_relays_compiler_takes_the_example_operations(tmp_path: Path) -> None:
    definitions = [
        one for file in OPERATIONS.glob("*.graphql") for one in parse(file.read_text(encoding="utf-8")).definitions
    ]
    told = await run("relay.mjs", schema=str(ROOT / "schema.graphql"), operations=str(OPERATIONS), folder=str(tmp_path))
    assert told["artifacts"] == len(definitions)
