"""What the settings make of a server that has an address of its own, or others beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.middleware import Middleware

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.settings import Settings
from runapi_mcp.fleet.callback_addresses import CallbackAddresses
from runapi_mcp.fleet.callback_endpoint import CallbackEndpoint
from runapi_mcp.fleet.picture_endpoint import PictureEndpoint
from runapi_mcp.images.kept_pictures import KeptPictures
from runapi_mcp.images.picture_links import PictureLinks
from runapi_mcp.orders.wakeups import Wakeups


@dataclass(frozen=True, slots=True)
class FleetParts:
    wakeups: Wakeups | None = None
    """How RunAPI calls back; None where it cannot, because no address is public."""
    before_checks: Sequence[Middleware] = ()
    kept: KeptPictures | None = None
    """Where pictures are kept; None where no bucket is set."""


def fleet_parts_of(settings: Settings) -> FleetParts:
    if settings.fleet.public_url is None:
        return FleetParts()
    addresses = CallbackAddresses(settings.fleet.public_url, settings.fleet.secrets)
    wakeups = Wakeups(addresses.address_of)
    endpoint = Middleware(
        CallbackEndpoint, addresses=addresses, hear=wakeups.hear, caps=settings.http
    )
    kept = _kept_pictures_of(settings)
    if kept is None:
        return FleetParts(wakeups, [endpoint])
    pictures = Middleware(PictureEndpoint, kept=kept, caps=settings.http)
    return FleetParts(wakeups, [endpoint, pictures], kept)


def _kept_pictures_of(settings: Settings) -> KeptPictures | None:
    """
    Raises:
        NotConfigured: what it takes is not installed.
    """
    url, fleet = settings.fleet.pictures, settings.fleet
    if url is None or fleet.public_url is None:
        return None
    try:
        from runapi_mcp.images.obstore_bucket import ObstoreBucket
    except ImportError as error:
        raise NotConfigured(
            "RUNAPI_PICTURES needs a package that is not installed.",
            "Install it: pip install 'runapi-mcp[s3]'.",
        ) from error
    links = PictureLinks(fleet.public_url, fleet.secrets)
    has_sidecars = settings.pictures.sidecars is not False
    return KeptPictures(ObstoreBucket(url), links, has_sidecars=has_sidecars)
