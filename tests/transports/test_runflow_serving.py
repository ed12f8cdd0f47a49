"""Servers as processes that have a key of Runflow: over stdio, and over HTTP where it is shared."""

import json
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.sandbox.runflow import RUNFLOW_SANDBOX_KEY
from tests.support.processes import Network, finished, host, network, opening, program, request
from tests.support.sellers import RUNFLOW_SELLER
from tests.support.world import ERAS, facts, said

pytestmark = pytest.mark.anyio
FLEX, KEY = RUNFLOW_SELLER.tool, RUNFLOW_SELLER.key
FOX = {"prompt": "a fox", "wait_seconds": 0}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(*options: str) -> AsyncGenerator[tuple[str, Network]]:
    """Where a server is that has a key of both vendors, and whom it asks."""
    command = ("serve", "--http", "--port", "0", *options)
    async with network() as net:
        environment = {**net.environment(), **net.runflow_environment(KEY)}
        async with program(*command, environment=environment) as running:
            line = await running.stderr.holding("runapi-mcp serves ")
            yield line.split()[2].removesuffix("/mcp"), net


def runs(net: Network) -> int:
    return len(net.sandbox.runflow.accounts.of(KEY).tasks)


async def over_stdio(
    era: str, environment: Mapping[str, str], *calls: tuple[str, Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """The tools of a server, and what it says to calls."""
    async with program(environment=environment) as running:
        await running.write(*opening(era), request(1, "tools/list", era))
        tools = (await running.answer(1))["tools"]
        told: list[str] = []
        for number, (tool, arguments) in enumerate(calls, 2):
            await running.write(
                request(number, "tools/call", era, name=tool, arguments=dict(arguments))
            )
            told.append((await running.answer(number))["content"][0]["text"])
        return [tool["name"] for tool in tools], told


@pytest.mark.parametrize("era", ERAS)
async def test_over_stdio_the_first_list_has_the_tool_and_it_draws(era: str) -> None:
    async with network() as net:
        environment = {**net.environment(), **net.runflow_environment(KEY)}
        names, [told] = await over_stdio(era, environment, (FLEX, FOX))
        assert FLEX in names
        assert told.startswith("status: ")
        assert runs(net) == 1


async def test_in_the_sandbox_the_key_is_not_used() -> None:
    environment = {
        "RUNAPI_SANDBOX": "1",
        "RUNFLOW_API_KEY": "rf_live_of_a_person",
        "RUNFLOW_BASE_URL": "http://127.0.0.1:9/nobody",
    }
    names, [told] = await over_stdio("auto", environment, (FLEX, FOX))
    assert FLEX in names
    assert "From the sandbox: a practice answer, not Runflow" in told


async def test_a_key_that_is_none_is_told_at_the_start_and_offers_nothing() -> None:
    async with network() as net:
        environment = {**net.environment(), "RUNFLOW_API_KEY": "${RUNFLOW_API_KEY}"}
        async with program(environment=environment) as running:
            await running.write(*opening("auto"), request(1, "tools/list", "auto"))
            assert FLEX not in json.dumps(await running.answer(1))
            await running.stderr.holding("RUNFLOW_API_KEY holds no API key.")


async def test_over_http_it_is_there_only_where_the_key_is_shared() -> None:
    async with serving() as (url, _), host(url, "/mcp", "auto", RUNFLOW_SANDBOX_KEY) as client:
        assert FLEX not in [tool.name for tool in (await client.list_tools()).tools]
    async with serving("--share-key") as (url, net):
        async with host(url, "/mcp", "auto", key=None) as client:
            assert FLEX in [tool.name for tool in (await client.list_tools()).tools]
            told = facts(await client.call_tool(FLEX, FOX))
            assert (runs(net), told["model"]) == (1, "runflow-flux-2-flex-text-to-image")
        # Who brings keys at will would have a new budget with each.
        async with host(url, "/mcp", "auto", f"sandbox-{uuid.uuid4().hex}") as client:
            refused = said(await client.call_tool(FLEX, {"prompt": "a hare"}))
            assert refused.startswith("There is no API key of Runflow for this call.")
            assert refused.endswith("(Whoever runs this server sets that.)")
            prices = facts(await client.call_tool("check_pricing", {}))["prices"]
            assert not any(price["model"].startswith("runflow") for price in prices)
            assert runs(net) == 1


def test_to_name_it_without_the_key_is_told_at_the_start() -> None:
    named = {"RUNAPI_VARIANTS": "pro,runflow-flux-2-flex-text-to-image", "RUNAPI_SANDBOX": "1"}
    refused = finished("serve", environment=named)
    assert refused.returncode == 2
    assert (
        "RUNAPI_VARIANTS names runflow-flux-2-flex-text-to-image, and there is no key of Runflow. "
        "Set RUNFLOW_API_KEY (over HTTP with --share-key), or take the name out."
    ) in refused.stderr


async def test_the_command_for_tasks_fetches_one_of_runflow(tmp_path: Path) -> None:
    async with network() as net:
        environment = {
            **net.environment(),
            **net.runflow_environment(KEY),
            "RUNAPI_LEDGER": str(tmp_path / "ledger.db"),
            "RUNAPI_OUTPUT_DIR": str(tmp_path),
        }
        _, [told] = await over_stdio("auto", environment, (FLEX, {**FOX, "wait_seconds": 60}))
        assert told.startswith("image_paths:")
        [task_id] = net.sandbox.runflow.accounts.of(KEY).tasks
        fetch = partial(finished, "tasks", task_id, "--json", environment=environment)
        fetched = await anyio.to_thread.run_sync(fetch)
    assert json.loads(fetched.stdout)["model"] == "runflow-flux-2-flex-text-to-image"
