"""Which call an identical one goes on with."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from runapi_mcp.base.catalog.vendors import RUNAPI, vendor_named
from runapi_mcp.orders.ledger.entry import Entry, Use
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.settling import HANDOVER_SECONDS

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
    for _, members in groupby(entries, attrgetter("begun_at", "call_id")):
        call = list(members)
        redrawn = use.redrawn is not None and use.redrawn in [each.task_id for each in call]
        given_up = use.given_up == call[0].call_id
        if not (redrawn or given_up or all(_gives_nothing(each, came_at) for each in call)):
            return call
    return None


def _gives_nothing(entry: Entry, now: float) -> bool:
    """Whether there is no picture to be had, as far as the ledger knows, and nothing to be told."""
    if entry.status == "completed":
        expires_at = entry.drawn_since + vendor_named(entry.vendor).image_seconds
        return expires_at < now and not any(entry.files)
    return entry.status == "refused"
