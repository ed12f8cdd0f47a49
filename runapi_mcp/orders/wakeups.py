"""Callbacks: a provider's word that a picture may be done, and how far it is relied on.

A callback is a hint to look now, and never more: whoever knows its address could have sent it. It
counts once for each picture. Knows nothing of addresses, signatures or other servers.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import anyio

from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.tracked_task import TrackedTask

logger = logging.getLogger(__name__)

MOST_HEARD: Final = 20_000
"""How many callbacks are remembered, so that each counts once, however early it comes."""
LATE_SECONDS: Final = 10.0
"""How long after a task was seen ended its callback may come and have been of use."""
COUNTED: Final = 20
"""So many of the latest tasks tell whether callbacks come."""
FEWEST_COUNTED: Final = 5
PROVEN_SHARE: Final = 0.9
SAFETY_LOOKS_PER_SECOND: Final = 0.5
"""How many looks all tasks together get whose callback is expected, ..."""
MOST_SAFETY_LOOKS_AT_ONCE: Final = 5.0
"""... and how many of them may come at once."""


class Wakeups:
    """One for each server. What proves to come from a vendor is relied on."""

    def __init__(self, address_of: Callable[[str], str]) -> None:
        """`address_of` tells where a provider may call back about the picture of a key."""
        self.address_of = address_of
        self._arrivals: dict[str, Arrivals] = {}
        """Of each vendor."""
        self._looks = _Looks()
        self._watched: WeakValueDictionary[str, TrackedTask] = WeakValueDictionary()
        self._heard: OrderedDict[str, None] = OrderedDict()

    def watch(self, entry: Entry, tracked: TrackedTask) -> None:
        """Wake the task when its callback comes, or now if it came before anybody knew the task."""
        # Nothing but our address has a key in it: a key is made after all else that is asked.
        if entry.key not in (entry.request or ""):
            return
        if self.was_heard(entry.key):
            tracked.wake()
            return
        self._watched[entry.key] = tracked
        tracked.callback = _Awaited(entry.key, entry.vendor, self)

    def hear(self, key: str) -> bool:
        """Take in that a callback came; whether it is the first of its picture."""
        if self.was_heard(key):
            return False
        self._heard[key] = None
        if len(self._heard) > MOST_HEARD:
            self._heard.popitem(last=False)
        for arrivals in self._arrivals.values():
            arrivals.note_callback(key)
        tracked = self._watched.get(key)
        if tracked is not None:
            tracked.timing.note_callback()
            tracked.wake()
        return True

    def was_heard(self, key: str) -> bool:
        return key in self._heard

    def are_proven(self, vendor: str) -> bool:
        """Whether a vendor's callbacks have proved to come lately."""
        return self._arrivals_of(vendor).are_proven

    def note_end(self, key: str, vendor: str) -> None:
        """Take in that a task was seen ended: its callback came, or comes soon, or is lost."""
        self._watched.pop(key, None)
        self._arrivals_of(vendor).note_end(key, came=self.was_heard(key))

    def take_look(self) -> bool:
        """Whether one more look may be spent on a task whose callback is expected."""
        return self._looks.take()

    def _arrivals_of(self, vendor: str) -> "Arrivals":
        if vendor not in self._arrivals:
            self._arrivals[vendor] = Arrivals(partial(self._miss, vendor))
        return self._arrivals[vendor]

    def _miss(self, vendor: str) -> None:
        """Say that a vendor's callbacks stay out, and look at all that was left to them."""
        logger.warning(
            "callbacks of %s stay out: pictures are looked at without them. Does what is posted to "
            "RUNAPI_PUBLIC_URL arrive here?",
            vendor,
        )
        for tracked in list(self._watched.values()):
            tracked.wake()


@dataclass(frozen=True, slots=True)
class _Awaited:
    """The callback of one task, as the task asks about it."""

    key: str
    vendor: str
    wakeups: Wakeups

    @property
    def is_expected(self) -> bool:
        # One that came and was too early is the last that comes.
        return self.wakeups.are_proven(self.vendor) and not self.wakeups.was_heard(self.key)

    def take_look(self) -> bool:
        return self.wakeups.take_look()

    def note_end(self) -> None:
        self.wakeups.note_end(self.key, self.vendor)


class Arrivals:
    """The share of ended tasks whose callback came in time, of the latest ones."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called when callbacks cease to be proven, or none has come of so many."""
        self._on_lost = on_lost
        self._came: deque[bool] = deque(maxlen=COUNTED)
        self._ended: OrderedDict[str, float] = OrderedDict()
        """When the tasks were seen ended whose callback may come yet."""
        self._were_proven = False
        self._is_told = False
        """Whether it was said that they stay out, since they last did not."""

    @property
    def are_proven(self) -> bool:
        self._give_up_late_ones()
        return self._were_proven

    def note_callback(self, key: str) -> None:
        if self._ended.pop(key, None) is not None:
            self._count(came=True)

    def note_end(self, key: str, *, came: bool) -> None:
        if came:
            self._count(came=True)
        else:
            self._ended[key] = anyio.current_time()
        self._give_up_late_ones()

    def _give_up_late_ones(self) -> None:
        last = anyio.current_time() - LATE_SECONDS
        while self._ended and next(iter(self._ended.values())) < last:
            self._ended.popitem(last=False)
            self._count(came=False)

    def _count(self, *, came: bool) -> None:
        self._came.append(came)
        share = sum(self._came) / len(self._came)
        were_proven = self._were_proven
        self._were_proven = len(self._came) >= FEWEST_COUNTED and share >= PROVEN_SHARE
        are_silent = len(self._came) == COUNTED and share == 0
        if self._were_proven:
            self._is_told = False
        elif (were_proven or are_silent) and not self._is_told:
            self._is_told = True
            self._on_lost()


class _Looks:
    """So many a second, and so many at once after a pause."""

    def __init__(self) -> None:
        self._left = MOST_SAFETY_LOOKS_AT_ONCE
        self._counted_at = anyio.current_time()

    def take(self) -> bool:
        now = anyio.current_time()
        grown = self._left + (now - self._counted_at) * SAFETY_LOOKS_PER_SECOND
        self._left, self._counted_at = min(grown, MOST_SAFETY_LOOKS_AT_ONCE), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
