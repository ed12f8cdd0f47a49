"""Connections that are made when they are needed, and made anew when they are gone."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import LiteralString

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, reason_of
from runapi_mcp.postgres.pool import PostgresPool
from tests.support.fleet.postgres_server import PASSWORD, PostgresServer, running_server
from tests.support.fleet.tcp_proxy import tcp_proxy

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SHORT_SECONDS = 0.5


@pytest.fixture
async def pool(empty_database: SecretStr, anyio_backend: str) -> AsyncGenerator[PostgresPool]:
    async with aclosing(PostgresPool(empty_database, size=3)) as pool:
        async with pool.transaction() as session:
            await session.execute("CREATE TABLE words (word text)")
        yield pool


async def write(pool: PostgresPool, word: str) -> None:
    async with pool.transaction() as session:
        await session.execute("INSERT INTO words VALUES (%s)", [word])


async def words(pool: PostgresPool) -> list[str]:
    async with pool.transaction() as session:
        rows = await (await session.execute("SELECT word FROM words ORDER BY word")).fetchall()
    return [row["word"] for row in rows]


async def test_many_share_few_connections(pool: PostgresPool) -> None:
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(write, pool, f"{number:02}")
    assert len(await words(pool)) == 20
    assert pool.use == (3, 0, 3, 0)


@pytest.mark.parametrize("then", ["SELECT no_such_column", "SELECT 1"])
async def test_what_fails_leaves_nothing_and_a_connection_that_is_sound(
    pool: PostgresPool, then: LiteralString
) -> None:
    async def write_and_fail() -> None:
        async with pool.transaction() as session:
            await session.execute("INSERT INTO words VALUES ('lost')")
            await session.execute(then)
            raise LookupError

    with pytest.raises((LookupError, *DATABASE_FAILURES)):
        await write_and_fail()
    assert pool.use.idle == 1
    assert await words(pool) == []


async def test_what_a_deadline_ends_leaves_no_place_taken(empty_database: SecretStr) -> None:
    async def wait_long() -> None:
        with pytest.raises(TimeoutError):
            async with pool.transaction() as session:
                await session.execute("SELECT pg_sleep(60)")

    async with aclosing(PostgresPool(empty_database, transaction_seconds=SHORT_SECONDS)) as pool:
        async with anyio.create_task_group() as group:
            for _ in range(2 * pool.use.size):
                group.start_soon(wait_long)
        assert (pool.use.used, pool.use.waiting) == (0, 0)


async def test_who_waits_for_a_connection_in_vain_is_told_that_none_was_free(
    empty_database: SecretStr,
) -> None:
    reasons = list[str]()

    async def hold_the_only_one_and_ask_for_another() -> None:
        async with pool.transaction():
            with pytest.raises(DATABASE_FAILURES) as told:
                await write_temporary(pool)
            reasons.append(reason_of(told.value))
            raise told.value

    only = PostgresPool(empty_database, size=1, transaction_seconds=SHORT_SECONDS)
    async with aclosing(only) as pool:
        with pytest.raises(DATABASE_FAILURES):
            await hold_the_only_one_and_ask_for_another()
    assert reasons == ["all connections of this server were in use for too long"]


async def test_a_caller_that_leaves_ends_no_transaction(pool: PostgresPool) -> None:
    with anyio.move_on_after(0.05):
        async with pool.transaction() as session:
            await session.execute("SELECT pg_sleep(0.2)")
            await session.execute("INSERT INTO words VALUES ('kept')")
    assert await words(pool) == ["kept"]


async def test_a_server_that_was_away_is_used_again_at_once() -> None:
    with running_server() as server:
        async with aclosing(PostgresPool(server.url(), size=3)) as pool:
            await survive(server, pool)


async def survive(server: PostgresServer, pool: PostgresPool) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(write_temporary, pool)
    server.kill()
    with pytest.raises(DATABASE_FAILURES) as told:
        await write_temporary(pool)
    assert "refused" in reason_of(told.value)
    server.start()
    # The first call is served by the first try, and so are many at once.
    await write_temporary(pool)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(write_temporary, pool)


async def hold_all(pool: PostgresPool) -> None:
    """All that it may have are used at once."""
    held, all_are = list[str](), anyio.Event()

    async def hold() -> None:
        async with pool.transaction():
            held.append("one")
            if len(held) == pool.use.size:
                all_are.set()
            await all_are.wait()

    async with anyio.create_task_group() as group:
        for _ in range(pool.use.size):
            group.start_soon(hold)


async def test_connections_that_fell_silent_do_not_use_up_a_calls_time(
    postgres: PostgresServer,
) -> None:
    """One after the other would take longer than a transaction may."""
    async with (
        tcp_proxy("127.0.0.1", postgres.port) as proxy,
        aclosing(PostgresPool(postgres.url(port=proxy.port))) as pool,
    ):
        await hold_all(pool)
        assert pool.use.idle == pool.use.size
        proxy.silence()
        await write_temporary(pool)


async def test_who_waits_behind_those_that_reach_nobody_does_not_try_himself(
    postgres: PostgresServer,
) -> None:
    """Each would take seconds to find out, and who comes once it is back would wait behind them."""
    reasons = list[str]()

    async def try_in_vain() -> None:
        with pytest.raises(DATABASE_FAILURES) as told:
            await write_temporary(pool)
        reasons.append(reason_of(told.value))

    async with (
        tcp_proxy("127.0.0.1", postgres.port) as proxy,
        aclosing(PostgresPool(postgres.url(port=proxy.port), size=2)) as pool,
    ):
        proxy.is_half_open = True
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(try_in_vain)
        assert len(reasons) == 20
        assert {*reasons} == {reasons[0]}
        assert "timeout" in reasons[0]
        assert len(proxy.connections) == pool.use.size
        proxy.is_half_open = False
        await write_temporary(pool)


async def write_temporary(pool: PostgresPool) -> None:
    async with pool.transaction() as session:
        await session.execute("SELECT 1")


async def test_no_reason_shows_a_password(postgres: PostgresServer) -> None:
    url = SecretStr(postgres.url().get_secret_value().replace(PASSWORD, "wrong-password"))
    async with aclosing(PostgresPool(url)) as pool:
        with pytest.raises(DATABASE_FAILURES) as told:
            await write_temporary(pool)
    assert "password authentication failed" in reason_of(told.value)
    assert "wrong-password" not in reason_of(told.value)


async def test_an_address_that_cannot_be_read_is_not_shown() -> None:
    url = SecretStr("postgresql://u:secret@h/d?no-such=word")
    async with aclosing(PostgresPool(url)) as pool:
        with pytest.raises(DATABASE_FAILURES) as told:
            await write_temporary(pool)
    assert reason_of(told.value) == "its address cannot be read"


async def test_the_databases_clock_is_told(pool: PostgresPool) -> None:
    async with pool.transaction() as session:
        found = await session.execute("SELECT extract(epoch FROM clock_timestamp())::float8 AS at")
        row = await found.fetchone()
    assert row is not None
    assert abs(pool.clock.now() - row["at"]) < 60
