"""What the settings make of the ledger, the limits, the places for pictures, and the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio

from runapi_mcp.base.settings import Settings
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.providers.port import Upstream
from runapi_mcp.tools.delivery import LONGEST_FETCH_SECONDS
from runapi_mcp.tools.tool import DeliveryOptions

if TYPE_CHECKING:
    from runapi_mcp.login import PendingLogins
    from runapi_mcp.server import Keys, Service


def ledger_of(settings: Settings) -> SqliteLedger:
    """The ledger where the settings want it; in memory, where they want none."""
    if settings.ledger.locate is None:
        return SqliteLedger.in_memory(zone=settings.ledger.zone)
    return SqliteLedger(
        settings.ledger.locate, keep_days=settings.ledger.keep_days, zone=settings.ledger.zone
    )


def shared_state_of(settings: Settings, ledger: SqliteLedger) -> SharedState:
    limits = Limits(**asdict(settings.limits))
    return SharedState(ledger, limits, keeps_prompts=settings.ledger.keep_prompts)


def service_of(
    settings: Settings,
    upstream: Upstream,
    shared: SharedState,
    keys: Keys,
    logins: PendingLogins | None,
) -> Service:
    # Imported here, because commands that serve nothing need none of MCP.
    from runapi_mcp.server import Service

    return Service(
        upstream=upstream,
        shared=shared,
        keys=keys,
        picture_store=_picture_store_of(settings, upstream.base_url),
        wait_seconds=settings.wait_seconds,
        gives_tasks=settings.mcp_tasks,
        saves=settings.pictures.save,
        previews=settings.pictures.preview,
        logins=logins,
    )


def delivery_of(settings: Settings) -> DeliveryOptions:
    """How pictures reach whoever types a command on this machine."""
    return DeliveryOptions(
        picture_store=_picture_store_of(settings, settings.base_url),
        caller="",
        is_local=True,
        saves=settings.pictures.save is not False,
        default_preview_px=0,
        most_preview_px=0,
        answer_by=anyio.current_time() + LONGEST_FETCH_SECONDS,
    )


def _picture_store_of(settings: Settings, base_url: str) -> PictureStore:
    pictures = settings.pictures
    return PictureStore(
        base_url, Folders(pictures.output_dir, pictures.input_dirs, pictures.sidecars)
    )
