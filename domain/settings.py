"""The settings of a process, read from the environment once, with every problem reported at once.

Source: `.env.example` names and explains each of them for the operator.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final
from urllib.parse import urlsplit

from domain.connections import credentials
from domain.rules.network import PUBLIC_ONLY, NetworksInvalid, Reach
from domain.secrets import read_key
from domain.sign_in import SignIn, problem_of_jwks_url

# As browsers write it: a slash at the end, or capitals, would never match.
_ORIGIN: Final = re.compile(r"\*|https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


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
    previous_keys: tuple[bytes, ...] = ()  # the latest first; they still open what they sealed and signed
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_origins: tuple[str, ...] = ()  # of browsers; "*" allows any
    public_url: str | None = None  # how people reach this server, and where links in mails lead; None: only from here
    graphiql: bool = False
    demo_key: str | None = None  # filled in for visitors of the page of a demo; never in production
    database_pool_size: int = 10
    worker_slots: int = 20  # messages in the hands of one worker at once
    lease_seconds: int = 30
    events_kept_days: int = 90  # of the feed; whoever has not read for longer reads its lists afresh
    budget_points: int = 200_000  # of each key and each person: a burst that keeps one process busy for 20 seconds
    budget_points_per_second: int = 2_000  # restored: about a fifth of what one process can do
    query_seconds: int = 10  # then it is stopped
    operations_per_key: int = 50  # at once, in one process; so are the next seven
    operations_per_process: int = 500
    subscriptions_per_key: int = 1_000
    subscriptions_per_process: int = 10_000
    uploads_per_key: int = 2
    uploads_per_process: int = 10
    exports_per_key: int = 3
    exports_per_process: int = 15
    reach: Reach = PUBLIC_ONLY  # what may be called on behalf of a workspace
    sign_in: SignIn | None = None  # of people; None: API keys only
    monitor_host: str = "127.0.0.1"
    monitor_port: int | None = None  # for metrics, health and readiness; None: nothing listens
    drain_seconds: int = 0  # how long an API that is to end goes on, not ready any more, before it stops listening
    stop_seconds: int = 20  # how long a worker that is to end waits for what it hands over
    log_level: str = "INFO"
    log_format: str = "auto"  # JSON for machines, text for people; auto: text on a terminal only

    @property
    def links_url(self) -> str:
        """Where the links in mails lead, without a slash at its end."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")


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
    if text := environment.get("RELANCE_PREVIOUS_SECRET_KEYS"):
        try:
            values["previous_keys"] = tuple(read_key(each.strip()) for each in text.split(","))
        except ValueError as problem:
            problems.append(f"RELANCE_PREVIOUS_SECRET_KEYS holds something that is not a key: {problem}.")
    for name, field, least, most in (
        ("RELANCE_PORT", "port", 1, 65535),
        ("RELANCE_MONITOR_PORT", "monitor_port", 1, 65535),
        ("RELANCE_DRAIN_SECONDS", "drain_seconds", 0, 300),
        ("RELANCE_STOP_SECONDS", "stop_seconds", 1, 900),
        ("RELANCE_DATABASE_POOL", "database_pool_size", 2, 200),
        ("RELANCE_WORKER_SLOTS", "worker_slots", 1, 1000),
        ("RELANCE_LEASE_SECONDS", "lease_seconds", 1, 3600),
        ("RELANCE_EVENTS_KEPT_DAYS", "events_kept_days", 1, 3650),
        ("RELANCE_BUDGET_POINTS", "budget_points", 1_000, 1_000_000_000),
        ("RELANCE_BUDGET_POINTS_PER_SECOND", "budget_points_per_second", 1, 1_000_000_000),
        ("RELANCE_QUERY_SECONDS", "query_seconds", 1, 300),
        ("RELANCE_OPERATIONS_PER_KEY", "operations_per_key", 1, 100_000),
        ("RELANCE_OPERATIONS_PER_PROCESS", "operations_per_process", 1, 100_000),
        ("RELANCE_SUBSCRIPTIONS_PER_KEY", "subscriptions_per_key", 1, 1_000_000),
        ("RELANCE_SUBSCRIPTIONS_PER_PROCESS", "subscriptions_per_process", 1, 1_000_000),
        ("RELANCE_UPLOADS_PER_KEY", "uploads_per_key", 1, 1_000),
        ("RELANCE_UPLOADS_PER_PROCESS", "uploads_per_process", 1, 1_000),
        ("RELANCE_EXPORTS_PER_KEY", "exports_per_key", 1, 1_000),
        ("RELANCE_EXPORTS_PER_PROCESS", "exports_per_process", 1, 1_000),
    ):
        if text := environment.get(name):
            if text.isascii() and text.isdigit() and least <= int(text) <= most:
                values[field] = int(text)
            else:
                problems.append(f"{name} is “{text}”; it must be a whole number from {least} to {most}.")
    for name, field in (
        ("RELANCE_HOST", "host"),
        ("RELANCE_MONITOR_HOST", "monitor_host"),
        ("RELANCE_PUBLIC_URL", "public_url"),
        ("RELANCE_DEMO_KEY", "demo_key"),
    ):
        if text := environment.get(name):
            values[field] = text
    if problem_of_url := _problem_of_public_url(environment.get("RELANCE_PUBLIC_URL", "")):
        problems.append(problem_of_url)
    if text := environment.get("RELANCE_ALLOWED_ORIGINS"):
        values["allowed_origins"] = tuple(origin.strip() for origin in text.split(",") if origin.strip())
        problems += [
            f"RELANCE_ALLOWED_ORIGINS names “{origin[:200]}”; an origin is a scheme and a host, with a port where "
            "it is not the usual one, and nothing after it: https://app.example.com. * alone allows any."
            for origin in values["allowed_origins"]
            if not _ORIGIN.fullmatch(origin)
        ]
    if text := environment.get("RELANCE_GRAPHIQL"):
        if text.lower() in ("on", "off"):
            values["graphiql"] = text.lower() == "on"
        else:
            problems.append(f"RELANCE_GRAPHIQL is “{text}”; it must be on or off.")
    if text := environment.get("RELANCE_PRIVATE_NETWORKS"):
        try:
            values["reach"] = Reach.of(text)
        except NetworksInvalid as problem:
            problems.append(f"RELANCE_PRIVATE_NETWORKS is not a list of networks such as 10.0.0.0/8: {problem}.")
    values["sign_in"] = _sign_in(environment, problems)
    if text := environment.get("RELANCE_LOG_LEVEL"):
        if text.upper() in ("DEBUG", "INFO", "WARNING", "ERROR"):
            values["log_level"] = text.upper()
        else:
            problems.append(f"RELANCE_LOG_LEVEL is “{text}”; it must be debug, info, warning or error.")
    if text := environment.get("RELANCE_LOG_FORMAT"):
        if text.lower() in ("auto", "json", "text"):
            values["log_format"] = text.lower()
        else:
            problems.append(f"RELANCE_LOG_FORMAT is “{text}”; it must be json, text or auto.")
    return values, problems


def _sign_in(environment: Mapping[str, str], problems: list[str]) -> SignIn | None:
    url, secret = environment.get("RELANCE_JWT_JWKS_URL"), environment.get("RELANCE_JWT_SECRET")
    issuer, audience = environment.get("RELANCE_JWT_ISSUER"), environment.get("RELANCE_JWT_AUDIENCE")
    if not url and not secret:
        return None
    found = []
    if url and secret:
        found.append("RELANCE_JWT_SECRET is set beside RELANCE_JWT_JWKS_URL; only one of the two can be.")
    if url and (problem := problem_of_jwks_url(url)):
        found.append(f"RELANCE_JWT_JWKS_URL is “{url[:200]}”; {problem}.")
    if secret and len(secret.encode()) < 32:
        found.append("RELANCE_JWT_SECRET is too short: it must have 32 bytes or more.")
    if not issuer:
        found.append("RELANCE_JWT_ISSUER is not set; people's tokens are believed only of one issuer.")
    if not audience:
        found.append("RELANCE_JWT_AUDIENCE is not set; people's tokens are believed only when made for one audience.")
    problems += found
    if found or not issuer or not audience:
        return None
    return SignIn(
        issuer=issuer,
        audience=audience,
        jwks_url=url or None,
        secret=secret.encode() if secret else None,
        workspace_claim=environment.get("RELANCE_JWT_WORKSPACE_CLAIM") or "workspace",
        role_claim=environment.get("RELANCE_JWT_ROLE_CLAIM") or "role",
    )


def _problem_of_public_url(text: str) -> str | None:
    """Return what is wrong with the address that links in mails begin with: it must be HTTPS (RFC 8058 section 3.1)."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.port is None or parts.port else None
    except ValueError:
        host = None
    here = host in ("localhost", "127.0.0.1", "::1")
    plain = text.isascii() and text.isprintable() and not set(text) & set(' <>"?#,')
    if host and plain and "@" not in parts.netloc and (parts.scheme == "https" or (parts.scheme == "http" and here)):
        return None
    return (
        f"RELANCE_PUBLIC_URL is “{text[:200]}”; it must be like https://relance.example.com, "
        "for opt-out links in mails only work over HTTPS (http:// only on this machine itself)."
    )
