"""What a running Relance keeps in its data directory, so that scripts and other commands find it.

    secret.key        seals stored passwords; made at the first start unless RELANCE_SECRET_KEY is set
    api.key           the API key that `relance up` made
    connection.json   for scripts: addresses and the key; there only while it runs
    instance.json     for other commands on this machine: the settings of the running one; there only while it runs
    logs/             api.log, worker.log, up.log

Secrets, logs and mails are readable by their owner alone.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cli.embedded.pids import is_running

DEFAULT_DIRECTORY: Final = Path(".relance")
_SHARED: Final = (
    "DATABASE_URL",
    "REDIS_URL",
    "RELANCE_SECRET_KEY",
    "RELANCE_HOST",
    "RELANCE_PORT",
    "RELANCE_PUBLIC_URL",
    "RELANCE_PRIVATE_NETWORKS",
)


def connection_file(directory: Path) -> Path:
    return directory / "connection.json"


def instance_file(directory: Path) -> Path:
    return directory / "instance.json"


def api_key_file(directory: Path) -> Path:
    return directory / "api.key"


def log_file(directory: Path, program: str) -> Path:
    return directory / "logs" / f"{program}.log"


def write_private(path: Path, text: str) -> None:
    """Put a file in place whole, or not at all; only its owner may read it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with the mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write_private_json(path: Path, value: Mapping[str, object]) -> None:
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_text(path: Path) -> str | None:
    """Return what the file says without the spaces around it; None when there is none, or it is empty."""
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def secret_key(directory: Path, environment: Mapping[str, str]) -> str:
    """Return the operator's key, else the directory's own, which is made when it is missing."""
    if given := environment.get("RELANCE_SECRET_KEY"):
        return given
    file = directory / "secret.key"
    if kept := read_text(file):
        return kept
    from domain.secrets import new_key

    made = new_key()
    write_private(file, made + "\n")
    return made


def shared_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the settings that other commands need to work on a running instance."""
    return {name: environment[name] for name in _SHARED if name in environment}


def settings_of(data: Path | None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment, completed with the settings of the instance that runs on a data directory.

    What is set in the environment rules, unless a directory is named. Without a running instance it stays as it is.
    """
    found = running_settings(data or DEFAULT_DIRECTORY)
    return {**environment, **found} if data else {**found, **environment}


def running_settings(directory: Path) -> dict[str, str]:
    """Return what the instance that runs on a data directory shares; empty when none runs."""
    try:
        stored = json.loads(instance_file(directory).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict) or not is_running(int(stored.get("pid", 0)) or -1):
        return {}  # the last one was killed, and could not clear up behind itself
    return {name: str(stored[name]) for name in _SHARED if name in stored}
