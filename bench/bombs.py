"""What a request made to cost much costs the server before it is refused, in CPU, beside a page that is answered."""

import asyncio
import json

import httpx

from bench.commit_to_client import ready
from bench.page import PEOPLE, page_request, prepare
from bench.surroundings import cpu_seconds, embedded, environment, free_port, median, running, table, wait_for
from tests.bombs import BOMBS

ROUNDS = 3
TIMES = 10  # in a row: /proc counts in hundredths of a second


def main() -> None:
    found: dict[str, list[float]] = {}
    told: dict[str, str] = {}
    with embedded() as servers:
        url = asyncio.run(servers.create_database("bench_bombs"))
        secret, sequence_id = asyncio.run(prepare(url))
        port = free_port()
        env = environment(
            url,
            servers.redis_url or "",
            RELANCE_PORT=str(port),
            RELANCE_BUDGET_POINTS="1000000000",
            RELANCE_BUDGET_POINTS_PER_SECOND="1000000000",
        )
        with running("cli", "api", env=env) as api:
            wait_for(lambda: ready(port), "the API is ready")
            headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
                requests = [("a page of 50 recipients", page_request(sequence_id)), *((b.name, b.body) for b in BOMBS)]
                for number in range(-1, ROUNDS):  # the first round warms up
                    for name, body in requests:
                        before = cpu_seconds(api.pid)
                        for turn in range(TIMES):
                            answer = http.post("/graphql", content=_unlike(body, number * TIMES + turn, name)).json()
                        if number >= 0:
                            found.setdefault(name, []).append((cpu_seconds(api.pid) - before) * 1000 / TIMES)
                        told[name] = _refusal(answer)
    rows = [[name, f"{median(figures):.1f}", f"{max(figures):.1f}", told[name]] for name, figures in found.items()]
    table(
        "What is made to cost much, until it is refused",
        ["", "server CPU ms", "worst round", "refused for"],
        rows,
        [
            f"Medians of {ROUNDS} rounds of {TIMES} requests; no document is met a second time.",
            f"The page is of {PEOPLE:,} people, its document known.",
        ],
    )


def _unlike(body: bytes, number: int, name: str) -> bytes:
    """Return the request with another document that means the same, so that no answer is remembered."""
    if name.startswith("a page"):
        return body
    return body.replace(b'"query": "', f'"query": "{"," * (number % 50 + 50)}'.encode(), 1)


def _refusal(answer: dict[str, object]) -> str:
    errors = answer.get("errors")
    if not isinstance(errors, list):
        return "-"
    extensions = errors[0]["extensions"]
    numbers = f" {extensions['found']:,} > {extensions['allowed']:,}" if "found" in extensions else ""
    return f"{extensions.get('limit', json.dumps(extensions['code']))}{numbers}"


if __name__ == "__main__":
    main()
