"""What the settings make of a server that has an address of its own, or others beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from runapi_mcp.base.background import Background
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.cli.fleet_database import database_trouble, require_database
from runapi_mcp.cli.picture_bucket import kept_pictures_of, picture_endpoints
from runapi_mcp.fleet.callback_addresses import CallbackAddresses
from runapi_mcp.fleet.callback_endpoint import CallbackEndpoint
from runapi_mcp.fleet.probe_endpoint import ProbeEndpoint
from runapi_mcp.fleet.probe_pass import ProbePass
from runapi_mcp.orders.wakeups import Wakeups

if TYPE_CHECKING:
    from runapi_mcp.base.settings import Settings
    from runapi_mcp.images.kept_pictures import KeptPictures
    from runapi_mcp.postgres.pool import PostgresPool
    from runapi_mcp.providers.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class FleetParts:
    wakeups: Wakeups | None = None
    """How RunAPI calls back; None where it cannot, because no address is public."""
    before_checks: Sequence[Middleware] = ()
    """What takes callbacks and links to pictures out of all that comes over HTTP."""
    make_rate_limit: Callable[[str], RateLimit] | None = None
    """The turns of a caller that other servers serve as well; None where there are no others."""
    kept: KeptPictures | None = None
    """Where pictures are kept; None where no bucket is set."""
    probe_routes: Sequence[BaseRoute] = ()
    """What `fleet check` asks; none without a secret to open it."""


@asynccontextmanager
async def fleet_parts_of(
    settings: Settings, pool: PostgresPool | None
) -> AsyncGenerator[FleetParts]:
    """The parts of one server, at work while it serves; `pool` is the way to what others share."""
    kept = kept_pictures_of(settings)
    async with (
        _hearing(settings) as (wakeups, callbacks),
        _taking_turns(settings) as make_rate_limit,
    ):
        yield FleetParts(
            wakeups,
            [*callbacks, *picture_endpoints(settings, kept)],
            make_rate_limit,
            kept,
            _probe_routes(settings, pool),
        )


def _probe_routes(settings: Settings, pool: PostgresPool | None) -> Sequence[BaseRoute]:
    if not settings.fleet.secrets:
        return ()

    async def facts() -> Mapping[str, object]:
        return {
            "has_database": pool is not None,
            "database": await database_trouble(pool) if pool else "",
            "is_sandbox": settings.sandbox or is_loopback(settings.base_url),
        }

    return ProbeEndpoint(ProbePass(settings.fleet.secrets), facts).routes()


@asynccontextmanager
async def _hearing(
    settings: Settings,
) -> AsyncGenerator[tuple[Wakeups | None, Sequence[Middleware]]]:
    if settings.fleet.public_url is None:
        yield None, ()
        return
    addresses = CallbackAddresses(settings.fleet.public_url, settings.fleet.secrets)
    wakeups = Wakeups(addresses.address_of)
    async with _relayed(wakeups, settings) as hear:
        yield (
            wakeups,
            [Middleware(CallbackEndpoint, addresses=addresses, hear=hear, caps=settings.http)],
        )


@asynccontextmanager
async def _relayed(wakeups: Wakeups, settings: Settings) -> AsyncGenerator[Callable[[str], bool]]:
    """What is to be told of callbacks: who waits here, and where there are others, they too."""
    if not settings.uses_database:
        yield wakeups.hear
        return
    # Imported here, because psycopg is there only where there is a database.
    from runapi_mcp.fleet.callback_relay import CallbackRelay
    from runapi_mcp.postgres.pool import PostgresPool

    url = require_database(settings)
    # One of its own, so that callbacks do not wait for the ledger.
    async with aclosing(PostgresPool(url, 1)) as own, Background().running() as background:
        relay = CallbackRelay(own, url, wakeups)
        background.start(relay.run)
        yield relay.hear


@asynccontextmanager
async def _taking_turns(
    settings: Settings,
) -> AsyncGenerator[Callable[[str], RateLimit] | None]:
    if not settings.uses_database:
        yield None
        return
    from runapi_mcp.fleet.shared_rate_limit import SharedRateLimit
    from runapi_mcp.fleet.turn_table import TurnTable
    from runapi_mcp.providers.rate_limit import PAYING_SHARE, REQUESTS_PER_SECOND

    per_second = settings.fleet.requests_per_second or REQUESTS_PER_SECOND
    table = TurnTable(require_database(settings))

    def make_rate_limit(caller_id: str) -> RateLimit:
        return SharedRateLimit(table, caller_id, per_second, per_second * PAYING_SHARE)

    async with Background().running() as background:
        background.start(table.run)
        yield make_rate_limit
