"""One host over stdin and stdout. Ends within a second of EOF, SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from runapi_mcp.transports.process import leave, leave_soon, settle_memory


async def serve_stdio(server: Server[Any]) -> None:
    """Serve one host over stdin and stdout until it closes them or a signal comes."""
    try:
        async with stdio_server() as (read, write):
            settle_memory()
            async with _cancelled_by_signals() as signalled:
                messages: Any = _UntilTheEnd(read)  # Any: it is all of a stream that is used
                await server.run(messages, write, server.create_initialization_options())
            if signalled:
                # The thread that reads stdin cannot be woken: joining it would last until the host
                # closes the pipe.
                leave()
    except* BrokenPipeError:
        # The host went away in the middle of an answer: an end like any other. At once, because
        # closing a stdout that cannot be flushed would complain once more.
        leave()


class _UntilTheEnd:
    """The host's messages. Once there are no more, or nobody to answer, the process ends soon."""

    def __init__(self, read: Any) -> None:  # Any: the SDK's stream type is private
        self._read = read

    def __aiter__(self) -> _UntilTheEnd:
        return self

    async def __anext__(self) -> object:
        try:
            return await self._read.__anext__()
        except BaseException:
            leave_soon()
            raise

    async def aclose(self) -> None:
        await self._read.aclose()


@asynccontextmanager
async def _cancelled_by_signals() -> AsyncGenerator[list[int]]:
    """A scope that SIGINT and SIGTERM cancel; yields the list that then holds the signal."""
    received: list[int] = []
    if sys.platform == "win32":
        # No signal handlers on an event loop there; Ctrl+C raises KeyboardInterrupt.
        yield received
        return
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_on_signal, group.cancel_scope, received)
        yield received
        group.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope, received: list[int]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            received.append(number)
            scope.cancel()
            return
