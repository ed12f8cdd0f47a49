"""What all callers share above RunAPI: the ledger, the limits, and the tasks that are tracked."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import anyio

from runapi_mcp.base.background import Background
from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.single_flight import SingleFlight
from runapi_mcp.orders.durations import Durations
from runapi_mcp.orders.ledger import DeriveKey, Ledger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.look_budget import LookBudget
from runapi_mcp.orders.payment import Paid, log_unheard
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.orders.waits import Waits
from runapi_mcp.orders.wakeups import Wakeups

MOST_KEPT_TASKS: Final = 200
MOST_KNOWN_CALLERS: Final = 10_000
"""Whose doubts were looked for lately; for more callers, that is done more often."""


@dataclass(slots=True)
class SharedState:
    """One for each server."""

    ledger: Ledger
    limits: Limits = field(default_factory=Limits)
    keeps_prompts: bool = True
    """Without them, only the same call settles a doubt."""
    variants: Sequence[Variant] = VARIANTS
    """What can have been ordered, whatever is offered now."""
    wakeups: Wakeups | None = None
    """How callbacks reach those that wait; None where nobody can call back."""
    derive_key: DeriveKey | None = None
    """None where each call has a key of its own making."""
    looks: LookBudget = field(default_factory=LookBudget)
    tracked: WeakValueDictionary[tuple[str, str], TrackedTask] = field(
        default_factory=WeakValueDictionary[tuple[str, str], TrackedTask]
    )
    """The tasks somebody waits for, by caller and id."""
    durations: dict[tuple[str, str | None], Durations] = field(
        default_factory=dict[tuple[str, str | None], Durations]
    )
    """How long images take, by model and resolution."""
    waits: Waits = field(default_factory=Waits)
    background: Background = field(default_factory=Background)
    payments: SingleFlight[Paid] = field(init=False)
    """The requests that pay and are under way, by idempotency key."""
    _reconcile_at: OrderedDict[str, float] = field(default_factory=OrderedDict[str, float])
    """By caller, the one longest ago first."""
    _kept: deque[TrackedTask] = field(
        default_factory=lambda: deque[TrackedTask](maxlen=MOST_KEPT_TASKS)
    )

    def __post_init__(self) -> None:
        self.payments = SingleFlight(self.background, log_unheard)

    def keep(self, tracked: TrackedTask) -> None:
        """Remember a task that is asked for now and then: it is polled only when it is due."""
        if tracked in self._kept:
            self._kept.remove(tracked)
        if not tracked.task.ended:
            self._kept.append(tracked)

    def begin_reconciling(self, caller: str, again_after_seconds: float) -> bool:
        """Whether it is time to reconcile this caller's doubts; then the next time is set."""
        now = anyio.current_time()
        if now < self._reconcile_at.get(caller, 0.0):
            return False
        self._reconcile_at[caller] = now + again_after_seconds
        self._reconcile_at.move_to_end(caller)
        if len(self._reconcile_at) > MOST_KNOWN_CALLERS:
            self._reconcile_at.popitem(last=False)
        return True
