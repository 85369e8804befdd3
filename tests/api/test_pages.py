"""The pages beside the API: front, GraphiQL, schema, health, readiness."""

from dataclasses import replace

import httpx
import pytest

from api.app import create_app
from api.schema import sdl
from domain.settings import Settings
from tests.api.conftest import Api, serving


async def test_the_front_page_names_the_addresses(api: Api) -> None:
    page = (await api.http.get("/")).text
    for address in ("/graphql", "/schema.graphql", "/healthz", "/readyz", "ws://127.0.0.1"):
        assert address in page


async def test_the_schema_can_be_fetched_without_a_key(api: Api) -> None:
    assert (await api.http.get("/schema.graphql")).text == sdl()


async def test_graphiql_comes_with_the_demo_key_and_cannot_be_broken_out_of(api: Api) -> None:
    page = (await api.http.get("/graphql", headers={"accept": "text/html"})).text
    assert "rel_demo\\u003c/script>_key" in page
    assert "rel_demo</script>" not in page
    assert "wsConnectionParams" in page


async def test_words_that_name_the_way_out_stand_before_anything_graphiql_takes_from_outside(api: Api) -> None:
    page = (await api.http.get("/graphql", headers={"accept": "text/html"})).text
    before, words, after = page.partition("cannot reach unpkg.com. The API works without it")
    assert words
    assert "https://" not in before
    assert after.count("https://unpkg.com/") == 7
    assert after.index("addEventListener") < after.index("https://")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.0.0.5"])
async def test_the_demo_key_is_filled_in_where_the_page_is_called_by_a_name_of_this_machine(
    api: Api, host: str
) -> None:
    page = await api.http.get("/graphql", headers={"accept": "text/html", "host": host})
    assert "rel_demo" in page.text
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.test:8000", "localhost.evil.test", "127.0.0.1.evil.test", "192.168.1.7:8000", "::1", "a@localhost"]
)
async def test_the_demo_key_is_not_given_to_a_page_called_by_any_other_name(api: Api, host: str) -> None:
    page = await api.http.get("/graphql", headers={"accept": "text/html", "host": host})
    assert (page.status_code, "GraphiQL" in page.text, "rel_demo" in page.text) == (200, True, False)


async def test_no_page_is_served_where_graphiql_is_off(settings: Settings) -> None:
    app = create_app(Settings(database_url=settings.database_url, redis_url=settings.redis_url, secret_key=bytes(32)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        response = await http.get("/graphql", headers={"accept": "text/html"})
    assert response.status_code == 401


async def test_a_server_that_works_is_healthy_and_ready(api: Api) -> None:
    assert (await api.http.get("/healthz")).json()["alive"] is True
    response = await api.http.get("/readyz")
    assert response.status_code == 200, response.text
    assert response.json()["parts"]["database"] == {"ok": True, "needed": True, "reason": None}
    worker = response.json()["parts"]["worker"]
    assert (worker["ok"], worker["needed"]) == (False, False)
    assert "relance worker" in worker["reason"]


async def test_a_server_without_redis_says_so_and_goes_on(settings: Settings) -> None:
    async with (
        serving(replace(settings, redis_url="redis://127.0.0.1:1")) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.config.port}") as http,
    ):
        response = await http.get("/readyz")
        assert response.status_code == 200  # all works without it, slower
        assert "not connected" in response.json()["parts"]["redis"]["reason"]
        assert (await http.get("/healthz")).status_code == 200
