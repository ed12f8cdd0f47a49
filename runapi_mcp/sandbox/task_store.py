"""The sandbox's tasks: one per idempotency key, finished by the clock, charged at the end.

Prices are the snapshot's, and a made-up one where RunAPI published none.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from runapi_mcp.base.catalog import Params, Schedule, Variant
from runapi_mcp.base.catalog.task import Status
from runapi_mcp.sandbox.faults import Script
from runapi_mcp.sandbox.http_messages import Refusal, error

PRETENDED_CENTS: Final = 30
"""For what has no published price: in the sandbox it only has to be some price."""
OPENING_BALANCE_CENTS: Final = 1000
LONGEST_QUEUE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class StoredTask:
    """One task; `started` and `seconds` are on the sandbox's own clock."""

    id: str
    variant: Variant
    params: Params
    script: Script
    base_url: str
    """Where the client reached the sandbox: its pictures are there too."""
    price_cents: int
    started: float
    seconds: float

    def status(self, now: float) -> Status:
        if self.script.never_ends or now - self.started < self.seconds:
            queued = min(LONGEST_QUEUE_SECONDS, self.seconds / 10)
            return "pending" if now - self.started < queued else "processing"
        return "failed" if self.script.failure else "completed"


@dataclass(slots=True)
class StoredAccount:
    """One key's money and tasks."""

    balance_cents: int = OPENING_BALANCE_CENTS
    spent_cents: int = 0
    tasks: dict[str, StoredTask] = field(default_factory=dict[str, StoredTask])
    by_key: dict[str, tuple[object, str]] = field(default_factory=dict[str, tuple[object, str]])
    _unsettled: set[str] = field(default_factory=set[str])

    def reserved_cents(self) -> int:
        return sum(self.tasks[task_id].price_cents for task_id in self._unsettled)

    def settle(self, now: float) -> None:
        """Charge what has been drawn since, and release what failed."""
        for task_id in list(self._unsettled):
            task = self.tasks[task_id]
            if (status := task.status(now)) not in ("completed", "failed"):
                continue
            self._unsettled.remove(task_id)
            if status == "completed":
                self.balance_cents -= task.price_cents
                self.spent_cents += task.price_cents

    def store(self, task: StoredTask, key: str | None, request: object) -> None:
        """Take a new task on; refused with 402 where what is not reserved is below its price."""
        if self.balance_cents - self.reserved_cents() < task.price_cents:
            raise Refusal(error(402, "Insufficient credits"))
        self.tasks[task.id] = task
        self._unsettled.add(task.id)
        if key is not None:
            self.by_key[key] = (request, task.id)

    def earlier(self, key: str | None, request: object) -> StoredTask | None:
        """The task this idempotency key already made; by another request, it is a 409."""
        if key is None or key not in self.by_key:
            return None
        known, task_id = self.by_key[key]
        if known != request:
            raise Refusal(error(409, "Idempotency-Key was used with other input"))
        return self.tasks[task_id]


class Accounts:
    """All accounts, made when their key first appears."""

    def __init__(self, clock: Callable[[], float], draw_seconds: float | None) -> None:
        self.clock = clock
        self._draw_seconds = draw_seconds
        self._accounts: dict[str, StoredAccount] = {}

    @property
    def spent_cents(self) -> int:
        """What all of them together were charged."""
        return sum(self.of(key).spent_cents for key in list(self._accounts))

    def of(self, key: str) -> StoredAccount:
        account = self._accounts.setdefault(key, StoredAccount())
        account.settle(self.clock())
        return account

    def task(self, task_id: str) -> StoredTask | None:
        """A task of any account: pictures are public to whoever knows their address."""
        found = (account.tasks.get(task_id) for account in self._accounts.values())
        return next((task for task in found if task), None)

    def new_task(
        self, variant: Variant, params: Params, script: Script, base_url: str
    ) -> StoredTask:
        """A task that starts now. It is not stored yet."""
        task_id = str(uuid.uuid4())
        return StoredTask(
            id=task_id,
            variant=variant,
            params=params,
            script=script,
            base_url=base_url,
            price_cents=cents_of(variant, params.resolution),
            started=self.clock(),
            seconds=self._seconds(variant, script, task_id),
        )

    def _seconds(self, variant: Variant, script: Script, task_id: str) -> float:
        if script.takes_seconds is not None:
            return script.takes_seconds
        if self._draw_seconds is not None:
            return self._draw_seconds
        return variant.tier.sandbox_seconds * Random(task_id).uniform(0.9, 1.1)  # noqa: S311 - varies a delay


def schedule_of(variant: Variant) -> Schedule:
    """What the sandbox charges for a variant."""
    if variant.snapshot.unit_cents is not None:
        return variant.snapshot
    return Schedule(PRETENDED_CENTS, dict.fromkeys(variant.resolutions, PRETENDED_CENTS))


def cents_of(variant: Variant, output_resolution: str | None) -> int:
    return int(schedule_of(variant).cents(output_resolution) or 0)
