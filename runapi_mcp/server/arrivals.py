"""When a request came: when its transport read it, not when its turn to be handled was."""

from contextvars import ContextVar
from typing import Final

import anyio

_arrival: Final[ContextVar[float | None]] = ContextVar("arrival", default=None)


def mark_arrival() -> None:
    """What is handled in this context has come now."""
    _arrival.set(anyio.current_time())


def arrived_at() -> float:
    """When the request came that is handled here, on the event loop's clock.

    Now, where its transport does not tell.
    """
    moment = _arrival.get()
    return anyio.current_time() if moment is None else moment
