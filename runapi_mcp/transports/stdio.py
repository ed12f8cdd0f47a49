"""One host over stdin and stdout. Ends within a second of EOF, SIGINT or SIGTERM."""

import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from io import TextIOWrapper
from typing import Any

import anyio
import anyio.to_thread
from mcp.os.win32.utilities import rebind_std_handle_to_fd
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage

from runapi_mcp.base.background import Background
from runapi_mcp.base.garbage import settle_memory
from runapi_mcp.front.pipes import Pipes
from runapi_mcp.front.serving import Begun
from runapi_mcp.front.starter import Starter
from runapi_mcp.transports.activity import Activity
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.incoming import NoMessage, message_of, values_in
from runapi_mcp.transports.orphans import until_abandoned
from runapi_mcp.transports.process import leave, leave_soon
from runapi_mcp.transports.replay import Replay


async def serve_stdio(
    server: Server[Any], background: Background, begun: Begun | None = None
) -> None:
    """Serve one host, from where another has begun to."""
    pipes, opening = begun or (Pipes.own(), [])
    replay = Replay(opening)
    stdin, stdout, activity = _Stdin(pipes), _Stdout(pipes, replay), Activity()
    settle_memory()
    try:
        async with _ended_from_outside(activity, background, pipes.starter) as reasons:
            with stdout.broken:
                async with background.running():
                    await converse(
                        server, Messages(stdin.read_line, replay.messages), stdout, activity
                    )
        if reasons or stdout.broken.cancel_called:
            # The thread that reads stdin cannot be woken: joining it would last until the host
            # closes the pipe.
            leave()
    except* anyio.BrokenResourceError:
        # The host went away in the middle of an answer: an end like any other.
        leave()


class Messages:
    """The host's messages, and what is wrong with what is none."""

    def __init__(
        self, read_line: Callable[[], Awaitable[str]], opening: Sequence[SessionMessage] = ()
    ) -> None:
        """`read_line` gives an empty text once there are no more; `opening` came before it."""
        self._read_line = read_line
        self._read: deque[SessionMessage | NoMessage] = deque(opening)

    async def __anext__(self) -> SessionMessage | NoMessage:
        while not self._read:
            line = await self._read_line()
            if not line:
                raise StopAsyncIteration
            if line.strip():
                self._read += _messages_in(line)
        return self._read.popleft()

    async def aclose(self) -> None:
        """Nothing: stdin stays open until the process ends."""


def _messages_in(line: str) -> Iterator[SessionMessage | NoMessage]:
    try:
        values = values_in(line)
    except NoMessage as no_message:
        yield no_message
        return
    for value in values:
        try:
            yield SessionMessage(message_of(value))
        except NoMessage as no_message:
            yield no_message


class _Stdin:
    def __init__(self, pipes: Pipes) -> None:
        # Windows has handles besides descriptors, and children inherit those.
        for descriptor in (0, 1):
            with suppress(OSError):
                rebind_std_handle_to_fd(descriptor)
        self._lines = TextIOWrapper(pipes.reader(), "utf-8", errors="replace")

    async def read_line(self) -> str:
        """A line; empty at the end. Once there are no more, the process ends soon."""
        try:
            line = await anyio.to_thread.run_sync(self._lines.readline, abandon_on_cancel=True)
        except BaseException:
            leave_soon()
            raise
        if not line:
            leave_soon()
        return line


class _Stdout:
    """The protocol's stdout, where what was sent is out.

    Not the SDK's: that one does not tell when a message is out.
    """

    def __init__(self, pipes: Pipes, replay: Replay) -> None:
        self.broken = anyio.CancelScope()
        """Cancelled when nobody reads it any more."""
        self._pipes = pipes
        self._turns = anyio.Lock(fast_acquire=True)
        self._replay = replay

    async def send(self, item: SessionMessage) -> None:
        if self._replay.is_answered_by(item):
            return
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
        line = text.encode()
        try:
            async with self._turns:
                # A thread takes longer than most answers.
                if self._pipes.takes_at_once(line):
                    self._write(line)
                else:
                    await anyio.to_thread.run_sync(self._write, line)
        except BrokenPipeError as error:
            self.broken.cancel()
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Nothing: it may still be told why requests in hand end."""

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._pipes.stdout, rest) :]


@asynccontextmanager
async def _ended_from_outside(
    activity: Activity, background: Background, starter: Starter
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
            await until_abandoned(activity, background, starter)
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
