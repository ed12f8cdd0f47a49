"""A task as all calls see it that wait for it, so that it is looked at once for all of them."""

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.durations import WIDEST_SECONDS, Durations, Interval
from runapi_mcp.orders.ledger import Entry

SHORTEST_PAUSE_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 10.0


@dataclass(slots=True, eq=False, weakref_slot=True)
class Watch:
    """A task as last seen, why the last look at it failed, and when the next one is due.

    Times are the event loop's, in seconds. `made_at` is None when nobody knows how old it is.
    """

    task: Task
    entry: Entry | None
    durations: Durations
    made_at: float | None
    failure: ProviderFailure | None = None
    _since: float = field(default_factory=anyio.current_time)
    _looked_at: float = -math.inf
    _running_at: float | None = None
    """When it was last seen to be still running."""
    _failures: int = 0
    _looker: bool = False
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_looked_at(self) -> bool:
        """Whether some call attends to it."""
        return self._looker

    async def changes(self) -> None:
        """Nothing, once another call's look has ended, one way or the other."""
        await self._changed.wait()

    @contextmanager
    def looking(self) -> Generator[None]:
        """Attend to it for all the calls that wait."""
        self._looker = True
        try:
            yield
        finally:
            self._looker = False
            self._changed.set()
            self._changed = anyio.Event()

    def saw(self, task: Task) -> Interval | None:
        """Take in what was seen; between which ages it was drawn, if that is news."""
        now = self._looked_at = anyio.current_time()
        if task.reserved_cents is None:
            # Only the answer to the create tells it.
            task = replace(task, reserved_cents=self.task.reserved_cents)
        self.task, self.failure, self._failures = task, None, 0
        if not task.ended:
            self._running_at = now
            return None
        drawn = self._drawn(now) if task.status == "completed" else None
        if drawn is not None:
            self.durations.learn(drawn)
        return drawn

    def failed(self, failure: ProviderFailure) -> None:
        """Take in that a look failed."""
        self._looked_at = anyio.current_time()
        self.failure = failure
        self._failures += 1

    def pause_seconds(self) -> float:
        """How long to wait before the next look; 0 when it is due."""
        return max(0.0, self._due_at() - anyio.current_time())

    def chance(self) -> float:
        """How likely the next look finds it ended."""
        if self.made_at is None:
            return 0.5
        running = self.made_at if self._running_at is None else self._running_at
        return self.durations.schedule.chance(
            running - self.made_at, anyio.current_time() - self.made_at
        )

    def _due_at(self) -> float:
        if self._looked_at == -math.inf:
            return self._looked_at
        answer = self.failure.answer if self.failure else self.task
        if answer.retry_after_seconds is not None:
            return self._looked_at + max(answer.retry_after_seconds, SHORTEST_PAUSE_SECONDS)
        if self._failures:
            backoff = SHORTEST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)
            return self._looked_at + min(backoff, LONGEST_BACKOFF_SECONDS)
        if self.made_at is None:
            # Of no known age: a tenth of the time waited keeps the lag in proportion.
            return self._looked_at + max(1.0, (self._looked_at - self._since) / 10)
        return self.made_at + self.durations.schedule.next_look(self._looked_at - self.made_at)

    def _drawn(self, now: float) -> Interval | None:
        """The ages between which it ended; None when that tells nothing."""
        if self.made_at is None:
            return None
        running = self.made_at if self._running_at is None else self._running_at
        known = now - running <= WIDEST_SECONDS
        return (running - self.made_at, now - self.made_at) if known else None
