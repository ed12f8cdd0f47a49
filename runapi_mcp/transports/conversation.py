"""One client over a pair of streams, as stdio and SSE have it. An answer's leaving is noticed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCResponse
from pydantic import ValidationError

from runapi_mcp.base.json_values import as_object, is_object
from runapi_mcp.server.delivery_confirmations import Confirmation, Outbox, use_outbox


class PendingSends:
    """Messages in the order in which they leave, each with what is to be done once it is out."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._confirmations: deque[Confirmation | None] = deque()

    def add(self, confirmation: Confirmation | None) -> None:
        self._confirmations.append(confirmation)

    def confirm_first(self) -> None:
        """The first message that was on its way is out."""
        if self._confirmations and (confirmation := self._confirmations.popleft()):
            self._group.start_soon(_confirm, confirmation)

    def clear(self) -> None:
        """What is still on its way does not count as out."""
        self._confirmations.clear()


@asynccontextmanager
async def pending_sends() -> AsyncGenerator[PendingSends]:
    """The sends of one conversation; at its end, what is out is also confirmed."""
    async with anyio.create_task_group() as group:
        sends = PendingSends(group)
        try:
            yield sends
        finally:
            sends.clear()


async def converse(
    server: Server[Any], read: Any, write: Any, sends: PendingSends, *, out_when_taken: bool
) -> None:
    """Serve one client over the streams, until it has no more to say.

    `out_when_taken` is for a writer that does not tell when a message is out. Any: the SDK's
    streams are private types; what is used of them is in the classes below.
    """
    outbox = Outbox()
    outgoing: Any = _Outgoing(write, outbox, sends, out_when_taken=out_when_taken)
    incoming: Any = _Incoming(read, outgoing)
    with use_outbox(outbox):
        await server.run(incoming, outgoing, server.create_initialization_options())


class _Stream:
    """What the SDK wants of either stream besides its messages."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.aclose()


class _Incoming(_Stream):
    """The messages of a client, without a context of their own: it would hide the outbox.

    One that cannot be read is answered here: nobody else would.
    """

    def __init__(self, stream: Any, outgoing: _Outgoing) -> None:
        super().__init__(stream)
        self._outgoing = outgoing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        while isinstance(item := await self._stream.__anext__(), Exception):
            if (reply := _parse_error_reply(item)) is not None:
                await self._outgoing.send(SessionMessage(reply))
        return item


class _Outgoing(_Stream):
    def __init__(
        self, stream: Any, outbox: Outbox, sends: PendingSends, *, out_when_taken: bool
    ) -> None:
        super().__init__(stream)
        self._outbox = outbox
        self._sends = sends
        self._out_when_taken = out_when_taken

    async def send(self, item: SessionMessage) -> None:
        message = item.message
        answered = message.id if isinstance(message, JSONRPCResponse) else None
        self._sends.add(None if answered is None else self._outbox.take(answered))
        await self._stream.send(item)
        if self._out_when_taken:
            self._sends.confirm_first()


async def _confirm(confirmation: Confirmation) -> None:
    # The end of a conversation does not take back that an answer is out.
    with anyio.CancelScope(shield=True):
        await confirmation()


def _parse_error_reply(error: Exception) -> JSONRPCError | None:
    """What to answer; None to what has no id that could be answered."""
    if not isinstance(error, ValidationError):
        return None
    faults = error.errors(include_url=False)
    first = faults[0]
    if first["type"] != "json_invalid":
        # Each names the part that it is about, and one of them the whole.
        whole = next((fault["input"] for fault in faults if is_object(fault["input"])), None)
        return _reply(whole, INVALID_REQUEST, "The message is JSON, but no JSON-RPC request.")
    why = first.get("ctx", {}).get("error", "it cannot be read")
    return _reply(
        _read_leniently(first["input"]),
        PARSE_ERROR,
        f"The message is not valid JSON: {why}. A text that was cut inside an emoji does this: "
        "send it whole.",
    )


def _read_leniently(line: object) -> object:
    """The JSON, where half an emoji, which most often is what is wrong, is taken for a letter."""
    try:
        return json.loads(line) if isinstance(line, str) else None
    except (ValueError, RecursionError):
        return None


def _reply(request: object, code: int, message: str) -> JSONRPCError | None:
    fields = as_object(request)
    request_id = fields.get("id")
    # true is an int to Python, and no id to JSON-RPC.
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return None
    if "method" not in fields or not str(request_id).isprintable():
        return None
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=message))
