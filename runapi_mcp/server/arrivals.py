"""When a request came: when its transport read it, not when its turn to be handled was."""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

import anyio


@dataclass(frozen=True, slots=True)
class Arrival:
    """One moment, in two times."""

    came_at: float = field(default_factory=time.time)
    """Seconds since the epoch, by this machine's clock."""
    loop_time: float = field(default_factory=anyio.current_time)


_arrival: Final[ContextVar[Arrival | None]] = ContextVar("arrival", default=None)


def mark_arrival() -> None:
    """What is handled in this context has come now."""
    _arrival.set(Arrival())


def arrival() -> Arrival | None:
    """When the request came that is handled here; None where its transport does not tell."""
    return _arrival.get()


def came_at() -> float | None:
    """The same in seconds since the epoch."""
    moment = _arrival.get()
    return None if moment is None else moment.came_at
