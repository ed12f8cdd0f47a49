"""What is done once an answer has left this program, and not before.

A transport that knows when an answer is out opens an outbox around the requests it brings in. Where
none is open, an answer counts as out when it is made.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from mcp_types import RequestId

Confirmation = Callable[[], Awaitable[None]]
"""Notes that an answer was delivered."""


class Outbox:
    """Confirmations of answers that are not out yet, by the request they answer."""

    def __init__(self) -> None:
        self._confirmations: dict[RequestId | None, Confirmation] = {}

    def expect(self, request_id: RequestId | None, confirmation: Confirmation) -> None:
        self._confirmations[request_id] = confirmation

    def take(self, request_id: RequestId | None) -> Confirmation | None:
        return self._confirmations.pop(request_id, None)

    def take_all(self) -> list[Confirmation]:
        confirmations = list(self._confirmations.values())
        self._confirmations.clear()
        return confirmations


_outbox: Final[ContextVar[Outbox | None]] = ContextVar("outbox", default=None)


@contextmanager
def use_outbox(outbox: Outbox) -> Generator[None]:
    """Let the requests that are handled from here on use this outbox."""
    token = _outbox.set(outbox)
    try:
        yield
    finally:
        _outbox.reset(token)


async def confirm_when_sent(request_id: RequestId | None, confirmation: Confirmation) -> None:
    outbox = _outbox.get()
    if outbox is None:
        await confirmation()
    else:
        outbox.expect(request_id, confirmation)
