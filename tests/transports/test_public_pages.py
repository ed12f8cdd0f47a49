"""Over HTTP: addresses as clients and proxies write them, and what who only looks is told."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpx
import pytest

from runapi_mcp import __version__
from tests.support.processes import LIMIT_SECONDS, draw, host, network, program
from tests.support.world import ERAS, KEY, facts

pytestmark = pytest.mark.anyio

CARD = "/mcp/server-card"
CATALOG = "/.well-known/mcp/catalog.json"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(*options: str) -> AsyncGenerator[str]:
    """A server, and its address as it says it."""
    command = ("serve", "--http", "--port", "0", *options)
    async with network() as net, program(*command, environment=net.environment()) as running:
        yield (await running.stderr.holding("runapi-mcp serves ")).split()[2]


@pytest.fixture(scope="module")
async def behind_a_prefix() -> AsyncGenerator[str]:
    """A server that its clients find below /flux: its own address, without that."""
    async with serving("--root-path", "/flux/") as address:
        assert address.endswith("/flux/mcp")
        yield address.removesuffix("/flux/mcp")


@pytest.fixture(scope="module")
async def plain() -> AsyncGenerator[str]:
    async with serving("--allow-host", "draw.example") as address:
        yield address.removesuffix("/mcp")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/sse", "/sse/"])
@pytest.mark.parametrize("prefix", ["/flux", ""], ids=["left by the proxy", "taken by the proxy"])
async def test_a_prefix_may_be_left_or_taken_by_the_proxy(
    behind_a_prefix: str, prefix: str, path: str, era: str
) -> None:
    async with host(behind_a_prefix + prefix, path, era, KEY) as client:
        assert facts(await draw(client))["status"] == "completed"


@pytest.mark.parametrize("path", ["/mcp/", "/sse/", "/healthz/", f"{CARD}/"])
async def test_a_last_slash_is_no_other_address_and_redirects_nobody(plain: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=plain, timeout=LIMIT_SECONDS) as http:
        async with http.stream("OPTIONS", path) as with_slash:
            pass
        async with http.stream("OPTIONS", path.rstrip("/")) as without:
            pass
    assert with_slash.status_code == without.status_code
    assert "location" not in with_slash.headers


@pytest.mark.parametrize("path", ["/sse", "/sse/"])
@pytest.mark.parametrize("prefix", ["", "/flux", "/deep/er"])
async def test_sse_names_an_address_that_holds_behind_any_prefix(
    plain: str, prefix: str, path: str
) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        httpx.AsyncClient(base_url=plain, timeout=LIMIT_SECONDS) as http,
        http.stream("GET", path, headers=headers) as stream,
    ):
        lines = (line async for line in stream.aiter_lines())
        told = [await anext(lines) for _ in range(2)]
    assert told[0] == "event: endpoint"
    where = urljoin(f"https://draw.example{prefix}{path}", told[1].removeprefix("data: "))
    assert where.startswith(f"https://draw.example{prefix}/messages/?session_id=")


@pytest.mark.parametrize("given", ["flux", "/flux?x", "https://draw.example/flux", "/a b", "/a//b"])
async def test_a_prefix_that_is_no_path_is_refused(given: str) -> None:
    async with program("serve", "--http", "--port", "0", "--root-path", given) as running:
        line = await running.stderr.holding("--root-path")
    assert "Write what stands before /mcp" in line


async def test_the_front_page_says_what_this_is(plain: str) -> None:
    async with httpx.AsyncClient(base_url=plain) as http:
        page = await http.get("/", headers={"Host": "draw.example"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<pre>http://draw.example/mcp</pre>" in page.text
    assert "Authorization: Bearer KEY" in page.text


async def test_the_card_says_how_to_connect_and_the_catalogue_where_the_card_is(
    behind_a_prefix: str,
) -> None:
    elsewhere = {"Origin": "https://registry.example", "Accept": "application/mcp-server-card+json"}
    async with httpx.AsyncClient(base_url=f"{behind_a_prefix}/flux") as http:
        catalog = await http.get(CATALOG, headers=elsewhere)
        [entry] = catalog.json()["entries"]
        card = await http.get(entry["url"], headers=elsewhere)
    assert entry["url"] == f"{behind_a_prefix}/flux{CARD}"
    assert card.headers["content-type"] == entry["type"] == "application/mcp-server-card+json"
    for answer in (card, catalog):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "public, max-age=3600"
    told = card.json()
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", told["name"])
    assert told["version"] == __version__
    assert 1 <= len(told["description"]) <= 100
    streamable, sse = told["remotes"]
    path = streamable["url"].removeprefix(behind_a_prefix)
    async with host(behind_a_prefix, path, "auto", KEY) as client:
        assert client.protocol_version in streamable["supportedProtocolVersions"]
        assert client.server_info
        assert client.server_info.title == told["title"]
    assert (streamable["type"], sse["type"]) == ("streamable-http", "sse")
    assert [header["isRequired"] for header in streamable["headers"]] == [True]
