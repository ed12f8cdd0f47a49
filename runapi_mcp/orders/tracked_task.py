"""A task as all calls see it that wait for it, so that it is polled once for all of them."""

import logging
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import anyio

from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.durations import WIDEST_SECONDS, Durations, Interval
from runapi_mcp.orders.ledger import Entry

logger = logging.getLogger(__name__)

SHORTEST_PAUSE_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 10.0
POSTPONED_SECONDS: Final = 10.0
CALLBACK_DELAY_SECONDS: Final = 1.0
"""How old an end is at most whose callback comes."""


def warn_unwaited(task_id: str) -> None:
    """Name a task whose callers have all left."""
    words = "stopped waiting; task %s goes on, and get_task finds it"
    logger.warning(words, task_id, extra={"task_id": task_id})


class AwaitedCallback(Protocol):
    """The callback that is to say when one task has ended."""

    @property
    def is_expected(self) -> bool:
        """Whether it can be left to it to say when to look."""
        ...

    def take_look(self) -> bool:
        """Whether a look may be spent on the task while it is expected."""
        ...

    def note_end(self) -> None:
        """Take in that the task was seen ended."""
        ...


@dataclass(slots=True)
class Timing:
    """When a task was made and polled. Times are the event loop's, in seconds."""

    durations: Durations
    made_at: float | None
    """None when nobody knows how old the task is."""
    _tracked_since: float = field(default_factory=anyio.current_time)
    _polled_at: float = -math.inf
    _running_at: float | None = None
    """When it was last seen to be still running."""
    _called_back_at: float = -math.inf
    _failures: int = 0

    def note_callback(self) -> None:
        """Take in that, as it seems, the task was running until just now."""
        self._called_back_at = anyio.current_time()

    def record(self, *, ended: bool) -> None:
        self._polled_at, self._failures = anyio.current_time(), 0
        if not ended:
            self._running_at = self._polled_at

    def record_failure(self) -> None:
        self._polled_at = anyio.current_time()
        self._failures += 1

    def chance(self) -> float:
        """How likely the next poll finds the task ended."""
        if self.made_at is None:
            return 0.5
        now = anyio.current_time()
        return self.durations.schedule.chance(
            self._last_running_age(self.made_at), now - self.made_at
        )

    def interval(self) -> Interval | None:
        """The ages between which the task ended, as of now; None when that tells nothing."""
        if self.made_at is None:
            return None
        called_back = self._called_back_at - CALLBACK_DELAY_SECONDS - self.made_at
        running = max(self._last_running_age(self.made_at), called_back)
        interval = running, anyio.current_time() - self.made_at
        return interval if interval[1] - interval[0] <= WIDEST_SECONDS else None

    def due_at(self, retry_after_seconds: float | None, *, expects_callback: bool = False) -> float:
        """When to poll next. What RunAPI says goes before what is known of durations."""
        if self._polled_at == -math.inf:
            return self._polled_at
        if retry_after_seconds is not None:
            return self._polled_at + max(retry_after_seconds, SHORTEST_PAUSE_SECONDS)
        if self._failures:
            backoff = SHORTEST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)
            return self._polled_at + min(backoff, LONGEST_BACKOFF_SECONDS)
        if self.made_at is None:
            # Of no known age: a tenth of the time waited keeps the lag in proportion.
            return self._polled_at + max(1.0, (self._polled_at - self._tracked_since) / 10)
        schedule = self.durations.schedule
        next_look = schedule.next_safety_look if expects_callback else schedule.next_look
        return self.made_at + next_look(self._polled_at - self.made_at)

    def _last_running_age(self, made_at: float) -> float:
        return 0.0 if self._running_at is None else self._running_at - made_at


@dataclass(slots=True, eq=False, weakref_slot=True)
class TrackedTask:
    """A task as last polled, the ledger's entry of it, and why the last poll failed if it did."""

    task: Task
    entry: Entry | None
    timing: Timing
    failure: ProviderFailure | None = None
    callback: AwaitedCallback | None = field(default=None, init=False)
    is_polled: bool = field(default=False, init=False)
    _polled: anyio.Event = field(default_factory=anyio.Event)
    _woken: anyio.Event = field(default_factory=anyio.Event)
    _is_woken: bool = False
    """Whether the poll under way is one that something asked for."""

    def wake(self) -> None:
        """Something says that it may have ended: the next poll is due now."""
        self._woken.set()

    async def wait_until_due(self) -> None:
        """Return when it is time for the next poll."""
        await self._sleep(self.pause_seconds())
        while not self._may_look():
            await self._sleep(POSTPONED_SECONDS)

    def begin_poll(self) -> None:
        """From here on, whatever wakes the task asks for another poll."""
        self._is_woken, self._woken = self._woken.is_set(), anyio.Event()

    def urgency(self) -> float:
        """How likely the poll that is due or under way finds the task ended."""
        return 1.0 if self._is_woken or self._woken.is_set() else self.timing.chance()

    async def wait_for_poll(self) -> None:
        """Return once another call's poll has ended, one way or the other."""
        await self._polled.wait()

    @contextmanager
    def polling(self) -> Generator[None]:
        self.is_polled = True
        try:
            yield
        finally:
            self.is_polled = False
            self._polled.set()
            self._polled = anyio.Event()

    def record(self, task: Task) -> Interval | None:
        """Take in what was read; between which ages it was drawn, if that is news."""
        if task.reserved_cents is None:
            # Only the answer to the create tells it.
            task = replace(task, reserved_cents=self.task.reserved_cents)
        self.task = replace(task, model=task.model or self.task.model)
        self.failure = None
        self.timing.record(ended=task.ended)
        if task.ended and self.callback is not None:
            self.callback.note_end()
            self.callback = None
        interval = self.timing.interval() if task.status == "completed" else None
        if interval is not None:
            self.timing.durations.learn(interval)
        return interval

    def record_failure(self, failure: ProviderFailure) -> None:
        self.failure = failure
        self.timing.record_failure()

    def assume_model(self, model: str) -> None:
        """Take in what a client says that the task was made with, until RunAPI says it."""
        if self.task.model is None:
            self.task = replace(self.task, model=model)

    def record_files(
        self,
        files: tuple[str, ...],
        hashes: tuple[str, ...],
        originals: tuple[tuple[str, str], ...],
    ) -> None:
        if self.entry is not None:
            self.entry = replace(self.entry, files=files, file_hashes=hashes, originals=originals)

    def pause_seconds(self) -> float:
        """How long to wait before the next poll; 0 when it is due."""
        if self._woken.is_set():
            return 0.0
        pause = (self.failure.answer if self.failure else self.task).retry_after_seconds
        due_at = self.timing.due_at(pause, expects_callback=self._expects_callback)
        return max(0.0, due_at - anyio.current_time())

    @property
    def _expects_callback(self) -> bool:
        return self.callback is not None and self.callback.is_expected

    def _may_look(self) -> bool:
        if self._woken.is_set() or self.callback is None or not self.callback.is_expected:
            return True
        return self.callback.take_look()

    async def _sleep(self, seconds: float) -> None:
        """Return after so many seconds, or once something wakes the task."""
        with anyio.move_on_after(seconds):
            await self._woken.wait()
