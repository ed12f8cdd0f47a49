"""What all callers share above RunAPI: the ledger, the limits, and the tasks that are watched."""

import logging
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from weakref import WeakValueDictionary

import anyio

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.orders.durations import Durations
from runapi_mcp.orders.ledger import Ledger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.tracked_task import Watch

logger = logging.getLogger(__name__)

MOST_KEPT: Final = 200

Found = TypeVar("Found")


@dataclass(slots=True)
class Desk:
    """One for each server."""

    ledger: Ledger
    limits: Limits = field(default_factory=Limits)
    keeps_prompts: bool = True
    """Whether the ledger keeps prompts. Without them, only the same call settles a doubt."""
    variants: Sequence[Variant] = VARIANTS
    """What can have been ordered, whatever is offered now."""
    watches: WeakValueDictionary[tuple[str, str], Watch] = field(
        default_factory=WeakValueDictionary[tuple[str, str], Watch]
    )
    """The tasks somebody waits for, by caller and id."""
    durations: dict[tuple[str, str | None], Durations] = field(
        default_factory=dict[tuple[str, str | None], Durations]
    )
    """How long images take, by model and resolution."""
    _settle_at: dict[str, float] = field(default_factory=dict[str, float])
    _kept: deque[Watch] = field(default_factory=lambda: deque[Watch](maxlen=MOST_KEPT))

    def keep(self, watch: Watch) -> None:
        """Remember a task that is asked for now and then: it is looked at only when it is due."""
        if watch in self._kept:
            self._kept.remove(watch)
        if not watch.task.ended:
            self._kept.append(watch)

    def may_settle(self, caller: str, again_after_seconds: float) -> bool:
        """Whether it is time to look for doubts of this caller; then the next time is set."""
        now = anyio.current_time()
        if now < self._settle_at.get(caller, 0.0):
            return False
        self._settle_at[caller] = now + again_after_seconds
        return True


async def if_usable(found: Awaitable[Found]) -> Found | None:
    """What the ledger knows; nothing, when it cannot be used: reading goes on without."""
    try:
        return await found
    except LedgerUnusable as failure:
        logger.warning("%s", failure)
        return None


async def noted(written: Awaitable[None]) -> bool:
    """Whether the ledger took it, whatever the caller does. What was paid is not undone by a no."""
    with anyio.CancelScope(shield=True):
        try:
            await written
        except LedgerUnusable as failure:
            logger.warning("%s", failure)
            return False
    return True
