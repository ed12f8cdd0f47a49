"""What the settings make of the ledger, the limits, the places for pictures, and the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio

from runapi_mcp.base.settings import Settings
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger import Ledger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.shared_state import Desk
from runapi_mcp.providers.port import Upstream
from runapi_mcp.tools.delivery import LONGEST_FETCH_SECONDS
from runapi_mcp.tools.tool import Caller, Handover

if TYPE_CHECKING:
    from runapi_mcp.login import PendingLogins
    from runapi_mcp.server import Keys, Service


def desk_of(settings: Settings) -> Desk:
    """The ledger where the settings want it, and their limits."""
    limits = Limits(**asdict(settings.limits))
    return Desk(ledger_of(settings), limits, keeps_prompts=settings.ledger.keep_prompts)


def picture_store_of(settings: Settings, base_url: str) -> PictureStore:
    """Where pictures go to and come from, of RunAPI at this address."""
    pictures = settings.pictures
    return PictureStore(base_url, Folders(pictures.output_dir, pictures.input_dirs))


def service_of(
    settings: Settings, upstream: Upstream, desk: Desk, keys: Keys, logins: PendingLogins | None
) -> Service:
    """What the server answers with."""
    # Imported here, because commands that serve nothing need none of MCP.
    from runapi_mcp.server import Service

    return Service(
        upstream=upstream,
        desk=desk,
        keys=keys,
        picture_store=picture_store_of(settings, upstream.base_url),
        wait_seconds=settings.wait_seconds,
        gives_tasks=settings.mcp_tasks,
        saves=settings.pictures.save,
        previews=settings.pictures.preview,
        logins=logins,
    )


def person_of(settings: Settings, upstream: Upstream, desk: Desk) -> Caller:
    """Whoever types a command on this machine, as the caller of a tool."""
    runapi, now = upstream.provider(settings.key), anyio.current_time()
    return Caller(
        runapi=runapi,
        orders=Orders(desk, runapi),
        handover=Handover(
            picture_store=picture_store_of(settings, upstream.base_url),
            saves=settings.pictures.save is not False,
            default_preview_px=0,
            most_preview_px=0,
            answer_by=now + LONGEST_FETCH_SECONDS,
        ),
        is_local=True,
        started=now,
        wait_seconds=0,
        report=_silence,
    )


async def _silence(_: str) -> None:
    """A command that ends soon needs no word on how it goes."""


def ledger_of(settings: Settings) -> Ledger:
    """The ledger where the settings want it; in memory, where they want none."""
    if settings.ledger.locate is None:
        return Ledger.in_memory()
    return Ledger(settings.ledger.locate, keep_days=settings.ledger.keep_days)
