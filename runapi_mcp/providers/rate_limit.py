"""How often one key asks its vendor: every request of a key takes its turn here.

One request goes out every `SPACING_SECONDS`, which is well under 20 in any second. Requests that
pay go first, but no closer than `PAYING_SPACING_SECONDS`: a third of the turns is kept for what is
paid for already. Among the others the most urgent goes first.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio

from runapi_mcp.base.errors import RateLimited

SPACING_SECONDS: Final = 1 / 17
PAYING_SPACING_SECONDS: Final = 1 / 12
LONGEST_HOLD_SECONDS: Final = 1.0
LONGEST_TURN_SECONDS: Final = 30.0

Urgency = Callable[[], float]
"""How much it matters to go now, compared with others: 0 to 1, asked anew at each turn."""


@dataclass(slots=True, eq=False)
class _Waiter:
    pays: bool
    urgency: Urgency | None
    woken: anyio.Event = field(default_factory=anyio.Event)
    called: bool = False


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

    def __init__(self) -> None:
        self._waiting: list[_Waiter] = []
        self._caller: _Waiter | None = None
        self._free_at = 0.0
        self._paying_free_at = 0.0

    async def wait_turn(self, *, pays: bool, urgency: Urgency | None) -> None:
        waiter = _Waiter(pays, urgency)
        self._waiting.append(waiter)
        try:
            while not waiter.called:
                await self._wait_or_call(waiter)
        finally:
            self._leave(waiter)

    def pause(self, seconds: float) -> None:
        wanted = min(seconds, LONGEST_HOLD_SECONDS)
        self._free_at = max(self._free_at, anyio.current_time() + wanted)

    async def _wait_or_call(self, waiter: _Waiter) -> None:
        """One of those that wait calls the others, one after another; the rest just wait."""
        if self._caller in (None, waiter):
            self._caller = waiter
            await self._call_next()
        else:
            await waiter.woken.wait()
            waiter.woken = anyio.Event()

    async def _call_next(self) -> None:
        await anyio.sleep_until(self._free_at)
        chosen = self._next()
        if chosen is None:
            await anyio.sleep_until(self._paying_free_at)
            return
        self._free_at = anyio.current_time() + SPACING_SECONDS
        self._waiting.remove(chosen)
        chosen.called = True
        chosen.woken.set()

    def _next(self) -> _Waiter | None:
        """Whose turn it is; None while only paying requests wait and theirs has not come."""
        now = anyio.current_time()
        paying = next((waiter for waiter in self._waiting if waiter.pays), None)
        if paying is not None and now >= self._paying_free_at:
            # From when it was due, so that what comes a slot late does not slow the next ones.
            due = max(self._paying_free_at, now - SPACING_SECONDS)
            self._paying_free_at = due + PAYING_SPACING_SECONDS
            return paying
        others = [waiter for waiter in self._waiting if not waiter.pays]
        return max(others, key=_urgency, default=None)

    def _leave(self, waiter: _Waiter) -> None:
        """Wait no more, and let another one call."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        if self._caller is waiter:
            self._caller = None
            if self._waiting:
                self._waiting[0].woken.set()


def _urgency(waiter: _Waiter) -> float:
    return math.inf if waiter.urgency is None else waiter.urgency()


async def wait_first_turn(wait_turn: Callable[[], Awaitable[None]]) -> None:
    """
    Raises:
        RateLimited: no turn came for so long; nothing was sent.
    """
    with anyio.move_on_after(LONGEST_TURN_SECONDS) as limit:
        await wait_turn()
    if limit.cancelled_caught:
        raise RateLimited(
            "Too many requests of this key wait for their turn.", "Wait a minute, then call again."
        )
