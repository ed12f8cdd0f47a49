"""A site as a company runs it: some servers, their database, and a RunAPI that they reach."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle

import httpx

from runapi_mcp.base.secret import SecretStr
from tests.support.certificates import Certificate
from tests.support.fleet.far_runapi import far_runapi
from tests.support.fleet.replicas import Fleet, replicas
from tests.support.fleet.wire import WireClient
from tests.support.processes import LIMIT_SECONDS, Network, network
from tests.support.world import KEY

SECRET = "the-secret-of-the-fleet-of-the-tests"


@dataclass(frozen=True, slots=True)
class FleetSite:
    fleet: Fleet
    net: Network
    http: httpx.AsyncClient

    def client(self, version: str, *urls: str, key: str = KEY) -> WireClient:
        """One whose requests go to each in turn; without addresses, to the servers themselves."""
        return WireClient(self.http, cycle(urls or self.fleet.urls), version, key)

    def farewells(self) -> int:
        """How often a server has noticed that whoever waited for a picture left."""
        logs = [replica.program.stderr.seen for replica in self.fleet.replicas]
        return sum("stopped waiting" in line for log in logs for line in log)


def fleet_environment(net: Network, database: SecretStr) -> dict[str, str]:
    """What makes a server one of those on this network and database."""
    return {
        "RUNAPI_BASE_URL": net.base_url,
        "RUNAPI_DATABASE_URL": database.get_secret_value(),
        "RUNAPI_FLEET_SECRET": SECRET,
    }


@asynccontextmanager
async def fleet_site(
    database: SecretStr, *options: str, send_seconds: float | None = None
) -> AsyncGenerator[FleetSite]:
    """Three servers; `options` are theirs, `send_seconds` as `Start` has it."""
    async with network() as net:
        environment = fleet_environment(net, database)
        async with _servers(net, environment, *options, send_seconds=send_seconds) as site:
            yield site


@asynccontextmanager
async def far_fleet_site(
    database: SecretStr, certificate: Certificate
) -> AsyncGenerator[FleetSite]:
    """The same three, to whom RunAPI is what it is to those that really pay."""
    async with (
        network() as net,
        far_runapi(net, certificate) as way,
        _servers(net, {**fleet_environment(net, database), **way}) as site,
    ):
        yield site


@asynccontextmanager
async def _servers(
    net: Network,
    environment: Mapping[str, str],
    *options: str,
    send_seconds: float | None = None,
) -> AsyncGenerator[FleetSite]:
    limits = httpx.Limits(max_connections=None)
    async with (
        replicas(3, environment, *options, send_seconds=send_seconds) as fleet,
        httpx.AsyncClient(timeout=LIMIT_SECONDS, limits=limits) as http,
    ):
        yield FleetSite(fleet, net, http)
