"""`relance doctor`: look at each part an installation needs, name what is broken, and say what to do about it."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.console import run, say, say_json
from cli.database_checks import database_findings
from cli.findings import Finding, Verdict, broken, fine, unsure
from cli.listening import Place
from domain.settings import Settings, SettingsInvalid, read_settings

_MARKS: Final = {Verdict.FINE: "ok ", Verdict.UNSURE: "?  ", Verdict.BROKEN: "NO "}
_ARQ_HEALTH: Final = "relance:arq:health-check"
_REDIS_FROM: Final = 7


def examine(environment: Mapping[str, str], as_json: bool) -> int:
    """Look at everything, print the findings, and return 1 when a part is broken, else 0."""
    findings = run(_look(environment))
    found_broken = [finding for finding in findings if finding.verdict is Verdict.BROKEN]
    if as_json:
        say_json({"healthy": not found_broken, "findings": [asdict(finding) for finding in findings]})
        return 1 if found_broken else 0
    for finding in findings:
        say(f"{_MARKS[finding.verdict]} {finding.part:<14} {finding.found}")
        if finding.fix:
            say(f"{'':<19}→ {finding.fix}")
    say("Everything works." if not found_broken else f"Broken: {', '.join(finding.part for finding in found_broken)}.")
    return 1 if found_broken else 0


async def _look(environment: Mapping[str, str]) -> list[Finding]:
    try:
        settings = read_settings(environment)
    except SettingsInvalid as problem:
        return [
            broken("settings", line, "Set it in the environment; .env.example explains each setting.")
            for line in problem.problems
        ]
    groups = await asyncio.gather(database_findings(settings), _redis(settings), _api(settings))
    return [fine("settings", "complete"), *(finding for group in groups for finding in group)]


async def _redis(settings: Settings) -> list[Finding]:
    address = settings.redis_url.rpartition("@")[2].removeprefix("redis://")
    client = Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=3)
    try:
        server = await client.info("server")
        memory = await client.info("memory")
        beats = await client.get(_ARQ_HEALTH)
    except (RedisError, OSError, TimeoutError) as problem:
        return [
            broken(
                "Redis",
                f"{address} cannot be reached: {problem}",
                "Start Redis or Valkey there, or correct REDIS_URL. Until then screens are told late; nothing is lost.",
            )
        ]
    finally:
        await client.aclose()
    findings = [_redis_version(address, server), _eviction(str(memory.get("maxmemory_policy", "")))]
    if beats:
        findings.append(fine("ticker", "the worker's ticker reported within the last seconds"))
    return findings


def _redis_version(address: str, server: Mapping[str, object]) -> Finding:
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = str(server.get("valkey_version") or server.get("redis_version") or "0")
    wanted = 8 if name == "Valkey" else _REDIS_FROM
    if int(version.partition(".")[0] or 0) < wanted:
        return broken("Redis", f"{name} {version} is too old", f"Use {name} {wanted} or later.")
    return fine("Redis", f"{name} {version} at {address}")


def _eviction(policy: str) -> Finding:
    if policy == "noeviction":
        return fine("Redis memory", "keeps everything (noeviction)")
    return unsure(
        "Redis memory",
        f"may throw keys away when it is full (maxmemory-policy {policy})",
        "Set maxmemory-policy noeviction; a lost key costs a late push.",
    )


async def _api(settings: Settings) -> list[Finding]:
    place = Place(settings.host, settings.port)
    found = await place.readiness()
    if found is None:
        fix = "Start it with `relance api`, or ignore this if it runs elsewhere."
        return [unsure("API", f"nothing answers at {place.address}", fix)]
    if found.code == 200:
        return [fine("API", f"ready at {place.address}")]
    if found.code == 503:
        return [broken("API", f"not ready: {found.body[:300]}", "Mend what it names; it becomes ready by itself.")]
    return [
        broken(
            "API",
            f"something else answers at {place.address} ({found.line[:80]})",
            "Choose another port with RELANCE_PORT, or stop the other program.",
        )
    ]
