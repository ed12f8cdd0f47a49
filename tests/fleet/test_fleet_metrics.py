"""What one server of several tells of what they share."""

import signal
from collections.abc import AsyncGenerator

import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.watched_server import Watched
from tests.support.processes import ENDLESS, SIGNALS, draw, drawing, host, network, program
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def watched(fleet_database: SecretStr) -> AsyncGenerator[Watched]:
    options = ("--metrics", "127.0.0.1:0", "--port", "0", "--drain-seconds", "20")
    async with network() as net:
        environment = {
            **net.environment(),
            "RUNAPI_DATABASE_URL": fleet_database.get_secret_value(),
        }
        async with program("serve", "--http", *options, environment=environment) as running:
            metrics = await running.stderr.holding("tells Prometheus at ")
            serves = await running.stderr.holding("runapi-mcp serves ")
            url = serves.split()[2].removesuffix("/mcp")
            yield Watched(running, url, metrics.split()[-1])


async def test_connections_counters_and_leaving_are_told(watched: Watched) -> None:
    async with host(watched.url, "/mcp", "auto", KEY) as client:
        await draw(client)
        assert await watched.value("runapi_ledger_up") == 1
        assert await watched.value("runapi_pool", state="idle") >= 1
        assert [s.value for s in await watched.samples() if s.name == "runapi_ledger_drift"] == [0]
        assert await watched.value("runapi_draining") == 0
        async with drawing(client, ENDLESS) as waits:
            await waits.wait()
            watched.running.process.send_signal(signal.SIGTERM)
            await watched.running.stderr.holding("leaving")
            assert await watched.value("runapi_draining") == 1
