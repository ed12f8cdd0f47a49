"""Several servers that use one key take turns, so that RunAPI's limit holds for all together."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.fleet.fleet_tables import FLEET_TABLES
from runapi_mcp.fleet.shared_rate_limit import MARGIN, SHARE_ALONE, SharedRateLimit
from runapi_mcp.fleet.turn_table import NoTurns, Spacing, TurnTable
from runapi_mcp.postgres.schemas import migrate
from tests.support.fleet.postgres_server import PostgresServer, running_server
from tests.support.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
SPACING = Spacing(0.01, 0.02)
SERVERS = 3


@pytest.fixture
def own_server() -> Generator[PostgresServer]:
    with running_server() as server:
        yield server


@asynccontextmanager
async def tables(url: SecretStr) -> AsyncGenerator[Sequence[TurnTable]]:
    """What each server has of the turns."""
    await migrate(url, [FLEET_TABLES])
    found = [TurnTable(url) for _ in range(SERVERS)]
    async with anyio.create_task_group() as group:
        for table in found:
            group.start_soon(table.run)
        await until(lambda: all(table.is_connected for table in found))
        yield found
        group.cancel_scope.cancel()


async def times_of_turns(
    servers: Sequence[TurnTable], key: str, *, pays: bool, reads: bool
) -> list[tuple[float, bool]]:
    """When the turns are that all servers together reserve, and whether they pay."""
    found: list[tuple[float, bool]] = []

    async def reserve(table: TurnTable) -> None:
        for _ in range(40):
            turn = await table.reserve(key, SPACING, pays=pays, reads=reads)
            await anyio.sleep_until(turn.at)
            if turn.is_taken:
                found.append((turn.at, turn.pays))

    async with anyio.create_task_group() as group:
        for table in servers:
            group.start_soon(reserve, table)
    return sorted(found)


async def test_the_turns_of_all_servers_are_as_far_apart_as_those_of_one(
    empty_database: SecretStr,
) -> None:
    async with tables(empty_database) as servers:
        turns = await times_of_turns(servers, "key", pays=False, reads=True)
    assert len(turns) == SERVERS * 40
    # By the database's clock they are exact; here each is known a little later.
    assert turns[-1][0] - turns[0][0] >= (len(turns) - 1) * SPACING.each * 0.95


async def test_two_keys_do_not_wait_for_each_other(empty_database: SecretStr) -> None:
    async with tables(empty_database) as [one, other, _]:
        for _ in range(100):
            await one.reserve("slow", Spacing(1, 1), pays=False, reads=True)
        turn = await other.reserve("quick", Spacing(1, 1), pays=False, reads=True)
        assert turn.at - anyio.current_time() < 1


async def test_a_share_of_the_turns_is_left_to_those_that_do_not_pay(
    empty_database: SecretStr,
) -> None:
    async with tables(empty_database) as servers:
        turns = await times_of_turns(servers, "key", pays=True, reads=True)
    paying = [at for at, pays in turns if pays]
    assert 0 < len(paying) < len(turns)
    assert (len(paying) - 2) * SPACING.paying * 0.95 <= turns[-1][0] - turns[0][0]


async def test_where_only_paying_requests_wait_they_wait_for_their_own_turns(
    empty_database: SecretStr,
) -> None:
    async with tables(empty_database) as servers:
        turns = await times_of_turns(servers, "key", pays=True, reads=False)
    assert all(pays for _, pays in turns)
    assert turns[-1][0] - turns[0][0] >= (len(turns) - 2) * SPACING.paying * 0.95


async def test_what_runapi_asks_one_server_for_all_keep(empty_database: SecretStr) -> None:
    async with tables(empty_database) as [one, other, _]:
        limits = [SharedRateLimit(table, "key", 1_000, 500) for table in (one, other)]
        await limits[0].wait_turn(pays=False, urgency=None)
        limits[0].pause(1.0)
        paused = anyio.current_time()
        # The server that was told says it in its next breath; this one asks after it.
        await limits[0].wait_turn(pays=False, urgency=None)
        assert anyio.current_time() - paused >= 0.9
        limits[0].pause(1.0)
        await one.reserve("another", SPACING, pays=False, reads=True)
        await limits[1].wait_turn(pays=False, urgency=None)
        assert anyio.current_time() - paused >= 1.8


async def test_a_turn_goes_to_whoever_is_most_urgent_when_it_comes(
    empty_database: SecretStr,
) -> None:
    order: list[float] = []
    async with tables(empty_database) as [table, *_], anyio.create_task_group() as group:
        limit = SharedRateLimit(table, "key", 20, 10)

        async def go(urgency: float) -> None:
            await limit.wait_turn(pays=False, urgency=lambda: urgency)
            order.append(urgency)

        limit.pause(0.5)
        for urgency in (0.1, 0.9, 0.5):
            group.start_soon(go, urgency)
            await anyio.lowlevel.checkpoint()
    assert order == [0.9, 0.5, 0.1]


async def test_one_who_leaves_takes_no_turn_along(empty_database: SecretStr) -> None:
    async with tables(empty_database) as [table, other, _]:
        limit = SharedRateLimit(table, "key", 0.01, 0.01)
        await limit.wait_turn(pays=False, urgency=None)
        started = anyio.current_time()
        for _ in range(3):
            with anyio.move_on_after(0.1):
                await limit.wait_turn(pays=False, urgency=None)
        turn = await other.reserve("key", Spacing(100, 100), pays=False, reads=True)
        assert turn.at - started < 2.5 * MARGIN * 100


async def test_without_the_database_each_server_goes_on_at_a_share_of_the_pace(
    own_server: PostgresServer,
) -> None:
    async with tables(own_server.url()) as [table, *_]:
        limit = SharedRateLimit(table, "key", 100, 50)
        own_server.kill()
        await limit.wait_turn(pays=False, urgency=None)
        assert not table.is_connected
        started = anyio.current_time()
        for _ in range(10):
            await limit.wait_turn(pays=False, urgency=None)
        assert anyio.current_time() - started >= 9 / 100 / SHARE_ALONE
        with pytest.raises(NoTurns):
            await table.reserve("key", SPACING, pays=False, reads=True)
        own_server.start()
        await until(lambda: table.is_connected)
        await limit.wait_turn(pays=False, urgency=None)
