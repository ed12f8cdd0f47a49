"""Three servers of one address: whichever of them RunAPI calls, the one that waits looks."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import anyio
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.cli.fleet_database import prepare
from runapi_mcp.postgres.pool import PostgresPool
from runapi_mcp.providers.rate_limit import PAYING_SHARE
from tests.support.fleet.replicas import Fleet, replicas
from tests.support.fleet.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.fleet.wire import WireClient
from tests.support.processes import LIMIT_SECONDS, SIGNALS, Network, network
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
PER_SECOND = 15
SECRET = "a-secret-of-the-fleet"
WOKEN = "a fox {} [[takes 1s]] [[poll-after 3600s]]"
"""Only a callback gets it looked at."""


@dataclass(frozen=True, slots=True)
class Site:
    fleet: Fleet
    net: Network
    http: httpx.AsyncClient
    way: TcpProxy
    """From RunAPI to one of the servers."""

    def client(self, *urls: str) -> WireClient:
        return WireClient(self.http, cycle(urls), "2026-07-28", KEY)


@pytest.fixture
async def there(empty_database: SecretStr) -> AsyncGenerator[Site]:
    await prepare(empty_database)
    async with network() as net, tcp_proxy("127.0.0.1", 1) as way:
        environment = {
            **net.environment(),
            "RUNAPI_DATABASE_URL": empty_database.get_secret_value(),
            "RUNAPI_PUBLIC_URL": f"http://127.0.0.1:{way.port}",
            "RUNAPI_FLEET_SECRET": SECRET,
            "RUNAPI_REQUESTS_PER_SECOND": str(PER_SECOND),
        }
        async with (
            replicas(3, environment) as fleet,
            httpx.AsyncClient(timeout=LIMIT_SECONDS) as http,
        ):
            way.target = ("127.0.0.1", fleet.ports[0])
            yield Site(fleet, net, http, way)


async def test_a_callback_to_one_server_wakes_those_that_wait_at_another(there: Site) -> None:
    async def draw(url: str, number: int) -> None:
        drawn = await there.client(url).draw(WOKEN.format(number), wait_seconds=60)
        assert drawn["structuredContent"]["status"] == "completed"

    with anyio.fail_after(LIMIT_SECONDS):
        async with anyio.create_task_group() as group:
            for number in range(9):
                group.start_soon(draw, there.fleet.urls[number % 3], number)
    looks = [there.net.looks(task_id) for task_id in there.net.account().tasks]
    assert looks == [1] * 9


async def test_one_server_alone_is_woken_without_a_database() -> None:
    async with network() as net, tcp_proxy("127.0.0.1", 1) as way:
        environment = {
            **net.environment(),
            "RUNAPI_PUBLIC_URL": f"http://127.0.0.1:{way.port}/flux",
            "RUNAPI_FLEET_SECRET": SECRET,
        }
        async with (
            replicas(1, environment, "--root-path", "/flux") as fleet,
            httpx.AsyncClient(timeout=LIMIT_SECONDS) as http,
        ):
            way.target = ("127.0.0.1", fleet.ports[0])
            client = WireClient(http, cycle(fleet.urls), "2026-07-28", KEY)
            drawn = await client.draw(WOKEN.format(0), wait_seconds=60)
            assert drawn["structuredContent"]["status"] == "completed"


async def test_a_server_that_was_killed_is_missed_by_no_callback(there: Site) -> None:
    first, *others = there.fleet.replicas
    there.way.target = ("127.0.0.1", others[0].port)
    await there.client(first.url).draw(WOKEN.format(0), wait_seconds=0)
    await first.kill()
    drawn = await there.client(others[1].url).draw(WOKEN.format(0), wait_seconds=60)
    assert drawn["structuredContent"]["status"] == "completed"
    assert there.net.account().spent_cents == 5


class _Clocked:
    """Notes when a request that pays arrives."""

    def __init__(self, app: ASGIApp, at: list[float]) -> None:
        self._app = app
        self._at = at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            self._at.append(anyio.current_time())
        await self._app(scope, receive, send)


async def test_all_servers_together_keep_the_pace_of_a_key(there: Site) -> None:
    arrived = list[float]()
    there.net.sandbox.app.add_middleware(_Clocked, arrived)
    async with anyio.create_task_group() as group:
        for number in range(30):
            client = there.client(there.fleet.urls[number % 3])
            group.start_soon(partial(client.draw, f"a fox {number}", wait_seconds=0))
    assert len(arrived) == 30
    # What is sent evenly arrives unevenly on a busy machine, but not in half of its time.
    assert arrived[-1] - arrived[0] >= 29 / (PER_SECOND * PAYING_SHARE) / 2


async def test_a_key_takes_its_turns_in_the_database(
    there: Site, empty_database: SecretStr
) -> None:
    async with anyio.create_task_group() as group:
        for number, url in enumerate(there.fleet.urls):
            group.start_soon(there.client(url).draw, f"a fox {number}")
    async with aclosing(PostgresPool(empty_database)) as pool, pool.transaction() as connection:
        rows = await (await connection.execute("SELECT caller FROM runapi_mcp.turns")).fetchall()
    assert len(rows) == 1
    assert KEY not in str(rows)
