"""How often this process looks at tasks: as often as is due, and as all else leaves it time for.

Answers, the ledger and what pays go before looks. So a look goes out when the event loop comes
round soon; while it lags, looks wait, and whichever would most likely see an end goes first. That
stretches all gaps alike: what is looked at seldom becomes the likelier, the longer it waits.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import anyio

from runapi_mcp.base.turns import Turns

LOOKS_PER_SECOND: Final = 500
CALM_SECONDS: Final = 0.025
"""A loop that takes longer to come round has other things to do."""
LEAST_EVERY_SECONDS: Final = 0.1
"""Some looks go out however busy the loop is."""
LONGEST_DELAY_SECONDS: Final = 15.0
"""A look that has waited longer goes before all that have not."""
BUSY_DELAY_SECONDS: Final = 1.0
"""From such a delay on, whoever waits is told."""
_TOLD_SECONDS: Final = 5.0
_RANKED_SECONDS: Final = 0.1
"""How long an order of those that wait is good: to make one takes a while, for thousands."""


@dataclass(slots=True, eq=False)
class _Look:
    chance: Callable[[], float]
    since: float = field(default_factory=anyio.current_time)

    def urgency(self) -> float:
        waited = anyio.current_time() - self.since
        return 1.0 + waited if waited > LONGEST_DELAY_SECONDS else self.chance()


class LookBudget:
    def __init__(self, per_second: float = LOOKS_PER_SECOND) -> None:
        self._gap_seconds = 1 / per_second
        self._turns = Turns(self._choose)
        self._free_at = 0.0
        self._latest_at = 0.0
        self._ranked: list[_Look] = []
        """The most urgent last."""
        self._ranked_until = -math.inf
        self._busy_until = -math.inf

    @property
    def is_busy(self) -> bool:
        """Whether looks wait longer than anybody would call usual."""
        return anyio.current_time() < self._busy_until

    async def wait_turn(self, chance: Callable[[], float]) -> None:
        """Return when a look may go out whose chance to see an end is this."""
        await self._turns.wait(_Look(chance))

    async def _choose(self, waiting: Collection[_Look]) -> _Look:
        await anyio.sleep_until(self._free_at)
        await self._let_others_go_first()
        now = anyio.current_time()
        self._free_at, self._latest_at = now + self._gap_seconds, now + LEAST_EVERY_SECONDS
        chosen = self._most_urgent(waiting)
        if now - chosen.since >= BUSY_DELAY_SECONDS:
            self._busy_until = now + _TOLD_SECONDS
        return chosen

    async def _let_others_go_first(self) -> None:
        while True:
            before = anyio.current_time()
            await anyio.lowlevel.checkpoint()
            lag = anyio.current_time() - before
            if lag <= CALM_SECONDS or before + lag >= self._latest_at:
                return
            await anyio.sleep(lag)

    def _most_urgent(self, waiting: Collection[_Look]) -> _Look:
        if len(waiting) == 1:
            return next(iter(waiting))
        now = anyio.current_time()
        if now >= self._ranked_until:
            self._ranked, self._ranked_until = [], now + _RANKED_SECONDS
        while True:
            while self._ranked:
                chosen = self._ranked.pop()
                if chosen in waiting:
                    return chosen
            self._ranked = sorted(waiting, key=_Look.urgency)
