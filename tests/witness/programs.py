"""The programs from outside that judge us: where they are, and what to say when one is missing."""

import os
import shutil
from pathlib import Path

import pytest

JS = Path(__file__).with_name("js")
PY = Path(__file__).with_name("py")
_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"])
_POSTGRES_VERSIONS = ("15", "16", "17")  # older than the embedded one; the oldest that is found is taken


def missing(what: str, how: str) -> None:
    """End the test: skipped on a desk, failed in CI, where nothing may be left out."""
    words = f"{what} is missing. {how}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(words, pytrace=False)
    pytest.skip(words)


def found(name: str, how: str) -> str:
    """Return the path of a program; end the test when there is none."""
    path = shutil.which(name, path=_PLACES)
    if path is None:
        missing(name, how)
    return str(path)


def smtp_sink() -> str:
    return found("smtp-sink", "It comes with Postfix: apt-get install --no-install-recommends postfix")


def redis_server() -> str:
    return found("redis-server", "Get it with: apt-get install redis-server")


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name, path=_PLACES):
            return path
    missing("Chromium", "Get it with: apt-get install chromium")
    raise AssertionError("unreachable")


def node() -> str:
    """Return Node's path; the packages of `js/` are there then."""
    path = found("node", "Get Node.js 20 or later with: apt-get install nodejs npm")
    if not (JS / "node_modules" / "graphql-ws").is_dir() or not (JS / "node_modules" / "graphql-sse").is_dir():
        missing("A client of npm", "Get all of them with: npm ci --prefix tests/witness/js --ignore-scripts")
    return path


def python_checker(name: str) -> str:
    """Return a program of the environment of `py/`, where the checkers in Python are."""
    path = PY / ".venv" / "bin" / name
    if not path.exists():
        missing(name, "Get it with: make -C tests/witness/py")
    return str(path)


def postgres_programs() -> Path:
    """Return the directory of an older PostgreSQL's programs, as Debian and Ubuntu lay them out."""
    for version in _POSTGRES_VERSIONS:
        programs = Path(f"/usr/lib/postgresql/{version}/bin")
        if (programs / "initdb").exists():
            return programs
    missing("An older PostgreSQL", "Get it with: apt-get install postgresql-15")
    raise AssertionError("unreachable")


def typescript() -> Path:
    """Return the TypeScript compiler, which Node runs."""
    compiler = JS / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        missing("The TypeScript compiler", "Get it with: npm ci --prefix tests/witness/js")
    return compiler
