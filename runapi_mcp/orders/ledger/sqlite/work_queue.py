"""What blocks, one after another in a thread; what has queued up goes along in one trip.

A trip there and back takes turns of the event loop, which may be busy, and the work itself less
than a millisecond: with a trip for each, a thousand callers would wait for seconds.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Final, Generic, TypeVar

import anyio

TRIP_SECONDS: Final = 0.01
"""After it nothing more is begun, so that what is done gets home."""

Run = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs what blocks."""
_Done = TypeVar("_Done")


@dataclass(slots=True, eq=False)
class _Work(Generic[_Done]):
    block: Callable[[], _Done]
    context: Context = field(default_factory=copy_context)
    done: list[_Done] = field(default_factory=list[_Done])
    """What came of it, once that is there."""
    error: BaseException | None = None
    woken: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_over(self) -> bool:
        return bool(self.done) or self.error is not None

    def do(self) -> None:
        try:
            self.done.append(self.context.run(self.block))
        except BaseException as error:  # noqa: BLE001 - it is raised to whoever waits
            self.error = error


class WorkQueue:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._first: deque[_Work[object]] = deque()
        self._others: deque[_Work[object]] = deque()
        self._is_under_way = False

    async def do(self, block: Callable[[], object], *, first: bool = False) -> object:
        """What a block makes; `first` goes before all others that wait.

        Of a caller who leaves, what has begun is done all the same.
        """
        work = _Work(block)
        queue = self._first if first else self._others
        queue.append(work)
        try:
            while not work.is_over:
                await self._make_trip(work)
        except BaseException:
            if work in queue:
                queue.remove(work)
            self._wake_next()
            raise
        if work.error is not None:
            raise work.error
        return work.done[0]

    async def _make_trip(self, work: _Work[object]) -> None:
        """Work off what has queued up, or wait until somebody who is at it has."""
        if self._is_under_way:
            await work.woken.wait()
            work.woken = anyio.Event()
            return
        self._is_under_way = True
        over: list[_Work[object]] = []
        try:
            await self._run(partial(self._work_off, over))
        finally:
            self._is_under_way = False
            for each in over:
                each.woken.set()
            self._wake_next()

    def _work_off(self, over: list[_Work[object]]) -> None:
        until = perf_counter() + TRIP_SECONDS
        while (queue := self._first or self._others) and (not over or perf_counter() < until):
            work = queue.popleft()
            work.do()
            over.append(work)

    def _wake_next(self) -> None:
        """Have somebody make the next trip."""
        queue = self._first or self._others
        if queue and not self._is_under_way:
            queue[0].woken.set()
