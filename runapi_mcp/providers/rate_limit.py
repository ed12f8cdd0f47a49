"""How often one key asks its vendor: every request of a key takes its turn here.

So many a second go out, evenly spaced; the usual number is well under 20 in any second. Requests
that pay go first, but take no more than a share of the turns: a third is kept for what is paid for
already. Among the others the most urgent goes first.
"""

import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import anyio

from runapi_mcp.base.errors import RateLimited
from runapi_mcp.base.turns import Turns

REQUESTS_PER_SECOND: Final = 17.0
PAYING_SHARE: Final = 12 / 17
LONGEST_HOLD_SECONDS: Final = 1.0
LONGEST_TURN_SECONDS: Final = 30.0

_Turn = TypeVar("_Turn")
Urgency = Callable[[], float]
"""How much it matters to go now, compared with others: 0 to 1, asked anew at each turn."""


@dataclass(slots=True, eq=False)
class _Waiter:
    pays: bool
    urgency: Urgency | None


class RateLimit(Protocol):
    """The turns of one key."""

    async def wait_turn(self, *, pays: bool, urgency: Urgency | None) -> None:
        """Return at this request's turn; without an urgency it goes before the others."""
        ...

    def pause(self, seconds: float) -> None:
        """The vendor asked this key for it."""
        ...


class OwnRateLimit:
    """The turns of a key that only this process uses."""

    def __init__(self, per_second: float = REQUESTS_PER_SECOND) -> None:
        self._spacing_seconds = 1 / per_second
        self._paying_spacing_seconds = 1 / (per_second * PAYING_SHARE)
        self._turns = Turns(self._choose)
        self._free_at = 0.0
        self._paying_free_at = 0.0

    async def wait_turn(self, *, pays: bool, urgency: Urgency | None) -> None:
        await self._turns.wait(_Waiter(pays, urgency))

    def pause(self, seconds: float) -> None:
        wanted = min(seconds, LONGEST_HOLD_SECONDS)
        self._free_at = max(self._free_at, anyio.current_time() + wanted)

    async def _choose(self, waiting: Collection[_Waiter]) -> _Waiter | None:
        await anyio.sleep_until(self._free_at)
        chosen = self._next(waiting)
        if chosen is None:
            await anyio.sleep_until(self._paying_free_at)
        else:
            self._free_at = anyio.current_time() + self._spacing_seconds
        return chosen

    def _next(self, waiting: Collection[_Waiter]) -> _Waiter | None:
        """Whose turn it is; None while only paying requests wait and theirs has not come."""
        now = anyio.current_time()
        paying = next((waiter for waiter in waiting if waiter.pays), None)
        if paying is not None and now >= self._paying_free_at:
            # From when it was due, so that what comes a slot late does not slow the next ones.
            due = max(self._paying_free_at, now - self._spacing_seconds)
            self._paying_free_at = due + self._paying_spacing_seconds
            return paying
        others = (waiter for waiter in waiting if not waiter.pays)
        return max(others, key=_urgency, default=None)


def _urgency(waiter: _Waiter) -> float:
    return math.inf if waiter.urgency is None else waiter.urgency()


async def wait_first_turn(take_turn: Callable[[], Awaitable[_Turn]]) -> _Turn:
    """
    Raises:
        RateLimited: no turn came for so long; nothing was sent.
    """
    with anyio.move_on_after(LONGEST_TURN_SECONDS):
        return await take_turn()
    raise RateLimited(
        "Too many requests of this key wait for their turn.", "Wait a minute, then call again."
    )
