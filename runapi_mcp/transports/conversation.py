"""One client over a pair of streams, as stdio and SSE have it.

An answer's leaving is noticed, and an id that two requests have at once.
"""

from __future__ import annotations

import logging
from contextvars import Context, copy_context
from typing import Any, Final, Self

import anyio.lowlevel
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCResponse,
)

from runapi_mcp.base.printable import echo
from runapi_mcp.server.arrivals import mark_arrival
from runapi_mcp.server.delivery_confirmations import confirm_sent, open_outbox
from runapi_mcp.transports.activity import Activity
from runapi_mcp.transports.incoming import NoMessage

logger = logging.getLogger(__name__)

_ONE_WAY: Final = "notifications/"
_REPEATED: Final = JSONRPCError(
    jsonrpc="2.0",
    id=None,
    error=ErrorData(
        code=INVALID_REQUEST,
        message="A request with this id is still in hand, and this one was not taken. Send it "
        "with an id of its own.",
    ),
)


async def converse(
    server: Server[Any], read: Any, write: Any, activity: Activity | None = None
) -> None:
    """Serve one client over the streams, until it has no more to say.

    What `write` has sent counts as out. Any: the SDK's streams are private types; what is used of
    them is in the classes below.
    """
    activity = activity or Activity()
    outgoing: Any = _Outgoing(write, activity)
    incoming: Any = _Incoming(read, outgoing, activity)
    await server.run(incoming, outgoing, server.create_initialization_options())


class _Stream:
    """What the SDK wants of either stream besides its messages."""

    def __init__(self, stream: Any, activity: Activity) -> None:
        self._stream = stream
        self._activity = activity

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.aclose()


class _Incoming(_Stream):
    """The messages of a client, each with a context of its own: when it came, and its outbox.

    One that cannot be read is answered here, because nobody else would; so is one with an id that
    is in hand, with no id: the answer to the first must not be taken for it.
    """

    last_context: Context | None = None
    """That of the message given last; the SDK handles the message in it."""

    def __init__(self, stream: Any, outgoing: _Outgoing, activity: Activity) -> None:
        super().__init__(stream, activity)
        self._outgoing = outgoing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        while True:
            item = await self._stream.__anext__()
            if isinstance(item, Exception):
                await self._say_no_message(item)
            elif self._activity.repeats(item.message):
                await self._outgoing.send(SessionMessage(_REPEATED))
            else:
                break
        # Where the message came by a request of its own, its context knows that one's key.
        given: Context | None = getattr(self._stream, "last_context", None)
        self.last_context = copy_context() if given is None else given.copy()
        self.last_context.run(mark_arrival)
        self._activity.note_incoming(item.message, self.last_context.run(open_outbox))
        _log_unanswerable(item.message)
        return item

    async def _say_no_message(self, error: Exception) -> None:
        reply = error.reply if isinstance(error, NoMessage) else None
        if reply is None:
            logger.warning("something that is no request was not answered: %s", error)
            return
        if self._activity.awaits(reply.id):
            reply = reply.model_copy(update={"id": None})
        await self._outgoing.send(SessionMessage(reply))


class _Outgoing(_Stream):
    """The answers to a client; each is sent in the context of the message that it answers."""

    async def send(self, item: SessionMessage) -> None:
        self._activity.note_answer(item.message)
        await self._stream.send(item)
        self._activity.note_sent(item.message)
        # One that was cancelled while it left is not waited for.
        await anyio.lowlevel.checkpoint_if_cancelled()
        if isinstance(item.message, JSONRPCResponse):
            await confirm_sent(item.message.id)


def _log_unanswerable(message: object) -> None:
    if isinstance(message, JSONRPCNotification) and not message.method.startswith(_ONE_WAY):
        logger.warning("%s came without an id and was not answered", echo(message.method))
