"""What the settings make of a server that has an address of its own, or others beside it."""

from dataclasses import dataclass

from starlette.middleware import Middleware

from runapi_mcp.base.settings import Settings
from runapi_mcp.fleet.callback_addresses import CallbackAddresses
from runapi_mcp.fleet.callback_endpoint import CallbackEndpoint
from runapi_mcp.orders.wakeups import Wakeups


@dataclass(frozen=True, slots=True)
class CallbackParts:
    wakeups: Wakeups
    endpoint: Middleware


def callback_parts_of(settings: Settings) -> CallbackParts | None:
    """How RunAPI calls back; None where it cannot, because no address is public."""
    public_url, secrets, _ = settings.fleet
    if public_url is None:
        return None
    addresses = CallbackAddresses(public_url, secrets)
    wakeups = Wakeups(addresses.address_of)
    endpoint = Middleware(
        CallbackEndpoint, addresses=addresses, hear=wakeups.hear, caps=settings.http
    )
    return CallbackParts(wakeups, endpoint)
