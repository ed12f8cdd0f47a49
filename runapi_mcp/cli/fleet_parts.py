"""What the settings make of a server that has an address of its own, or others beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.middleware import Middleware

from runapi_mcp.base.settings import Settings
from runapi_mcp.fleet.callback_addresses import CallbackAddresses
from runapi_mcp.fleet.callback_endpoint import CallbackEndpoint
from runapi_mcp.orders.wakeups import Wakeups


@dataclass(frozen=True, slots=True)
class FleetParts:
    wakeups: Wakeups | None = None
    """How RunAPI calls back; None where it cannot, because no address is public."""
    before_checks: Sequence[Middleware] = ()


def fleet_parts_of(settings: Settings) -> FleetParts:
    if settings.fleet.public_url is None:
        return FleetParts()
    addresses = CallbackAddresses(settings.fleet.public_url, settings.fleet.secrets)
    wakeups = Wakeups(addresses.address_of)
    endpoint = Middleware(
        CallbackEndpoint, addresses=addresses, hear=wakeups.hear, caps=settings.http
    )
    return FleetParts(wakeups, [endpoint])
