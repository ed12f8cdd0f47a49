"""What the client of a conversation has said, and which of its requests are not answered yet."""

from __future__ import annotations

from typing import Final

import anyio
from mcp.shared.dispatcher import coerce_request_id
from mcp_types import (
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from runapi_mcp.server.delivery_confirmations import Outbox, own_outbox

_CANCELLED: Final = "notifications/cancelled"


class Activity:
    """The requests in hand, by their ids as the SDK compares them, and how long all is quiet.

    The SDK would serve two of one id, pay for both, and let a cancelling reach only the second;
    their client, which waits for one answer, would lose the other.
    """

    def __init__(self) -> None:
        self.requests_in_hand: set[RequestId] = set()
        """Those that have no answer yet. One that leaves may be read before that is noticed here,
        and its id used anew."""
        self._outboxes: dict[RequestId, Outbox] = {}
        """Of those whose answer is not out."""
        self._said_at = anyio.current_time()

    @property
    def silent_seconds(self) -> float:
        """How long it has said nothing."""
        return anyio.current_time() - self._said_at

    def awaits(self, request_id: RequestId | None) -> bool:
        """Whether there is no answer yet to a request of this id."""
        return request_id is not None and coerce_request_id(request_id) in self.requests_in_hand

    def repeats(self, message: object) -> bool:
        """Whether it is a request of the id of one that is still in hand."""
        return isinstance(message, JSONRPCRequest) and self.awaits(message.id)

    def note_incoming(self, message: object, outbox: Outbox) -> None:
        self._said_at = anyio.current_time()
        if isinstance(message, JSONRPCRequest):
            self.requests_in_hand.add(coerce_request_id(message.id))
            self._outboxes[coerce_request_id(message.id)] = outbox
        elif isinstance(message, JSONRPCNotification) and message.method == _CANCELLED:
            self._note_cancelled((message.params or {}).get("requestId"))

    def note_answer(self, message: object) -> None:
        """There is an answer, which leaves now."""
        if (key := _answered(message)) is not None:
            self.requests_in_hand.discard(key)

    def note_sent(self, message: object) -> None:
        """The answer to what is handled in this context is out."""
        key = _answered(message)
        # One that was cancelled while its answer left may have a successor of its name by now.
        if key is not None and self._outboxes.get(key) is own_outbox():
            self._outboxes.pop(key, None)

    def _note_cancelled(self, request_id: object) -> None:
        """An answer that is on its way when its request is cancelled reaches nobody."""
        if isinstance(request_id, str | int):
            key = coerce_request_id(request_id)
            self.requests_in_hand.discard(key)
            if (cancelled := self._outboxes.pop(key, None)) is not None:
                cancelled.close()


def _answered(message: object) -> RequestId | None:
    """Which request it answers."""
    is_answer = isinstance(message, JSONRPCResponse | JSONRPCError)
    return coerce_request_id(message.id) if is_answer and message.id is not None else None
