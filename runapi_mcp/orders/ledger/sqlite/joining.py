"""Which call an identical one goes on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.orders.ledger.entry import Entry, Use
from runapi_mcp.orders.ledger.rules import HANDOVER_SECONDS, first_to_join
from runapi_mcp.orders.ledger.sqlite import queries

if TYPE_CHECKING:
    from runapi_mcp.orders.ledger.sqlite.database import Database


def alike(
    wanted: Entry, use: Use, came_at: float, now: float, database: Database
) -> list[Entry] | None:
    """The oldest identical call that may yet give its pictures; not one to be drawn again."""
    # Elsewhere the fingerprint tells who pays, whoever calls.
    sql = queries.ALIKE if wanted.vendor == RUNAPI.name else queries.ALIKE_ELSEWHERE
    parameters = {
        "caller": wanted.caller,
        "vendor": wanted.vendor,
        "fingerprint": wanted.fingerprint,
        "came_at": came_at,
        "now": now,
        "handed_over_since": came_at - HANDOVER_SECONDS,
    }
    entries = map(queries.to_entry, database.rows(sql, parameters))
    return first_to_join(entries, use, came_at)
