"""One client over a pair of streams, as stdio and SSE have it. An answer's leaving is noticed."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse

from runapi_mcp.server.delivery_confirmations import Outbox, Receipt, opened
from runapi_mcp.transports.parse_errors import complaint


class Departures:
    """Messages in the order in which they leave, each with what is to be done once it is out."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._receipts: deque[Receipt | None] = deque()

    def add(self, receipt: Receipt | None) -> None:
        """One more message is on its way."""
        self._receipts.append(receipt)

    def first_is_out(self) -> None:
        """The first message that was on its way is out."""
        if self._receipts and (receipt := self._receipts.popleft()):
            self._group.start_soon(_finished, receipt)

    def end(self) -> None:
        """What is still on its way does not count as out."""
        self._receipts.clear()


@asynccontextmanager
async def departures() -> AsyncGenerator[Departures]:
    """Departures of one conversation; at its end, what is out is also done."""
    async with anyio.create_task_group() as group:
        leaving = Departures(group)
        try:
            yield leaving
        finally:
            leaving.end()


async def converse(
    server: Server[Any], read: Any, write: Any, leaving: Departures, *, out_when_taken: bool
) -> None:
    """Serve one client over the streams, until it has no more to say.

    `out_when_taken` is for a writer that does not tell when a message is out. Any: the SDK's
    streams are private types; what is used of them is in the classes below.
    """
    outbox = Outbox()
    outgoing: Any = _Outgoing(write, outbox, leaving, out_when_taken=out_when_taken)
    incoming: Any = _Incoming(read, outgoing)
    with opened(outbox):
        await server.run(incoming, outgoing, server.create_initialization_options())


class _Incoming:
    """The messages of a client, without a context of their own: it would hide the outbox.

    One that cannot be read is answered here: nobody else would.
    """

    def __init__(self, stream: Any, outgoing: _Outgoing) -> None:
        self._stream = stream
        self._outgoing = outgoing

    def __aiter__(self) -> _Incoming:
        return self

    async def __anext__(self) -> object:
        while isinstance(item := await self._stream.__anext__(), Exception):
            if (answer := complaint(item)) is not None:
                await self._outgoing.send(SessionMessage(answer))
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.aclose()


class _Outgoing:
    """The answers to a client."""

    def __init__(
        self, stream: Any, outbox: Outbox, leaving: Departures, *, out_when_taken: bool
    ) -> None:
        self._stream = stream
        self._outbox = outbox
        self._leaving = leaving
        self._out_when_taken = out_when_taken

    async def send(self, item: SessionMessage) -> None:
        message = item.message
        answered = message.id if isinstance(message, JSONRPCResponse) else None
        self._leaving.add(None if answered is None else self._outbox.take(answered))
        await self._stream.send(item)
        if self._out_when_taken:
            self._leaving.first_is_out()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.aclose()


async def _finished(receipt: Receipt) -> None:
    # The end of a conversation does not take back that an answer is out.
    with anyio.CancelScope(shield=True):
        await receipt()
