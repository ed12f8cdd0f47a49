"""One client over a pair of streams, as stdio and SSE have it. An answer's leaving is noticed."""

from __future__ import annotations

import logging
from contextvars import Context, copy_context
from typing import Any, Final, Self
from weakref import WeakValueDictionary

import anyio.lowlevel
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from runapi_mcp.base.printable import echo
from runapi_mcp.server.arrivals import mark_arrival
from runapi_mcp.server.delivery_confirmations import Outbox, confirm_sent, open_outbox
from runapi_mcp.transports.incoming import NoMessage

logger = logging.getLogger(__name__)

_ONE_WAY: Final = "notifications/"
_CANCELLED: Final = f"{_ONE_WAY}cancelled"


class Activity:
    """What a client has said, and which of its requests are not answered yet."""

    def __init__(self) -> None:
        self.requests_in_hand: set[str] = set()
        self._said_at = anyio.current_time()

    @property
    def silent_seconds(self) -> float:
        """How long it has said nothing."""
        return anyio.current_time() - self._said_at

    def note_incoming(self, message: object) -> None:
        self._said_at = anyio.current_time()
        if isinstance(message, JSONRPCRequest):
            self.requests_in_hand.add(str(message.id))
        elif (cancelled := cancelled_id(message)) is not None:
            self.requests_in_hand.discard(cancelled)

    def note_outgoing(self, message: object) -> None:
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self.requests_in_hand.discard(str(message.id))


def cancelled_id(message: object) -> str | None:
    """Which request a notification cancels."""
    if not isinstance(message, JSONRPCNotification) or message.method != _CANCELLED:
        return None
    return str((message.params or {}).get("requestId"))


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

    One that cannot be read is answered here: nobody else would.
    """

    last_context: Context | None = None
    """That of the message given last; the SDK handles the message in it."""

    def __init__(self, stream: Any, outgoing: _Outgoing, activity: Activity) -> None:
        super().__init__(stream, activity)
        self._outgoing = outgoing
        self._outboxes: WeakValueDictionary[str, Outbox] = WeakValueDictionary()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        while isinstance(item := await self._stream.__anext__(), Exception):
            await self._say_no_message(item)
        self.last_context = copy_context()
        self.last_context.run(mark_arrival)
        self._activity.note_incoming(item.message)
        self._note(item.message, self.last_context.run(open_outbox))
        return item

    async def _say_no_message(self, error: Exception) -> None:
        reply = error.reply if isinstance(error, NoMessage) else None
        if reply is None:
            logger.warning("something that is no request was not answered: %s", error)
        else:
            await self._outgoing.send(SessionMessage(reply))

    def _note(self, message: object, outbox: Outbox) -> None:
        """An answer that is on its way when its request is cancelled reaches nobody."""
        if isinstance(message, JSONRPCRequest):
            self._outboxes[str(message.id)] = outbox
        elif (request_id := cancelled_id(message)) is not None:
            cancelled = self._outboxes.get(request_id)
            if cancelled is not None:
                cancelled.close()
        elif isinstance(message, JSONRPCNotification) and not message.method.startswith(_ONE_WAY):
            logger.warning("%s came without an id and was not answered", echo(message.method))


class _Outgoing(_Stream):
    """The answers to a client; each is sent in the context of the message that it answers."""

    async def send(self, item: SessionMessage) -> None:
        self._activity.note_outgoing(item.message)
        await self._stream.send(item)
        # One that was cancelled while it left is not waited for.
        await anyio.lowlevel.checkpoint_if_cancelled()
        if isinstance(item.message, JSONRPCResponse):
            await confirm_sent(item.message.id)
