"""The database that servers share: the way to it, the ledger in it, whether it was prepared."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Settings

if TYPE_CHECKING:
    from runapi_mcp.orders.ledger.postgres import PostgresLedger
    from runapi_mcp.postgres.pool import PostgresPool
    from runapi_mcp.postgres.schemas import TableSchema

logger = logging.getLogger(__name__)

_NEWER: Final = (
    "The database was migrated by a newer version of this program.",
    "Update this one to that version.",
)
_OLDER: Final = (
    "The database was not prepared for this version yet.",
    "Run `runapi-mcp fleet migrate` once, with the same RUNAPI_DATABASE_URL.",
)


_UNSAFE: Final = (
    "this database has standbys and waits for none: a failover may lose the latest calls, and the "
    "same calls would pay again; set synchronous_standby_names"
)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncGenerator[PostgresPool | None]:
    """The way to the settings' database, which was prepared; None where they have none.

    Raises:
        NotConfigured: it was prepared for another version, or what it takes is not installed.
    """
    if not settings.uses_database:
        yield None
        return
    url = require_database(settings)
    from runapi_mcp.postgres.pool import PostgresPool

    async with aclosing(PostgresPool(url)) as pool:
        await _require_prepared(pool)
        yield pool


def postgres_ledger_of(settings: Settings, pool: PostgresPool | None) -> PostgresLedger:
    url = require_database(settings)
    from runapi_mcp.orders.ledger.postgres import PostgresLedger
    from runapi_mcp.postgres.pool import PostgresPool

    keep_days, zone = settings.ledger.keep_days, settings.ledger.zone
    return PostgresLedger(pool or PostgresPool(url), keep_days=keep_days, zone=zone)


def require_database(settings: Settings) -> SecretStr:
    """The address of the settings' database.

    Raises:
        NotConfigured: they have none, or what it takes is not installed.
    """
    url = settings.fleet.database_url
    if url is None:
        raise NotConfigured(
            "No database is set.", "Set RUNAPI_DATABASE_URL, or RUNAPI_DATABASE_URL_FILE."
        )
    if find_spec("psycopg") is None:
        raise NotConfigured(
            "RUNAPI_DATABASE_URL needs psycopg, which is not installed.",
            "Install runapi-mcp with its extra: `pip install 'runapi-mcp[fleet]'`.",
        )
    return url


async def prepare(url: SecretStr) -> Mapping[str, tuple[int, int]]:
    """From which to which version each schema was led.

    Raises:
        NotConfigured: a newer version of this program was here, or it cannot be done.
    """
    from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, reason_of
    from runapi_mcp.postgres.schemas import NewerSchema, migrate
    from runapi_mcp.postgres.standbys import count_unsafe_standbys

    try:
        led = await migrate(url, _schemas())
        if await count_unsafe_standbys(url):
            logger.warning(_UNSAFE)
    except NewerSchema as error:
        raise NotConfigured(*_NEWER) from error
    except DATABASE_FAILURES as error:
        raise NotConfigured(
            f"The database cannot be prepared: {reason_of(error)}.", "Mend that, and run it again."
        ) from error
    return led


async def database_trouble(pool: PostgresPool) -> str:
    """Why it cannot be used, if it cannot; empty when all is well."""
    from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, CommitLost, reason_of
    from runapi_mcp.postgres.schemas import NewerSchema, OlderSchema, require_current

    try:
        await require_current(pool, _schemas())
    except NewerSchema:
        return _NEWER[0]
    except OlderSchema:
        return _OLDER[0]
    except (*DATABASE_FAILURES, CommitLost) as error:
        return reason_of(error)
    return ""


async def _require_prepared(pool: PostgresPool) -> None:
    from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, CommitLost, reason_of
    from runapi_mcp.postgres.schemas import NewerSchema, OlderSchema, require_current

    try:
        await require_current(pool, _schemas())
    except NewerSchema as error:
        raise NotConfigured(*_NEWER) from error
    except OlderSchema as error:
        raise NotConfigured(*_OLDER) from error
    except (*DATABASE_FAILURES, CommitLost) as error:
        # Prices and tasks can be told without it, and it may be there before the first call.
        logger.warning("the database cannot be used yet: %s", reason_of(error))


def _schemas() -> Sequence[TableSchema]:
    from runapi_mcp.fleet.fleet_tables import FLEET_TABLES
    from runapi_mcp.orders.ledger.postgres.tables import LEDGER_TABLES

    return (LEDGER_TABLES, FLEET_TABLES)
