"""One host over stdin and stdout. Ends within a second of EOF, SIGINT or SIGTERM."""

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from runapi_mcp.base.background import Background
from runapi_mcp.transports.conversation import Activity, converse
from runapi_mcp.transports.orphans import until_abandoned
from runapi_mcp.transports.process import leave, leave_soon, settle_memory


async def serve_stdio(server: Server[Any], background: Background) -> None:
    stdout, activity = _Stdout(), Activity()
    try:
        async with stdio_server() as (read, unused):
            await unused.aclose()
            settle_memory()
            async with _ended_from_outside(activity, background) as reasons:
                with stdout.broken:
                    async with background.running():
                        await converse(server, _Messages(read), stdout, activity)
            if reasons or stdout.broken.cancel_called:
                # The thread that reads stdin cannot be woken: joining it would last until the host
                # closes the pipe.
                leave()
    except* anyio.BrokenResourceError:
        # The host went away in the middle of an answer: an end like any other.
        leave()


class _Stdout:
    """The protocol's stdout, where what was sent is out; other prints go to stderr.

    Not the SDK's: that one does not tell when a message is out.
    """

    def __init__(self) -> None:
        self.broken = anyio.CancelScope()
        """Cancelled when nobody reads it any more."""
        self._own = os.dup(1)
        os.dup2(2, 1)
        self._turns = anyio.Lock()

    async def send(self, item: SessionMessage) -> None:
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
        try:
            async with self._turns:
                await anyio.to_thread.run_sync(self._write, line.encode())
        except BrokenPipeError as error:
            self.broken.cancel()
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Nothing: it may still be told why requests in hand end."""

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._own, rest) :]


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
async def _ended_from_outside(
    activity: Activity, background: Background
) -> AsyncGenerator[list[str]]:
    """A scope that is cancelled by SIGINT, SIGTERM and the end of whoever started this process.

    Yields the list that then holds the reason.
    """
    reasons: list[str] = []
    if sys.platform == "win32":
        # No signal handlers on an event loop there; Ctrl+C raises KeyboardInterrupt. Nor does it
        # tell that a parent is gone: EOF has to do.
        yield reasons
        return
    async with anyio.create_task_group() as group:

        def end(reason: str) -> None:
            reasons.append(reason)
            group.cancel_scope.cancel()

        async def watch() -> None:
            await until_abandoned(activity, background)
            end("abandoned")

        group.start_soon(watch)
        group.start_soon(_call_on_signal, end)
        yield reasons
        group.cancel_scope.cancel()


async def _call_on_signal(end: Callable[[str], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            end(number.name)
            # A second signal while the first is obeyed must not tear what is being written down.
            async for _ in signals:
                pass
