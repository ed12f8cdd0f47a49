"""How often this process looks at tasks: as often as is due, and as all else leaves it time for.

Answers, the ledger and what pays go before looks. So a look goes out when the event loop comes
round soon; while it lags, looks wait, and whichever would most likely see an end goes first. That
stretches all gaps alike: what is looked at seldom becomes the likelier, the longer it waits. Calls
that are to pay begin so as well, before looks: of a thousand begun at once none would end soon.
"""

import math
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio

from runapi_mcp.base.turns import Turns

LOOKS_PER_SECOND: Final = 500
CALM_SECONDS: Final = 0.025
"""A loop that takes longer to come round has other things to do."""
MOST_IN_HAND: Final = 8
"""Of looks whose news are being written down; a busy ledger has more."""
LEAST_EVERY_SECONDS: Final = 0.1
"""Some turns come however busy the loop is."""
PAYING_IN_A_ROW: Final = 3
"""After so many that pay, one look goes out: it may be of a picture that is there."""
LONGEST_DELAY_SECONDS: Final = 15.0
"""A look that has waited longer goes before all that have not."""
BUSY_DELAY_SECONDS: Final = 1.0
"""From such a delay on, whoever waits is told."""
MOST_IN_PAYMENT: Final = 64
"""Calls that are being paid at once; of more, all would only take longer."""
MOST_IN_PAYMENT_OF_ONE: Final = 16
"""So that who has many waits for the turns of his own key alone."""
_PAUSE_SECONDS: Final = 0.005
_TOLD_SECONDS: Final = 5.0
_RANKED_SECONDS: Final = 0.1
"""How long an order of those that wait is good: to make one takes a while, for thousands."""


@dataclass(slots=True, eq=False)
class _Waiter:
    chance: Callable[[], float] | None
    """To see an end; None for what is to pay."""
    payer: str = ""
    since: float = field(default_factory=anyio.current_time)

    def urgency(self) -> float:
        waited = anyio.current_time() - self.since
        if self.chance is None or waited > LONGEST_DELAY_SECONDS:
            return 1.0 + waited
        return self.chance()


class LookBudget:
    def __init__(self, per_second: float = LOOKS_PER_SECOND) -> None:
        self._gap_seconds = 1 / per_second
        self._turns = Turns(self._choose)
        self._next_look_at = 0.0
        self._next_turn_by = 0.0
        self._paying: dict[_Waiter, None] = {}
        self._paying_in_a_row = 0
        self._ranked: list[_Waiter] = []
        """The looks of those that waited when they were ranked; the most urgent last."""
        self._ranked_until = -math.inf
        self._busy_until = -math.inf
        self._in_hand = 0
        self._in_payment: Counter[str] = Counter()
        self._next_payment_by = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether looks wait longer than anybody would call usual."""
        return anyio.current_time() < self._busy_until

    async def wait_to_look(self, chance: Callable[[], float]) -> None:
        """Return when a look may go out that sees an end with this chance."""
        await self._turns.wait(_Waiter(chance))

    @asynccontextmanager
    async def paying(self, payer: str) -> AsyncGenerator[None]:
        """Begin when a call may that this one is to pay for; it has paid at the end."""
        waiter = _Waiter(None, payer)
        self._paying[waiter] = None
        try:
            await self._turns.wait(waiter)
        finally:
            del self._paying[waiter]
        self._in_payment[payer] += 1
        try:
            yield
        finally:
            self._in_payment[payer] -= 1
            # Nothing is kept of who has no call.
            self._in_payment = +self._in_payment

    @contextmanager
    def taking_in(self) -> Generator[None]:
        """While it lasts, what a look saw is written down: the ledger may be behind, too."""
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1

    async def _choose(self, waiting: Collection[_Waiter]) -> _Waiter | None:
        await self._let_others_go_first()
        now = anyio.current_time()
        chosen = self._next(waiting, now)
        if chosen is None:
            early = self._next_look_at - now
            await anyio.sleep(early if early > 0 else _PAUSE_SECONDS)
        else:
            self._note_turn(chosen, now)
        return chosen

    def _note_turn(self, chosen: _Waiter, now: float) -> None:
        self._next_turn_by = now + LEAST_EVERY_SECONDS
        if chosen.chance is None:
            self._paying_in_a_row += 1
            self._next_payment_by = now + LEAST_EVERY_SECONDS
            return
        self._paying_in_a_row = 0
        self._next_look_at = now + self._gap_seconds
        if now - chosen.since >= BUSY_DELAY_SECONDS:
            self._busy_until = now + _TOLD_SECONDS

    async def _let_others_go_first(self) -> None:
        while True:
            before = anyio.current_time()
            await anyio.lowlevel.checkpoint()
            now = anyio.current_time()
            is_calm = now - before <= CALM_SECONDS and self._in_hand <= MOST_IN_HAND
            if is_calm or now >= self._next_turn_by:
                return
            await anyio.sleep(max(now - before, _PAUSE_SECONDS))

    def _next(self, waiting: Collection[_Waiter], now: float) -> _Waiter | None:
        """Whose turn it is; None while it is too early for all that wait."""
        paying = self._first_to_pay(waiting, now)
        is_for_a_look = paying is None or self._paying_in_a_row >= PAYING_IN_A_ROW
        if is_for_a_look and now >= self._next_look_at:
            return self._most_urgent_look(waiting) or paying
        return paying

    def _first_to_pay(self, waiting: Collection[_Waiter], now: float) -> _Waiter | None:
        if self._in_payment.total() >= MOST_IN_PAYMENT and now < self._next_payment_by:
            return None
        may_begin = (
            waiter
            for waiter in self._paying
            # Who was called is still among them until it goes on.
            if waiter in waiting and self._in_payment[waiter.payer] < MOST_IN_PAYMENT_OF_ONE
        )
        return next(may_begin, None)

    def _most_urgent_look(self, waiting: Collection[_Waiter]) -> _Waiter | None:
        now = anyio.current_time()
        if now >= self._ranked_until:
            self._ranked, self._ranked_until = [], now + _RANKED_SECONDS
        while True:
            while self._ranked:
                chosen = self._ranked.pop()
                if chosen in waiting:
                    return chosen
            looks = [waiter for waiter in waiting if waiter.chance is not None]
            if not looks:
                return None
            self._ranked = sorted(looks, key=_Waiter.urgency)
