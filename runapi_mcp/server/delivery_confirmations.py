"""What is done once an answer has left this program, and not before.

A transport that knows when an answer is out opens an outbox for each message it brings in. Where
none is open, an answer counts as out when it is made.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Final

import anyio
from mcp_types import RequestId

Confirmation = Callable[[], Awaitable[None]]
"""Notes that an answer was delivered."""


class Outbox:
    """Confirmations of answers that are not out yet, by the request they answer."""

    def __init__(self) -> None:
        self._confirmations: dict[RequestId | None, Confirmation] = {}
        self._is_open = True

    def expect(self, request_id: RequestId | None, confirmation: Confirmation) -> None:
        if self._is_open:
            self._confirmations[request_id] = confirmation

    def close(self) -> None:
        """Nobody waits any more: what is not out by now does not count, although it may leave."""
        self._is_open = False
        self._confirmations.clear()

    async def confirm(self, request_id: RequestId | None) -> None:
        """The answer to this request is out; the end of a conversation does not take that back."""
        confirmation = self._confirmations.pop(request_id, None)
        if confirmation is not None:
            with anyio.CancelScope(shield=True):
                await confirmation()

    async def confirm_all(self) -> None:
        for request_id in list(self._confirmations):
            await self.confirm(request_id)


_outbox: Final[ContextVar[Outbox | None]] = ContextVar("outbox", default=None)


def open_outbox() -> Outbox:
    """An outbox for what is handled in this context from here on."""
    outbox = Outbox()
    _outbox.set(outbox)
    return outbox


def own_outbox() -> Outbox | None:
    """That of what is handled in this context."""
    return _outbox.get()


async def confirm_sent(request_id: RequestId | None) -> None:
    """What is handled in this context has its answer out."""
    outbox = own_outbox()
    if outbox is not None:
        await outbox.confirm(request_id)


async def confirm_when_sent(request_id: RequestId | None, confirmation: Confirmation) -> None:
    outbox = own_outbox()
    if outbox is None:
        await confirmation()
    else:
        outbox.expect(request_id, confirmation)
