"""Whole sessions as hosts hold them: every way in, both eras, every failure at once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client

from tests.support.processes import (
    DRAW,
    LIMIT_SECONDS,
    Network,
    draw,
    host,
    network,
    program,
    stdio_server,
)
from tests.support.world import ERAS, KEY, facts, said

pytestmark = pytest.mark.anyio

ENDS = {
    "[[fail: no foxes today]]": 'says: "no foxes today"',
    "[[401]]": "did not accept the API key",
    "[[402]]": "does not have enough credit",
    "[[404]]": 'says: "Not found"). Nothing was paid.',
    "[[422]]": "prompt was refused, as the sandbox was asked",
}
"""What ends a call as an error, and what the error says."""
RECOVERS = [
    f"[[{where} {kind} x1]]"
    for where in ("create", "created", "poll")
    for kind in ("429 0.1s", "500", "503", "html", "torn", "slow 0.1s", "broken-json")
]
"""What a call gets over, for one charge."""
OTHERS = [("stdio", "legacy"), *((way, era) for way in ("/mcp", "/sse") for era in ERAS)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def session(way: str, era: str, net: Network) -> AsyncGenerator[Client]:
    """A host's session with a server on this network."""
    if way == "stdio":
        async with Client(stdio_server(net), mode=era) as client:
            yield client
        return
    options = ("serve", "--http", "--port", "0")
    async with program(*options, environment=net.environment()) as running:
        url = (await running.stderr.holding("runapi-mcp serves ")).split()[2]
        async with host(url.removesuffix("/mcp"), way, era, KEY) as client:
            yield client


# The rate limit of the key makes one that meets all take seconds: the others share them.
@pytest.mark.parametrize(
    ("way", "era", "recovers"),
    [("stdio", "auto", RECOVERS)]
    + [(*other, RECOVERS[number :: len(OTHERS)]) for number, other in enumerate(OTHERS)],
)
async def test_a_session_meets_failures_and_pays_once_for_each_picture(
    way: str, era: str, recovers: list[str]
) -> None:
    said_of: dict[str, str] = {}
    status_of: dict[str, str] = {}

    async def fail(directive: str) -> None:
        result = await draw(client, f"a fox {directive}")
        assert result.is_error
        said_of[directive] = said(result)

    async def recover(directive: str) -> None:
        result = await draw(client, f"a fox {directive} [[poll-after 0.5s]]")
        status_of[directive] = facts(result)["status"]

    async with network() as net, session(way, era, net) as client:
        with anyio.fail_after(LIMIT_SECONDS):
            async with anyio.create_task_group() as calls:
                for directive in ENDS:
                    calls.start_soon(fail, directive)
                for directive in recovers:
                    calls.start_soon(recover, directive)
        assert {d for d, sentence in ENDS.items() if sentence not in said_of[d]} == set()
        assert status_of == dict.fromkeys(recovers, "completed")
        assert net.account().spent_cents == 5 * len(recovers)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("way", ["stdio", "/mcp", "/sse"])
async def test_a_session_goes_on_from_an_id_that_was_handed_out(way: str, era: str) -> None:
    async with network() as net, session(way, era, net) as client:
        handed = facts(await client.call_tool(DRAW, {"prompt": "a fox", "wait_seconds": 0}))
        result = await client.call_tool("get_task", {"task_id": handed["task_id"]})
        assert facts(result)["image_urls"] == [f"{net.base_url}/images/{handed['task_id']}.png"]
        balance = facts(await client.call_tool("check_balance"))
        assert balance["spent_today_cents"] == 5
