"""docs/quick-start.md, word for word: what it tells a partner to do works."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.api.conftest import PATIENCE_SECONDS, Api
from tests.witness.programs import JS, found, node, python_checker

ROOT = Path(__file__).parents[3]


def _blocks(language: str) -> str:
    text = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A partner's folder: the schema and the operations."""
    shutil.copy(ROOT / "schema.graphql", tmp_path)
    shutil.copytree(ROOT / "docs" / "operations", tmp_path / "operations")
    return tmp_path


async def _done(desk: Path, *command: str, api: Api | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELANCE_")}
    if api is not None:
        environment |= {"RELANCE_URL": api.url, "RELANCE_API_KEY": api.key.secret}
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=desk,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(child.communicate(), 6 * PATIENCE_SECONDS)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, out.decode()[-6000:]
    return out.decode()


async def test_the_curl_part_enrols_and_follows(api: Api, desk: Path) -> None:
    found("curl", "Get it with: apt-get install curl")
    await api.world(people=1)
    told = await _done(desk, "bash", "-euo", "pipefail", "-c", _blocks("sh"), api=api)
    assert '"status":"ACTIVE"' in told
    assert '"succeeded":2,"failed":0' in told
    assert '"totalCount":2' in told
    assert "event: next" in told


async def test_the_python_part_is_generated_typed_and_follows(api: Api, desk: Path) -> None:
    await api.world(people=1)
    (desk / "pyproject.toml").write_text(_blocks("toml"), encoding="utf-8")
    (desk / "start.py").write_text(_blocks("python"), encoding="utf-8")
    await _done(desk, python_checker("ariadne-codegen"))
    told = await _done(desk, python_checker("python"), "-W", "error::SyntaxWarning", "start.py", api=api)
    assert "SCHEDULED" in told
    assert "recipient.status_changed PAUSED" in told


async def test_the_typescript_part_is_generated_typed_and_follows(api: Api, desk: Path) -> None:
    program = node()
    await api.world(people=1)
    (desk / "node_modules").symlink_to(JS / "node_modules")
    (desk / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (desk / "codegen.json").write_text(_blocks("json"), encoding="utf-8")
    (desk / "start.ts").write_text(_blocks("ts"), encoding="utf-8")
    await _done(desk, program, "node_modules/@graphql-codegen/cli/esm/bin.js", "--config", "codegen.json")
    options = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", "node")
    await _done(desk, program, "node_modules/typescript/bin/tsc", *options, "start.ts")
    told = await _done(desk, program, "start.js", api=api)
    assert "SCHEDULED" in told
    assert "recipient.status_changed PAUSED" in told
