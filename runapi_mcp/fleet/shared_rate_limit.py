"""How often one key asks RunAPI from several servers: each reserves a turn for its most urgent.

A turn is reserved for whoever is most urgent when it comes. While the database is away, each server
goes on at a share of the pace.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import anyio

from runapi_mcp.base.turns import Turns
from runapi_mcp.fleet.turn_table import NoTurns, Spacing, Turn, TurnTable

MARGIN: Final = 1.06
"""How much further apart turns are than so many a second: what is sent arrives sooner or later."""
SHARE_ALONE: Final = 0.25
LONGEST_SHARED_PAUSE_SECONDS: Final = 1.0


@dataclass(slots=True, eq=False)
class _Waiter:
    pays: bool
    urgency: Callable[[], float] | None

    def rank(self) -> float:
        return math.inf if self.urgency is None else self.urgency()


class SharedRateLimit:
    """The turns of a key that other servers use as well."""

    def __init__(
        self, table: TurnTable, caller: str, per_second: float, paying_per_second: float
    ) -> None:
        self._table = table
        self._caller = caller
        self._spacing = Spacing(MARGIN / per_second, MARGIN / paying_per_second)
        self._turns = Turns(self._choose)
        self._turn: Turn | None = None
        """One that is reserved; whoever waited for it may have left."""
        self._alone_at = 0.0
        """When the next turn is, while the database is away."""

    async def wait_turn(self, *, pays: bool, urgency: Callable[[], float] | None) -> None:
        await self._turns.wait(_Waiter(pays, urgency))

    def pause(self, seconds: float) -> None:
        wanted = min(seconds, LONGEST_SHARED_PAUSE_SECONDS)
        self._alone_at = max(self._alone_at, anyio.current_time() + wanted)
        if wanted > 0:
            self._table.hold(self._caller, self._spacing, wanted)

    async def _choose(self, waiting: Collection[_Waiter]) -> _Waiter | None:
        turn = self._turn or await self._reserve(waiting)
        self._turn = turn if turn.is_taken else None
        await anyio.sleep_until(turn.at)
        self._turn = None
        return _next(waiting, pays=turn.pays) if turn.is_taken else None

    async def _reserve(self, waiting: Collection[_Waiter]) -> Turn:
        pays = any(waiter.pays for waiter in waiting)
        reads = not all(waiter.pays for waiter in waiting)
        try:
            return await self._table.reserve(self._caller, self._spacing, pays=pays, reads=reads)
        except NoTurns:
            at = max(self._alone_at, anyio.current_time())
            self._alone_at = at + self._spacing.each / SHARE_ALONE
            return Turn(at, pays, is_taken=True)


def _next(waiting: Collection[_Waiter], *, pays: bool) -> _Waiter | None:
    """Who gets a turn: the most urgent of those it is meant for, else of the others."""
    meant = [waiter for waiter in waiting if waiter.pays == pays]
    # Who pays has no more than its share, whoever has left.
    others = waiting if pays else ()
    return max(meant or others, key=_Waiter.rank, default=None)
