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
from domain.secrets import Vault
from domain.settings import gather

_MARKS: Final = {Verdict.FINE: "ok ", Verdict.UNSURE: "?  ", Verdict.BROKEN: "NO "}
_ARQ_HEALTH: Final = "relance:arq:health-check"
_REDIS_FROM: Final = 7
_BRINGS: Final = "`relance up` brings one with it"
_FIXES: Final = {
    "DATABASE_URL": f"Set DATABASE_URL=postgresql://user:password@host:5432/relance; {_BRINGS}.",
    "REDIS_URL": f"Set REDIS_URL=redis://host:6379/0; {_BRINGS}.",
    "RELANCE_SECRET_KEY": (
        "Set it to the key that the passwords were saved with; for a new installation make one: openssl rand -base64 32"
    ),
}


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
    say(
        "Everything works."
        if not found_broken
        else f"Broken: {', '.join(dict.fromkeys(finding.part for finding in found_broken))}."
    )
    return 1 if found_broken else 0


async def _look(environment: Mapping[str, str]) -> list[Finding]:
    values, problems = gather(environment)
    looks = [_api(Place(values["host"], values["port"]))]
    if url := values.get("redis_url"):
        looks.insert(0, _redis(url))
    if url := values.get("database_url"):
        key = values.get("secret_key")
        vault = Vault(key, values["previous_keys"]) if key else None
        looks.insert(0, database_findings(url, vault))
    findings = [broken("settings", line, _fix(line.partition(" ")[0])) for line in problems]
    return [
        *(findings or [fine("settings", "complete")]),
        *(finding for group in await asyncio.gather(*looks) for finding in group),
    ]


def _fix(name: str) -> str:
    return _FIXES.get(name, "Correct it in the environment, or leave it out; .env.example explains each setting.")


async def _redis(url: str) -> list[Finding]:
    address = url.rpartition("@")[2].removeprefix("redis://")
    client = Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3)
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


async def _api(place: Place) -> list[Finding]:
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
