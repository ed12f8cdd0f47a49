"""What is done once an answer has left this program, and not before.

A transport that knows when an answer is out opens an outbox around the requests it brings in. Where
none is open, an answer counts as out when it is made.
"""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from mcp_types import RequestId

Receipt = Callable[[], Awaitable[None]]


class Outbox:
    """Receipts of answers that are not out yet, by the request they answer."""

    def __init__(self) -> None:
        self._receipts: dict[RequestId | None, Receipt] = {}

    def expect(self, request_id: RequestId | None, receipt: Receipt) -> None:
        """Do this once the answer is out."""
        self._receipts[request_id] = receipt

    def take(self, request_id: RequestId | None) -> Receipt | None:
        """What to do now that the answer is out."""
        return self._receipts.pop(request_id, None)

    def take_all(self) -> list[Receipt]:
        """What to do now that everything is out."""
        receipts = list(self._receipts.values())
        self._receipts.clear()
        return receipts


_outbox: Final[ContextVar[Outbox | None]] = ContextVar("outbox", default=None)


@contextmanager
def opened(outbox: Outbox) -> Generator[None]:
    """Let the requests that are handled from here on use this outbox."""
    token = _outbox.set(outbox)
    try:
        yield
    finally:
        _outbox.reset(token)


async def when_sent(request_id: RequestId | None, receipt: Receipt) -> None:
    """Do this once the answer to the request is out."""
    outbox = _outbox.get()
    if outbox is None:
        await receipt()
    else:
        outbox.expect(request_id, receipt)
