"""What the settings make of the ledger, the limits, the places for pictures, and the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from runapi_mcp.base.catalog import VARIANTS, Variant, select
from runapi_mcp.base.catalog.vendors import RUNFLOW
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.progress import Report
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import LONGEST_WAIT_SECONDS, Key, Settings
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger import KeptLedger, Ledger
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.look_budget import LookBudget
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.wakeups import Wakeups
from runapi_mcp.providers.port import Provider, Upstream
from runapi_mcp.providers.rate_limit import OwnRateLimit, RateLimit
from runapi_mcp.providers.sellers import Sellers
from runapi_mcp.tools.picture_request import LONGEST_FETCH_SECONDS
from runapi_mcp.tools.tool import Caller, DeliveryOptions, Wait

if TYPE_CHECKING:
    from runapi_mcp.images.kept_pictures import KeptPictures
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
    others: Sequence[Provider] = (),
    wakeups: Wakeups | None = None,
) -> SharedState:
    return SharedState(
        ledger,
        Limits(*settings.limits),
        keeps_prompts=settings.ledger.keep_prompts,
        variants=known_variants(others),
        wakeups=wakeups,
        looks=LookBudget(settings.waiting.looks_per_second),
    )


def rate_limits_of(settings: Settings) -> Callable[[str], RateLimit] | None:
    """How often each caller asks RunAPI; None for as often as it is known to take."""
    per_second = settings.fleet.requests_per_second
    return None if per_second is None else lambda _: OwnRateLimit(per_second)


def known_variants(others: Sequence[Provider]) -> Sequence[Variant]:
    """All that RunAPI sells, and these."""
    if not others:
        return VARIANTS
    from runapi_mcp.base.catalog.runflow_variants import RUNFLOW_VARIANTS

    return (*VARIANTS, *RUNFLOW_VARIANTS)


def offered_variants(settings: Settings, others: Sequence[Provider]) -> Sequence[Variant]:
    """What of these the settings let anybody call.

    Raises:
        NotConfigured: they name what there is not.
    """
    known, names = known_variants(others), settings.variants
    if names is None:
        return known
    elsewhere = [name for name in names if name.lower().startswith(RUNFLOW.name)]
    if elsewhere and not others:
        raise NotConfigured(
            f"RUNAPI_VARIANTS names {elsewhere[0]}, and there is no key of {RUNFLOW.title}.",
            f"Set {RUNFLOW.key_name} (over HTTP with --share-key), or take the name out.",
        )
    return select(names, known)


@asynccontextmanager
async def others_of(settings: Settings, base_url: str) -> AsyncGenerator[Sequence[Provider]]:
    """Who else sells than RunAPI: nobody, where there is no key."""
    if settings.runflow is None:
        yield ()
        return
    # Imported here, because most servers have no key of it.
    from runapi_mcp.providers.runflow import Runflow

    async with aclosing(Runflow(*_runflow_address_and_key(settings, base_url))) as runflow:
        yield (runflow,)


def service_of(
    settings: Settings,
    upstream: Upstream,
    shared: SharedState,
    keys: Keys,
    logins: PendingLogins | None,
    others: Sequence[Provider] = (),
    kept: KeptPictures | None = None,
) -> Service:
    # Imported here, because commands that serve nothing need none of MCP.
    from runapi_mcp.server import Service

    return Service(
        upstream=upstream,
        shared=shared,
        keys=keys,
        picture_store=_picture_store_of(settings, upstream.base_url, kept),
        wait_seconds=settings.wait_seconds,
        gives_tasks=settings.mcp_tasks,
        saves=settings.pictures.save,
        previews=settings.pictures.preview,
        logins=logins,
        others=others,
    )


def delivery_of(settings: Settings) -> DeliveryOptions:
    """How pictures reach whoever types a command on this machine."""
    return _delivery(
        _picture_store_of(settings, settings.base_url),
        saves=settings.pictures.are_saved(is_local=True),
        wait_seconds=0,
    )


def caller_at_terminal(
    settings: Settings,
    sellers: Sellers,
    shared: SharedState,
    picture_store: PictureStore,
    report: Report,
) -> Caller:
    """A person who types a command that draws: no host limits how long that may take."""
    wait_seconds = settings.wait_seconds
    return Caller(
        sellers=sellers,
        orders=Orders(shared, sellers),
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


def _runflow_address_and_key(settings: Settings, base_url: str) -> tuple[str, Key]:
    """Runflow's; where RunAPI is the sandbox at this address, that one's Runflow."""
    if not settings.sandbox and settings.runflow is not None:
        return settings.runflow.base_url, settings.runflow.key
    from runapi_mcp.sandbox.runflow import RUNFLOW_PREFIX, RUNFLOW_SANDBOX_KEY

    return f"{base_url}{RUNFLOW_PREFIX}", Key(SecretStr(RUNFLOW_SANDBOX_KEY))


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


def _picture_store_of(
    settings: Settings, base_url: str, kept: KeptPictures | None = None
) -> PictureStore:
    pictures = settings.pictures
    folders = Folders(pictures.output_dir, pictures.input_dirs, pictures.sidecars)
    return PictureStore(base_url, folders, kept=kept)
