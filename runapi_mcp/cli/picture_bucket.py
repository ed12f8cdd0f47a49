"""What the settings make of a bucket for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.settings import Settings

if TYPE_CHECKING:
    from runapi_mcp.images.kept_pictures import KeptPictures


def kept_pictures_of(settings: Settings) -> KeptPictures | None:
    """
    Raises:
        NotConfigured: what it takes is not installed.
    """
    url, fleet = settings.fleet.pictures, settings.fleet
    if url is None or fleet.public_url is None:
        return None
    try:
        # Here, because most servers have no bucket.
        from runapi_mcp.images.obstore_bucket import ObstoreBucket
    except ImportError as error:
        raise NotConfigured(
            "RUNAPI_PICTURES needs a package that is not installed.",
            "Install it: pip install 'runapi-mcp[s3]'.",
        ) from error
    from runapi_mcp.images.kept_pictures import KeptPictures
    from runapi_mcp.images.picture_links import PictureLinks

    links = PictureLinks(fleet.public_url, fleet.secrets)
    has_sidecars = settings.pictures.sidecars is not False
    return KeptPictures(ObstoreBucket(url), links, has_sidecars=has_sidecars)


def picture_endpoints(settings: Settings, kept: KeptPictures | None) -> Sequence[Middleware]:
    """What links to kept pictures lead to; nothing, where none are kept."""
    if kept is None:
        return ()
    from runapi_mcp.fleet.picture_endpoint import PictureEndpoint

    return [Middleware(PictureEndpoint, kept=kept, caps=settings.http)]
