"""What is only known by asking, as gauges: asked when somebody wants to see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import anyio

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.base.measures import LEDGER_DRIFT, POOL
from runapi_mcp.telemetry.open_pictures import tell_open_pictures

if TYPE_CHECKING:
    from runapi_mcp.orders.ledger import Ledger
    from runapi_mcp.postgres.pool import PostgresPool

COUNT_AGAIN_SECONDS: Final = 300.0
"""Sums of all calls are not taken more often."""


@runtime_checkable
class KeepsCounters(Protocol):
    """A ledger that keeps what was spent beside the calls themselves."""

    async def count_wrong_budgets(self) -> int: ...


@dataclass(slots=True)
class AskedGauges:
    ledger: Ledger
    counters: KeepsCounters | None = None
    pool: PostgresPool | None = None
    _count_at: float = field(default=0.0, init=False)

    async def refresh(self) -> None:
        if self.pool is not None:
            _tell_pool(self.pool)
        await tell_open_pictures(self.ledger)
        if self.counters is not None and anyio.current_time() >= self._count_at:
            self._count_at = anyio.current_time() + COUNT_AGAIN_SECONDS
            await _tell_drift(self.counters)


def _tell_pool(pool: PostgresPool) -> None:
    use = pool.use
    POOL.set(use.used, state="used")
    POOL.set(use.idle, state="idle")
    POOL.set(use.waiting, state="waiting")


async def _tell_drift(counters: KeepsCounters) -> None:
    try:
        LEDGER_DRIFT.set(await counters.count_wrong_budgets())
    except LedgerUnusable:
        """`runapi.ledger.up` says it."""
