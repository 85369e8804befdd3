"""The settings of a process, read from the environment once, with every problem reported at once.

Source: `.env.example` names and explains each of them for the operator.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from domain.database import credentials
from domain.secrets import read_key


class SettingsInvalid(Exception):
    """One or more settings are missing or wrong. `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    database_url: str
    redis_url: str
    secret_key: bytes
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_origins: tuple[str, ...] = ()  # of browsers; "*" allows any
    public_url: str | None = None  # how people reach this server; None: as the request says
    graphiql: bool = False
    demo_key: str | None = None  # filled in for visitors of the page of a demo; never in production
    database_pool_size: int = 10
    worker_slots: int = 20  # messages in the hands of one worker at once
    lease_seconds: int = 60
    log_level: str = "INFO"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings.

    Raises:
        SettingsInvalid: with all problems at once, in plain words.
    """
    values, problems = gather(environment)
    if problems:
        raise SettingsInvalid(problems)
    return Settings(**values)


def gather(environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the settings that are right, or by default so, and a line that begins with its name for each other."""
    problems: list[str] = []
    values: dict[str, Any] = {field.name: field.default for field in fields(Settings) if field.default is not MISSING}
    problems += [
        f"{name} is not set. See .env.example for what it should be."
        for name in ("DATABASE_URL", "REDIS_URL", "RELANCE_SECRET_KEY")
        if not environment.get(name)
    ]
    if url := environment.get("DATABASE_URL"):
        try:
            credentials(url)
            values["database_url"] = url
        except ValueError as problem:
            problems.append(f"DATABASE_URL is not a database address: {problem}.")
    if url := environment.get("REDIS_URL"):
        if url.startswith(("redis://", "rediss://", "unix://")):
            values["redis_url"] = url
        else:
            problems.append("REDIS_URL is not a Redis address: expected redis://user:password@host:port/0.")
    if key := environment.get("RELANCE_SECRET_KEY"):
        try:
            values["secret_key"] = read_key(key)
        except ValueError as problem:
            problems.append(f"RELANCE_SECRET_KEY is not a key: {problem}.")
    for name, field, least, most in (
        ("RELANCE_PORT", "port", 1, 65535),
        ("RELANCE_DATABASE_POOL", "database_pool_size", 2, 200),
        ("RELANCE_WORKER_SLOTS", "worker_slots", 1, 1000),
        ("RELANCE_LEASE_SECONDS", "lease_seconds", 1, 3600),
    ):
        if text := environment.get(name):
            if text.isascii() and text.isdigit() and least <= int(text) <= most:
                values[field] = int(text)
            else:
                problems.append(f"{name} is “{text}”; it must be a whole number from {least} to {most}.")
    for name, field in (
        ("RELANCE_HOST", "host"),
        ("RELANCE_PUBLIC_URL", "public_url"),
        ("RELANCE_DEMO_KEY", "demo_key"),
    ):
        if text := environment.get(name):
            values[field] = text
    if text := environment.get("RELANCE_ALLOWED_ORIGINS"):
        values["allowed_origins"] = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    if text := environment.get("RELANCE_GRAPHIQL"):
        if text.lower() in ("on", "off"):
            values["graphiql"] = text.lower() == "on"
        else:
            problems.append(f"RELANCE_GRAPHIQL is “{text}”; it must be on or off.")
    if text := environment.get("RELANCE_LOG_LEVEL"):
        if text.upper() in ("DEBUG", "INFO", "WARNING", "ERROR"):
            values["log_level"] = text.upper()
        else:
            problems.append(f"RELANCE_LOG_LEVEL is “{text}”; it must be debug, info, warning or error.")
    return values, problems
