"""A callback that one server gets wakes whoever waits at another, through the database."""

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.fleet.callback_relay import MOST_AT_ONCE, CallbackRelay
from runapi_mcp.fleet.fleet_tables import FLEET_TABLES
from runapi_mcp.orders.durations import Durations
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.tracked_task import Timing, TrackedTask
from runapi_mcp.orders.wakeups import Wakeups
from runapi_mcp.postgres.pool import PostgresPool
from runapi_mcp.postgres.schemas import migrate
from tests.support.fleet.postgres_server import PostgresServer, running_server
from tests.support.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
LIMIT_SECONDS = 120


@dataclass
class Replica:
    """One server of several, as far as callbacks go."""

    relay: CallbackRelay
    wakeups: Wakeups

    def waiting_for(self, key: str) -> TrackedTask:
        """A task that somebody waits for here, and that is not due for long."""
        entry = Entry(key, "caller", VARIANTS[0].model, "", 0.0, request=f"…/callbacks/{key}.sig")
        timing = Timing(Durations(VARIANTS[0].tier), anyio.current_time())
        tracked = TrackedTask(Task("7", "processing", retry_after_seconds=1_000), entry, timing)
        tracked.record(tracked.task)
        self.wakeups.watch(entry, tracked)
        return tracked

    async def until_heard(self, *keys: str) -> None:
        await until(lambda: all(map(self.wakeups.was_heard, keys)))


@asynccontextmanager
async def replica(url: SecretStr) -> AsyncGenerator[Replica]:
    wakeups = Wakeups(lambda key: f"https://mcp.example.com/callbacks/{key}.sig")
    async with aclosing(PostgresPool(url)) as pool, anyio.create_task_group() as group:
        relay = CallbackRelay(pool, url, wakeups)
        group.start_soon(relay.run)
        await until(lambda: relay.is_listening)
        yield Replica(relay, wakeups)
        group.cancel_scope.cancel()


@pytest.fixture
async def database(empty_database: SecretStr) -> SecretStr:
    await migrate(empty_database, [FLEET_TABLES])
    return empty_database


@pytest.fixture
def own_server() -> Generator[PostgresServer]:
    with running_server() as server:
        yield server


async def rows(url: SecretStr) -> list[str]:
    async with aclosing(PostgresPool(url)) as pool, pool.transaction() as connection:
        found = await connection.execute("SELECT key FROM runapi_mcp.callbacks ORDER BY key")
        return [row["key"] for row in await found.fetchall()]


async def test_whoever_waits_is_woken_wherever_the_callback_came(database: SecretStr) -> None:
    async with replica(database) as called, replica(database) as other:
        here, there = called.waiting_for("1"), other.waiting_for("2")
        for key in ("1", "2"):
            called.relay.hear(key)
        with anyio.fail_after(LIMIT_SECONDS):
            await here.wait_until_due()
            await there.wait_until_due()


async def test_a_callback_that_came_before_its_task_was_known_is_not_lost(
    database: SecretStr,
) -> None:
    async with replica(database) as called, replica(database) as other:
        called.relay.hear("1")
        await other.until_heard("1")
        assert other.waiting_for("1").pause_seconds() == 0


async def test_a_callback_counts_once_however_many_servers_get_it(database: SecretStr) -> None:
    async with replica(database) as one, replica(database) as other:
        one.relay.hear("1")
        await other.until_heard("1")
        waiting = other.waiting_for("2")
        for each in (one, other) * 10:
            each.relay.hear("1")
        one.relay.hear("2")
        with anyio.fail_after(LIMIT_SECONDS):
            await waiting.wait_until_due()
        waiting.begin_poll()
        for each in (one, other) * 10:
            each.relay.hear("2")
        one.relay.hear("3")
        await other.until_heard("3")
        assert waiting.pause_seconds() > 0
    assert await rows(database) == ["1", "2", "3"]


async def test_many_callbacks_at_once_are_all_told(database: SecretStr) -> None:
    async with replica(database) as called, replica(database) as other:
        keys = [f"{number:036}" for number in range(3 * MOST_AT_ONCE)]
        for key in keys:
            called.relay.hear(key)
        await other.until_heard(*keys)


async def test_what_was_missed_while_the_database_was_away_is_looked_up(
    own_server: PostgresServer,
) -> None:
    url = own_server.url()
    await migrate(url, [FLEET_TABLES])
    async with replica(url) as called, replica(url) as other:
        waiting = other.waiting_for("1")
        own_server.kill()
        called.relay.hear("1")
        own_server.start()
        with anyio.fail_after(LIMIT_SECONDS):
            await waiting.wait_until_due()


async def test_what_another_server_was_told_before_this_one_listened_is_looked_up(
    database: SecretStr,
) -> None:
    async with replica(database) as called:
        called.relay.hear("1")
        async with replica(database) as newer:
            called.relay.hear("2")
            await newer.until_heard("1", "2")
