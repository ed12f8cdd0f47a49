"""One host over stdin and stdout. Ends within a second of EOF, SIGINT or SIGTERM."""

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from runapi_mcp.transports.conversation import converse, pending_sends
from runapi_mcp.transports.process import leave, leave_soon, settle_memory


async def serve_stdio(server: Server[Any]) -> None:
    try:
        stdout = _Stdout()
        stream: Any = stdout  # Any: it is all of a file that is used
        async with stdio_server(stdout=stream) as (read, write):
            settle_memory()
            async with _cancelled_by_signals() as signalled, pending_sends() as sends:
                stdout.on_flush = sends.confirm_first
                messages = _Messages(read)
                await converse(server, messages, write, sends, out_when_taken=False)
            if signalled:
                # The thread that reads stdin cannot be woken: joining it would last until the host
                # closes the pipe.
                leave()
    except* BrokenPipeError:
        # The host went away in the middle of an answer: an end like any other. At once, because
        # closing a stdout that cannot be flushed would complain once more.
        leave()


class _Stdout:
    """The protocol's stdout, which tells when a message is out; other prints go to stderr."""

    def __init__(self) -> None:
        own = os.dup(1)
        os.dup2(2, 1)
        self._file = anyio.wrap_file(os.fdopen(own, "w", encoding="utf-8", closefd=False))
        self.on_flush: Callable[[], object] = bool

    async def write(self, text: str) -> None:
        await self._file.write(text)

    async def flush(self) -> None:
        await self._file.flush()
        self.on_flush()


class _Messages:
    """The host's messages. Once there are no more, or nobody to answer, the process ends soon."""

    def __init__(self, read: Any) -> None:  # Any: the SDK's stream type is private
        self._read = read

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
            # A second signal while the first is obeyed must not tear what is being written down.
            async for _ in signals:
                pass
