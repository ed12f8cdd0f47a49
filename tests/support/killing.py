"""Conversations with servers that kill themselves at a step of their own code."""

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.support.fork_server import ForkedProcess, Start
from tests.support.pipes import PipeReader
from tests.support.processes import host

FORKS = pytest.mark.skipif(sys.platform != "linux", reason="servers are forked on Linux only")

LONGEST_LINE = 1_000_000


@dataclass(frozen=True, slots=True)
class End:
    """How a server ended, and what it answered before."""

    status: int
    """Its exit status; a negative one is the signal that killed it."""
    answers: Sequence[Mapping[str, Any]]
    """Its answer to the last request; none where it died too early."""


async def conversation(start: Start, *turns: Sequence[str]) -> End:
    """A whole one: a turn's lines are said once the request before is answered.

    The request of a turn has its number; when the last one is answered, the host leaves.
    """
    answers: list[Mapping[str, Any]] = []
    async with ForkedProcess(start) as server:
        await _say(server, *turns[0])
        async for line in _lines(server.stdout):
            if f'"id":{len(answers)},' in line:
                answers.append(json.loads(line))
                rest = turns[len(answers) :]
                await (_say(server, *rest[0]) if rest else server.stdin.aclose())
        return End(await server.wait(), answers[len(turns) - 1 :])


async def call_over_http(start: Start, era: str, key: str, tool: str, arguments: Any) -> End:
    """The call of a host of this era, and the end of the server, which is told to once it answers.

    `arguments` are a tool's, of any kind.
    """
    answers: list[Mapping[str, Any]] = []
    serving = replace(start, arguments=("serve", "--http", "--port", "0"))
    async with ForkedProcess(serving) as server, anyio.create_task_group() as group:

        async def ask() -> None:
            line = await anext(_lines(server.stderr))
            url = line.split()[2].removesuffix("/mcp")
            # Its server may die at any moment.
            with suppress(Exception):
                async with host(url, "/mcp", era, key) as client:
                    result = await client.call_tool(tool, arguments)
                    answers.append({"result": {"structuredContent": result.structured_content}})
            server.send_signal(signal.SIGTERM)

        group.start_soon(ask)
        await server.wait()
        group.cancel_scope.cancel()
    return End(await server.wait(), answers)


@asynccontextmanager
async def stopped(start: Start, *lines: str) -> AsyncGenerator[None]:
    """A server that was said these lines and stopped at its last step; it goes on at the end.

    It may also have come to no such step; then it has ended by its own.
    """
    async with ForkedProcess(start) as server:
        await _say(server, *lines)
        stopped = await server.stopped()
        yield
        if stopped:
            os.kill(server.pid, signal.SIGCONT)
        async for line in _lines(server.stdout):
            if '"id":1,' in line:
                await server.stdin.aclose()


async def _say(server: ForkedProcess, *lines: str) -> None:
    with suppress(anyio.BrokenResourceError):  # it is dead already
        await server.stdin.send("".join(f"{line}\n" for line in lines).encode())


async def _lines(stream: PipeReader | None) -> AsyncGenerator[str]:
    assert stream is not None
    buffered = BufferedByteReceiveStream(stream)
    with suppress(anyio.IncompleteRead):
        while True:
            yield (await buffered.receive_until(b"\n", LONGEST_LINE)).decode()
