"""What only a ledger in PostgreSQL has to stand: connections and servers that go, many at once."""

import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import anyio
import pytest

from runapi_mcp.base.errors import LedgerUnusable, NotAllowed
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.orders.ledger import Call, Entry, Spending, Use
from runapi_mcp.orders.ledger.postgres import PostgresLedger
from runapi_mcp.orders.ledger.postgres.tables import LEDGER_TABLES
from runapi_mcp.postgres.pool import PostgresPool
from runapi_mcp.postgres.schemas import migrate
from tests.support.fleet.postgres_server import PostgresServer, running_server
from tests.support.fleet.tcp_proxy import TcpProxy, tcp_proxy

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
LIMIT_SECONDS: Final = 120.0
NOW: Final = 1_764_500_000.0
ME, NOTHING = "me", Use()
IMAGE = ("https://cdn.example/1.png",)
HOUR_SECONDS, DAY_SECONDS = 3_600.0, 86_400.0
WRITERS: Final = 24
CALLS: Final = int(os.environ.get("LEDGER_CALLS", "600"))
"""A tenth of what was tried once by hand: docs/performance.md."""


def at_noon() -> float:
    return NOW


def allow_all(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
    """No limits."""


def allow_again(lapsed: Call, spending: Spending) -> None:
    """No limits."""


def call_of(key: str, count: int = 1, **more: Any) -> list[Entry]:
    facts: dict[str, Any] = {
        "caller": ME,
        "model": "pro",
        "fingerprint": key,
        "price_cents": 5,
        "begun_at": NOW,
    }
    keys = [key, *(f"{key}-{number}" for number in range(2, count + 1))]
    return [
        Entry(key=each, call_id=key, number=number, count=count, request="{}", **{**facts, **more})
        for number, each in enumerate(keys, start=1)
    ]


@asynccontextmanager
async def ledger_at(
    url: SecretStr, seconds: float = LIMIT_SECONDS
) -> AsyncGenerator[PostgresLedger]:
    async with aclosing(PostgresPool(url, transaction_seconds=seconds)) as pool:
        yield PostgresLedger(pool, clock=at_noon)


def at_port(url: SecretStr, server: PostgresServer, port: int) -> SecretStr:
    return SecretStr(url.get_secret_value().replace(f":{server.port}/", f":{port}/"))


Step = Callable[[PostgresLedger], Coroutine[Any, Any, object]]


async def tell_the_end(ledger: PostgresLedger) -> object:
    first = (await ledger.call("1"))[0]
    done = {"task_id": "task 1", "image_urls": IMAGE, "made_at": NOW, "cost_cents": 4.5}
    return await ledger.record(replace(first, status="completed", **done))


STORY: Final[dict[str, Step]] = {
    "intend": lambda ledger: ledger.intend(call_of("1", count=3), NOTHING, NOW, allow_all),
    "send": lambda ledger: ledger.record_send("1", allow_again),
    "send again": lambda ledger: ledger.record_send("1", allow_again),
    "claim": lambda ledger: ledger.claim_send("1-2"),
    "no": lambda ledger: ledger.record_no("1", 1),
    "doubt": lambda ledger: ledger.record_doubt("1-2", 1, answered=False),
    "no of the other": lambda ledger: ledger.record_no("1-2", 1),
    "withdraw": lambda ledger: ledger.withdraw("1"),
    "end": tell_the_end,
    "files": lambda ledger: ledger.record_files("1", ["/1.png"], ["ab"]),
    "handover": lambda ledger: ledger.record_handover("1", NOW, surely=False),
    "use": lambda ledger: ledger.record_use(ME, Use(task_ids=("task 1",))),
    "find": lambda ledger: ledger.find_alike(call_of("1")[0], NOTHING, NOW - 1),
}
"""A call's life, in which nothing may be written twice."""


async def live(ledger: PostgresLedger, proxy: TcpProxy, cut: str = "", how: str = "") -> object:
    """What each step gave, and what is written at the end."""
    told: list[object] = []
    for name, step in STORY.items():
        if name == cut:
            setattr(proxy, how, b"COMMIT")
        told.append(await step(ledger))
        assert (proxy.cuts_before, proxy.cuts_after) == (None, None)
    return [*told, await ledger.call("1"), await ledger.spending(ME)]


@pytest.mark.parametrize("how", ["cuts_before", "cuts_after"])
@pytest.mark.parametrize("step", STORY)
async def test_a_commit_whose_answer_is_lost_is_made_exactly_once(
    postgres: PostgresServer, template_of_ledgers: str, step: str, how: str
) -> None:
    async def live_in_a_new_database(*cut: str) -> object:
        url = postgres.url(postgres.create_database(template_of_ledgers))
        async with (
            tcp_proxy("127.0.0.1", postgres.port) as proxy,
            ledger_at(at_port(url, postgres, proxy.port)) as ledger,
        ):
            return await live(ledger, proxy, *cut)

    assert await live_in_a_new_database(step, how) == await live_in_a_new_database()


@pytest.fixture
async def frail(anyio_backend: str) -> AsyncGenerator[tuple[PostgresServer, SecretStr]]:
    """A server that may be killed, with a ledger."""
    with running_server() as server:
        url = server.url()
        await migrate(url, [LEDGER_TABLES])
        yield server, url


async def test_a_lost_database_pays_nothing_and_is_used_at_once_when_it_is_back(
    frail: tuple[PostgresServer, SecretStr],
) -> None:
    server, url = frail
    async with ledger_at(url) as ledger:
        await ledger.intend(call_of("1"), NOTHING, NOW, allow_all)
        await ledger.record_send("1", allow_again)
        server.kill()
        with pytest.raises(LedgerUnusable) as told:
            await ledger.intend(call_of("2"), NOTHING, NOW, allow_all)
        assert str(told.value) == (
            "The ledger's database cannot be used just now, and nothing is paid without it. "
            "Call again in a minute. The log of the server says why."
        )
        with pytest.raises(LedgerUnusable):
            await ledger.call("1")
        server.start()
        await ledger.intend(call_of("2"), NOTHING, NOW, allow_all)
        assert [each.key for each in await ledger.entries(ME)] == ["1", "2"]


async def test_what_a_silent_network_holds_locked_is_free_for_others_before_they_give_up(
    postgres: PostgresServer, ledger_database: SecretStr
) -> None:
    """One server's cable is cut in the midst of a transaction: nobody tells it, or the database."""
    async with (
        tcp_proxy("127.0.0.1", postgres.port) as proxy,
        ledger_at(at_port(ledger_database, postgres, proxy.port), seconds=1.0) as cut_off,
        ledger_at(ledger_database) as other,
    ):
        await other.intend(call_of("1"), NOTHING, NOW, allow_all)

        def fall_silent(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as above
            proxy.is_half_open = True

        with pytest.raises(LedgerUnusable):
            await cut_off.intend(call_of("2"), NOTHING, NOW, fall_silent)
        await other.intend(call_of("3"), NOTHING, NOW, allow_all)
        assert [each.key for each in await other.entries(ME)] == ["1", "3"]
        proxy.is_half_open = False
        await proxy.cut()
        await cut_off.intend(call_of("2"), NOTHING, NOW, allow_all)
        assert await other.spending(ME) == Spending(0, 15)


@dataclass(slots=True)
class Rush:
    """Many writers, each of which takes what is still to be ordered, until nothing is."""

    allowed_cents: float
    keys: Iterator[int]
    kept: int = 0
    refused: int = 0

    async def write(self, ledger: PostgresLedger) -> None:
        for key in self.keys:
            while not await self._is_answered(ledger, str(key)):
                """The same call again, as its caller would."""

    async def _is_answered(self, ledger: PostgresLedger, key: str) -> bool:
        try:
            await ledger.intend(call_of(key), NOTHING, NOW, self._allow)
        except LedgerUnusable:
            return False
        except NotAllowed:
            self.refused += 1
        else:
            self.kept += 1
        return True

    def _allow(self, spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
        if spending.total_cents + 5 > self.allowed_cents:
            raise NotAllowed("The budget is spent.", "Nothing was paid.")


async def break_connections(server: PostgresServer, database: str) -> None:
    """Now and then end some, whatever they do."""
    chance = Random(7)  # noqa: S311 - nobody is to be surprised
    with server.connect() as operator:
        while True:
            await anyio.sleep(0.05)
            found = operator.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s", [database]
            ).fetchall()
            for pid in chance.sample(found, min(2, len(found))):
                operator.execute("SELECT pg_terminate_backend(%s)", pid)


async def test_many_writers_take_exactly_what_a_day_allows_although_connections_break(
    postgres: PostgresServer, ledger_database: SecretStr
) -> None:
    allowed_calls = CALLS * 2 // 3
    rush = Rush(allowed_calls * 5, iter(range(CALLS)))
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(ledger_at(ledger_database)) for _ in range(3)]
        async with anyio.create_task_group() as breaking:
            breaking.start_soon(break_connections, postgres, name_in(ledger_database))
            async with anyio.create_task_group() as writing:
                for number in range(WRITERS):
                    writing.start_soon(rush.write, ledgers[number % 3])
            breaking.cancel_scope.cancel()
        assert (rush.kept, rush.refused) == (allowed_calls, CALLS - allowed_calls)
        assert await ledgers[0].spending(ME) == Spending(0, allowed_calls * 5)
        assert await ledgers[0].count_wrong_budgets() == 0


def name_in(url: SecretStr) -> str:
    return url.get_secret_value().rpartition("/")[2]


async def test_a_failover_to_a_synchronous_standby_loses_no_intent_and_no_send() -> None:
    with running_server() as first:
        await migrate(first.url(), [LEDGER_TABLES])
        standby = first.create_standby()
        try:
            standby.start()
            require_standby(first)
            async with ledger_at(first.or_else(standby)) as ledger:
                for number in range(20):
                    await ledger.intend(call_of(str(number)), NOTHING, NOW, allow_all)
                    await ledger.record_send(str(number), allow_again)
                first.kill()
                standby.promote()
                for number in range(20):
                    again = await ledger.record_send(str(number), allow_again)
                    assert again.open_sends == 2
                assert await ledger.spending(ME) == Spending(0, 100)
                assert await ledger.count_wrong_budgets() == 0
        finally:
            standby.remove()


def require_standby(server: PostgresServer) -> None:
    """Let no commit be answered that a standby has not written."""
    with server.connect() as operator:
        operator.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        operator.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (LEDGER_TABLES.version + 1, "was migrated by a newer version, and nothing is paid"),
        (LEDGER_TABLES.version - 1, "has not the tables of this version yet, and nothing is paid"),
    ],
)
async def test_a_database_of_another_version_pays_nothing_until_it_was_migrated(
    postgres: PostgresServer, ledger_database: SecretStr, version: int, said: str
) -> None:
    def pretend(version: int) -> None:
        with postgres.connect(name_in(ledger_database)) as operator:
            operator.execute("UPDATE runapi_mcp.schema_versions SET version = %s", [version])

    async with ledger_at(ledger_database) as ledger:
        pretend(version)
        with pytest.raises(LedgerUnusable, match=said):
            await ledger.intend(call_of("1"), NOTHING, NOW, allow_all)
        pretend(LEDGER_TABLES.version)
        await ledger.intend(call_of("1"), NOTHING, NOW, allow_all)


async def test_what_is_settled_and_old_is_forgotten_once_two_servers_agree(
    ledger_database: SecretStr,
) -> None:
    now = NOW

    async def order_as_a_new_server(key: str) -> list[str]:
        async with aclosing(PostgresPool(ledger_database)) as pool:
            ledger = PostgresLedger(pool, keep_days=90, clock=lambda: now)
            await ledger.intend(call_of(key, begun_at=now), NOTHING, now, allow_all)
            return [each.key for each in await ledger.entries(ME, "recent", 9)]

    async with ledger_at(ledger_database) as ledger:
        await ledger.intend(call_of("settled"), NOTHING, NOW, allow_all)
        await ledger.record_send("settled", allow_again)
        await ledger.record_handover("settled", NOW, surely=True)
        await ledger.intend(call_of("in doubt"), NOTHING, NOW, allow_all)
        await ledger.record_send("in doubt", allow_again)
        now = NOW + 91 * DAY_SECONDS
        assert set(await order_as_a_new_server("1")) == {"settled", "in doubt", "1"}
        now += HOUR_SECONDS
        assert set(await order_as_a_new_server("2")) == {"in doubt", "2"}
        assert await ledger.count_wrong_budgets() == 0
