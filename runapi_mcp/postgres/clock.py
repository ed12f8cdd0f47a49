"""The database's clock, told without asking it each time."""

import time
from collections.abc import Callable


class DatabaseClock:
    """Seconds since the epoch as the database has them; this machine's until it was asked."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        here = time.time() - ticks()
        self._least, self._most = here - 1e12, here + 1e12
        """Between which the database's clock is ahead of the ticks."""

    def now(self) -> float:
        return self._ticks() + (self._least + self._most) / 2

    def ticks(self) -> float:
        """To be taken before it is asked."""
        return self._ticks()

    def tell(self, at: float, asked: float) -> None:
        """What the database's clock has shown at some moment since it was asked."""
        least, most = at - self._ticks(), at - asked
        both = max(least, self._least), min(most, self._most)
        # They cannot both be true after a step of its clock, or a sleep of this machine.
        self._least, self._most = both if both[0] <= both[1] else (least, most)
