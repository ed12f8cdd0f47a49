"""A server as OpenTelemetry starts it, and the spans it tells."""

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio

from tests.support.processes import LIMIT_SECONDS, Program

INSTRUMENT: Final = Path(sys.executable).with_name("opentelemetry-instrument")
TO_STDOUT: Final = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}

Span = Mapping[str, Any]  # Any: JSON, as the SDK's exporter writes it


@asynccontextmanager
async def traced(environment: Mapping[str, str], *options: str) -> AsyncGenerator[Program]:
    """One over HTTP, on a port of its own choice."""
    server = ["-m", "runapi_mcp", "serve", "--http", "--port", "0", *options]
    process = await anyio.open_process(
        [str(INSTRUMENT), sys.executable, *server],
        env={**os.environ, **environment, **TO_STDOUT},
    )
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


async def url_of(running: Program) -> str:
    """Its address, once it serves."""
    serves = await running.stderr.holding("runapi-mcp serves ")
    return serves.split()[2].removesuffix("/mcp")


async def spans_of(running: Program) -> Sequence[Span]:
    """All of a server that is told to end, once it has."""
    running.process.send_signal(signal.SIGTERM)
    with anyio.fail_after(LIMIT_SECONDS):
        await running.end()
    text, decoder, found = "\n".join(running.stdout.seen).strip(), json.JSONDecoder(), list[Span]()
    while text:
        span, end = decoder.raw_decode(text)
        found.append(span)
        text = text[end:].lstrip()
    return found


def id_of(span: Span) -> str:
    return span["context"]["span_id"]


def trace_of(span: Span) -> str:
    return span["context"]["trace_id"]
