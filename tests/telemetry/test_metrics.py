"""What `serve --http --metrics` tells Prometheus, in its own parser; and the JSON log beside it."""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import httpx
import pytest
from mcp import MCPError

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.measures import OTHER, ROWS
from runapi_mcp.telemetry.operations import operation_measure
from runapi_mcp.tools import offered
from tests.support.fleet.watched_server import Watched
from tests.support.processes import ENDLESS, draw, drawing, host, network, program
from tests.support.world import KEY

pytestmark = pytest.mark.anyio


PROMPT: Final = "a prompt that no metric may know [[poll-after 0.5s]]"
STRANGE: Final = (
    "a stranger's word",
    "tools/call\n# HELP x",
    '"} 1',
    "flux_2_pro",
    "\u2028",
    "x" * 999,
)
ACCEPT: Final = {"Accept": "application/json, text/event-stream"}
MODEL: Final = "flux-2-pro-text-to-image"
FIELDS: Final = {
    *("time", "level", "message", "logger", "replica"),
    *("task_id", "trace_id", "span_id"),
}
SUFFIX: Final = re.compile("(_seconds)?(_total|_count|_sum|_bucket)?$")
ROWS_BY_NAME: Final = {
    row.name.replace(".", "_"): row
    for row in (*ROWS, operation_measure([tool.name for tool in offered(VARIANTS)]))
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def watched() -> AsyncGenerator[Watched]:
    options = ("--metrics", "127.0.0.1:0", "--log-format", "json", "--port", "0")
    async with (
        network() as net,
        program("serve", "--http", *options, environment=net.environment()) as running,
    ):
        metrics = await running.stderr.holding("tells Prometheus at ")
        serves = await running.stderr.holding("runapi-mcp serves ")
        url = serves.split()[2].removesuffix("/mcp")
        yield Watched(running, url, metrics.split()[-1])


async def test_a_picture_is_counted_from_its_call_to_its_charge(watched: Watched) -> None:
    counted = {
        "runapi_calls_total": {"model": MODEL, "outcome": "new"},
        "runapi_pictures_total": {"model": MODEL, "outcome": "completed"},
        "runapi_client_request_duration_seconds_count": {"operation": "create", "outcome": "ok"},
        "runapi_ledger_duration_seconds_count": {"operation": "intend", "outcome": "ok"},
    }
    before = {name: await watched.value(name, **labels) for name, labels in counted.items()}
    charged = await watched.value("runapi_money_total", kind="charged")
    async with host(watched.url, "/mcp", "auto", KEY) as client:
        await draw(client, PROMPT)
    after = {name: await watched.value(name, **labels) for name, labels in counted.items()}
    assert after == {name: value + 1 for name, value in before.items()}
    assert await watched.value("runapi_money_total", kind="charged") > charged
    assert await watched.value("runapi_ledger_up") == 1
    assert await watched.value("runapi_stages", stage="wait") == 0


async def test_a_call_is_seen_while_it_waits(watched: Watched) -> None:
    async with (
        host(watched.url, "/mcp", "auto", KEY) as client,
        drawing(client, ENDLESS) as waits,
    ):
        await waits.wait()
        assert await watched.value("runapi_stages", stage="wait") == 1


async def test_no_key_prompt_or_id_is_in_any_metric_or_record(watched: Watched) -> None:
    async with host(watched.url, "/mcp", "legacy", KEY) as client:
        content: Any = (await draw(client, PROMPT)).structured_content
        async with drawing(client, ENDLESS) as waits:
            await waits.wait()
    told = await watched.scrape()
    await watched.running.stderr.holding("stopped waiting")
    for secret in (KEY, PROMPT, content["task_id"]):
        assert secret not in told
    for record in watched.records():
        assert record.keys() <= FIELDS
        assert KEY not in str(record)
        assert ENDLESS not in str(record)


async def test_what_a_server_leaves_behind_is_logged_with_its_task(watched: Watched) -> None:
    async with (
        host(watched.url, "/mcp", "auto", KEY) as client,
        drawing(client, ENDLESS) as waits,
    ):
        await waits.wait()
    await watched.running.stderr.holding("stopped waiting")
    record = watched.records()[-1]
    assert record["level"] == "warning"
    assert record["task_id"] in record["message"]
    assert datetime.fromisoformat(record["time"]).tzinfo is not None


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_whatever_strangers_send_no_label_is_theirs(watched: Watched, era: str) -> None:
    async with (
        host(watched.url, "/mcp", era, KEY) as client,
        httpx.AsyncClient(headers={**ACCEPT, "Authorization": f"Bearer {KEY}"}) as http,
    ):
        for words in STRANGE:
            with suppress(MCPError):
                await client.call_tool(words, {words: words})
            message = {"jsonrpc": "2.0", "id": words, "method": words, "params": {"name": words}}
            await http.post(f"{watched.url}/mcp", json=message)
    samples = await watched.samples()
    assert OTHER in {sample.labels.get("gen_ai_tool_name") for sample in samples}
    for sample in samples:
        row = ROWS_BY_NAME.get(SUFFIX.sub("", sample.name))
        for name, value in sample.labels.items() if row else ():
            assert row is not None
            allowed = {label.replace(".", "_"): each for label, each in row.labels.items()}
            assert name == "le" or value in {"", OTHER, *allowed[name]}
