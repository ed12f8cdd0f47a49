"""RunAPI's tasks as the sandbox keeps them: one per idempotency key.

Prices are the snapshot's, and a made-up one where RunAPI published none.
"""

import uuid
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from runapi_mcp.base.catalog import Params, Schedule, Variant
from runapi_mcp.base.catalog.task import Status
from runapi_mcp.sandbox.course import Phase, phase_at, seconds_of
from runapi_mcp.sandbox.faults import Script
from runapi_mcp.sandbox.http_messages import Refusal

PRETENDED_CENTS: Final = 30
"""For what has no published price: in the sandbox it only has to be some price."""
_STATUSES: Final[dict[Phase, Status]] = {
    "queued": "pending",
    "drawing": "processing",
    "failed": "failed",
    "drawn": "completed",
}


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
        return _STATUSES[phase_at(now, self)]


@dataclass(slots=True)
class IdempotencyKeys:
    """The request that each key of each account came with, and the id of the task it made."""

    _used: dict[tuple[str, str], tuple[Hashable, str]] = field(
        default_factory=dict[tuple[str, str], tuple[Hashable, str]]
    )

    def remember(self, owner: str, key: str, request: Hashable, task_id: str) -> None:
        self._used[owner, key] = request, task_id

    def task_of(self, owner: str, key: str) -> str | None:
        return self._used[owner, key][1] if (owner, key) in self._used else None

    def earlier(self, owner: str, key: str, request: Hashable) -> str | None:
        """The task this key already made; by another request, it is a 409."""
        if (owner, key) in self._used and self._used[owner, key][0] != request:
            raise Refusal(409, "Idempotency-Key was used with other input")
        return self.task_of(owner, key)


@dataclass(frozen=True, slots=True)
class TaskMaker:
    """`draw_seconds` is how long a picture takes; None is as long as life does."""

    draw_seconds: float | None

    def new_task(
        self, variant: Variant, params: Params, script: Script, base_url: str, now: float
    ) -> StoredTask:
        """A task that starts now. It is not stored yet."""
        task_id = str(uuid.uuid4())
        usual = variant.tier.sandbox_seconds
        return StoredTask(
            id=task_id,
            variant=variant,
            params=params,
            script=script,
            base_url=base_url,
            price_cents=cents_of(variant, params.resolution),
            started=now,
            seconds=seconds_of(script, self.draw_seconds, usual, task_id),
        )


def schedule_of(variant: Variant) -> Schedule:
    """What the sandbox charges for a variant."""
    if variant.snapshot.unit_cents is not None:
        return variant.snapshot
    return Schedule(PRETENDED_CENTS, dict.fromkeys(variant.resolutions, PRETENDED_CENTS))


def cents_of(variant: Variant, output_resolution: str | None) -> int:
    return int(schedule_of(variant).cents(output_resolution) or 0)
