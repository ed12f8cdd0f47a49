"""The implementations of the ledger's port. Each new one is a row here, and passes the contract."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from runapi_mcp.orders.ledger import Ledger
from runapi_mcp.orders.ledger.postgres import PostgresLedger
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.postgres.pool import PostgresPool
from runapi_mcp.telemetry.observed_ledger import ObservedLedger
from tests.support.world import NOON


@dataclass(frozen=True, slots=True)
class Implementation:
    """One way to keep a ledger. All that tests know of it besides the port."""

    opened: Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[tuple[Ledger, Ledger]]]
    """Two openings of one ledger, as two servers have it; twice the same where it is not shared."""
    lasts: bool
    """Whether what is written outlives the process."""


def _clock() -> Callable[[], float]:
    """The virtual time of this loop, for its threads too."""
    loop = asyncio.get_running_loop()
    return lambda: NOON + loop.time()


@asynccontextmanager
async def _on_disk(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[Ledger, Ledger]]:
    folder: Path = request.getfixturevalue("tmp_path")
    path, clock = folder / "ledger.sqlite3", _clock()
    async with (
        aclosing(SqliteLedger(lambda: path, clock=clock)) as one,
        aclosing(SqliteLedger(lambda: path, clock=clock)) as other,
    ):
        yield one, other


@asynccontextmanager
async def _in_memory(_: pytest.FixtureRequest) -> AsyncGenerator[tuple[Ledger, Ledger]]:
    async with aclosing(SqliteLedger.in_memory(_clock())) as ledger:
        yield ledger, ledger


@asynccontextmanager
async def _observed(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[Ledger, Ledger]]:
    async with _on_disk(request) as (one, other):
        yield ObservedLedger(one), ObservedLedger(other)


@asynccontextmanager
async def _in_postgres(request: pytest.FixtureRequest) -> AsyncGenerator[tuple[Ledger, Ledger]]:
    url, clock = request.getfixturevalue("ledger_database"), _clock()
    async with aclosing(PostgresPool(url)) as one, aclosing(PostgresPool(url)) as other:
        ledger = PostgresLedger(one, clock=clock)
        yield ledger, PostgresLedger(other, clock=clock)
        # Whatever a test did, the counters of the limits are the sums of the calls.
        assert await ledger.count_wrong_budgets() == 0


IMPLEMENTATIONS: Final = {
    "SQLite on the disk": Implementation(_on_disk, lasts=True),
    "SQLite in memory": Implementation(_in_memory, lasts=False),
    "SQLite, looked on": Implementation(_observed, lasts=True),
    "PostgreSQL": Implementation(_in_postgres, lasts=True),
}
