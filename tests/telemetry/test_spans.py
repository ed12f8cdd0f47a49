"""The spans of a call: what the SDK begins, this program goes on with."""

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from tests.support.processes import (
    LIMIT_SECONDS,
    QUICK,
    SIGNALS,
    Network,
    Program,
    draw,
    host,
    network,
)
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS]

INSTRUMENT: Final = Path(sys.executable).with_name("opentelemetry-instrument")
TO_STDOUT: Final = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def traced(net: Network) -> AsyncGenerator[Program]:
    """A server as OpenTelemetry starts it."""
    command = [
        str(INSTRUMENT),
        sys.executable,
        "-m",
        "runapi_mcp",
        "serve",
        "--http",
        "--port",
        "0",
    ]
    environment = {**os.environ, **net.environment(), **TO_STDOUT}
    process = await anyio.open_process(command, env=environment)
    async with process, anyio.create_task_group() as group:
        running = Program(process)
        for lines, stream in (running.stdout, process.stdout), (running.stderr, process.stderr):
            assert stream is not None
            group.start_soon(lines.collect, stream)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()


def spans_in(lines: Sequence[str]) -> list[dict[str, Any]]:
    text, decoder, found = "\n".join(lines).strip(), json.JSONDecoder(), list[dict[str, Any]]()
    while text:
        span, end = decoder.raw_decode(text)
        found.append(span)
        text = text[end:].lstrip()
    return found


async def test_a_call_has_the_spans_of_its_ledger_its_create_its_wait_and_its_fetch() -> None:
    async with network() as net, traced(net) as running:
        serves = await running.stderr.holding("runapi-mcp serves ")
        async with host(serves.split()[2].removesuffix("/mcp"), "/mcp", "auto", KEY) as client:
            await draw(client, QUICK)
        running.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(LIMIT_SECONDS):
            await running.end()
    spans = spans_in(running.stdout.seen)
    [call] = [span for span in spans if span["name"].startswith("tools/call")]
    children = [span for span in spans if span["parent_id"] == id_of(call)]
    names = {span["name"] for span in children}
    assert {"ledger read", "ledger intend", "runapi create", "wait", "fetch"} <= names
    assert {span["context"]["trace_id"] for span in children} == {call["context"]["trace_id"]}
    [wait] = [span for span in children if span["name"] == "wait"]
    assert any(span["name"] == "runapi read" and span["parent_id"] == id_of(wait) for span in spans)
    assert all(span["attributes"] == {} for span in children)
    assert KEY not in str(spans)
    assert QUICK not in str(spans)


def id_of(span: Mapping[str, Any]) -> str:
    return span["context"]["span_id"]
