"""Shares of what a server has: so many at once, so many a second. Knows nothing of HTTP."""

import math
from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import anyio

MOST_DELAY_SECONDS: Final = 5.0
BURST_SECONDS: Final = 1.0
"""So many seconds' requests may come at once: others wait while they are served."""
_MOST_KNOWN: Final = 10_000


class NoneLeft(Exception):
    """A holder has all that it may have, or all together have."""


class Slots:
    """Places that are held for a time: so many for each holder, so many in all."""

    def __init__(self, per_holder: int, in_all: float = math.inf) -> None:
        self._per_holder = per_holder
        self._in_all = in_all
        self._held: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def hold(self, holder: str) -> Generator[None]:
        """
        Raises:
            NoneLeft
        """
        if self._held[holder] >= self._per_holder or self._total >= self._in_all:
            raise NoneLeft
        self._held[holder] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]


class Pace:
    """So many a second for each holder, after a burst; what comes sooner waits for its turn."""

    def __init__(self, per_second: float) -> None:
        self._gap_seconds = 1 / per_second
        self._turns: OrderedDict[str, float] = OrderedDict()
        """When the next turn of a holder would be, had it never paused."""

    async def wait_turn(self, holder: str) -> None:
        """
        Raises:
            NoneLeft: its turn is too far off. Said late, so that who asks at once again is slowed.
        """
        now = anyio.current_time()
        turn = max(self._turns.pop(holder, -math.inf), now - BURST_SECONDS)
        is_near = turn - now <= MOST_DELAY_SECONDS
        self._turns[holder] = turn + self._gap_seconds if is_near else turn
        if len(self._turns) > _MOST_KNOWN:
            self._turns.popitem(last=False)
        await anyio.sleep(min(max(turn - now, 0.0), MOST_DELAY_SECONDS))
        if not is_near:
            raise NoneLeft
