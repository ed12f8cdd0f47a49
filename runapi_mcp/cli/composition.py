"""What the settings make of the ledger, the limits, the places for pictures, and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from runapi_mcp.base.progress import Report
from runapi_mcp.base.settings import LONGEST_WAIT_SECONDS, Key, Settings
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger import DeriveKey, KeptLedger, Ledger
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.wakeups import Wakeups
from runapi_mcp.providers.port import Provider, Upstream
from runapi_mcp.tools.picture_request import LONGEST_FETCH_SECONDS
from runapi_mcp.tools.tool import Caller, DeliveryOptions, Wait

if TYPE_CHECKING:
    from runapi_mcp.login import PendingLogins
    from runapi_mcp.postgres.pool import PostgresPool
    from runapi_mcp.server import Keys, Service


def ledger_of(settings: Settings, pool: PostgresPool | None = None) -> KeptLedger:
    """The ledger where the settings want it; in memory, where they want none.

    `pool` is the way to their database, where that is open already.
    """
    if pool is not None or settings.uses_database:
        # Imported here, because few have a database.
        from runapi_mcp.cli.fleet_database import postgres_ledger_of

        return postgres_ledger_of(settings, pool)
    if settings.ledger.locate is None:
        return SqliteLedger.in_memory(zone=settings.ledger.zone)
    return SqliteLedger(
        settings.ledger.locate, keep_days=settings.ledger.keep_days, zone=settings.ledger.zone
    )


def shared_state_of(
    settings: Settings,
    ledger: Ledger,
    wakeups: Wakeups | None = None,
    derive_key: DeriveKey | None = None,
) -> SharedState:
    return SharedState(
        ledger,
        Limits(*settings.limits),
        keeps_prompts=settings.ledger.keep_prompts,
        wakeups=wakeups,
        derive_key=derive_key,
    )


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
    return _delivery(
        _picture_store_of(settings, settings.base_url),
        saves=settings.pictures.save is not False,
        wait_seconds=0,
    )


def caller_at_terminal(
    settings: Settings,
    provider: Provider,
    shared: SharedState,
    picture_store: PictureStore,
    report: Report,
) -> Caller:
    """A person who types a command that draws: no host limits how long that may take."""
    wait_seconds = settings.wait_seconds
    return Caller(
        provider=provider,
        orders=Orders(shared, provider),
        delivery=_delivery(picture_store, saves=True, wait_seconds=LONGEST_WAIT_SECONDS),
        wait=Wait(
            started=anyio.current_time(),
            default_seconds=LONGEST_WAIT_SECONDS if wait_seconds is None else wait_seconds,
            pay_seconds=LONGEST_WAIT_SECONDS,
            report=report,
            came_at=shared.ledger.now(),
        ),
    )


def address_and_key(settings: Settings) -> tuple[str, Key]:
    """RunAPI's and its user's; a new sandbox has its own, a real key does not belong there."""
    if not settings.sandbox:
        return settings.base_url, settings.key
    # Imported here, because only practice needs it.
    from runapi_mcp.sandbox.app import start_in_thread

    running = start_in_thread(settings.sandbox_draw_seconds)
    return running.base_url, Key(running.key)


def _delivery(picture_store: PictureStore, *, saves: bool, wait_seconds: float) -> DeliveryOptions:
    return DeliveryOptions(
        picture_store=picture_store,
        caller="",
        is_local=True,
        saves=saves,
        default_preview_px=0,
        most_preview_px=0,
        answer_by=anyio.current_time() + wait_seconds + LONGEST_FETCH_SECONDS,
    )


def _picture_store_of(settings: Settings, base_url: str) -> PictureStore:
    pictures = settings.pictures
    return PictureStore(
        base_url, Folders(pictures.output_dir, pictures.input_dirs, pictures.sidecars)
    )
