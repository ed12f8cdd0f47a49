"""Places that are held for a time: so many in all, so many for each holder; others wait for one."""

import math
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio


@dataclass(slots=True, eq=False)
class _Wish:
    holder: str
    is_granted: bool = False
    granted: anyio.Event = field(default_factory=anyio.Event)


class Places:
    def __init__(self, in_all: float, per_holder: float = math.inf) -> None:
        self._in_all = in_all
        self._per_holder = per_holder
        self._held: Counter[str] = Counter()
        self._total = 0
        self._first: dict[_Wish, None] = {}
        self._others: dict[_Wish, None] = {}

    @asynccontextmanager
    async def hold(self, holder: str = "", *, first: bool = False) -> AsyncGenerator[None]:
        """As `take`, and given back at the end."""
        await self.take(holder, first=first)
        try:
            yield
        finally:
            self.give_back(holder)

    async def take(self, holder: str = "", *, first: bool = False) -> None:
        """Return with a place, as soon as there is one; `first` goes before others that wait."""
        if self._has_place(holder):
            self._occupy(holder)
        else:
            await self._wait(_Wish(holder), self._first if first else self._others)

    def give_back(self, holder: str = "") -> None:
        self._total -= 1
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
        for queue in (self._first, self._others):
            wish = next((each for each in queue if self._has_place(each.holder)), None)
            if wish is not None:
                del queue[wish]
                self._occupy(wish.holder)
                wish.is_granted = True
                wish.granted.set()
                return

    async def _wait(self, wish: _Wish, queue: dict[_Wish, None]) -> None:
        queue[wish] = None
        try:
            await wish.granted.wait()
        except BaseException:
            if wish.is_granted:
                self.give_back(wish.holder)
            else:
                del queue[wish]
            raise

    def _has_place(self, holder: str) -> bool:
        return self._total < self._in_all and self._held.get(holder, 0) < self._per_holder

    def _occupy(self, holder: str) -> None:
        self._total += 1
        self._held[holder] += 1
