"""Which call an identical one goes on with."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from runapi_mcp.base.catalog.lifetimes import IMAGE_SECONDS
from runapi_mcp.orders.ledger.entry import Entry, Use
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.settling import HANDOVER_SECONDS

if TYPE_CHECKING:
    from runapi_mcp.orders.ledger.sqlite.database import Database


def alike(
    wanted: Entry, use: Use, came_at: float, now: float, database: Database
) -> list[Entry] | None:
    """The oldest identical call that may yet give its pictures; not one to be drawn again."""
    parameters = {
        "caller": wanted.caller,
        "fingerprint": wanted.fingerprint,
        "came_at": came_at,
        "now": now,
        "handed_over_since": came_at - HANDOVER_SECONDS,
    }
    entries = map(queries.to_entry, database.rows(queries.ALIKE, parameters))
    for _, members in groupby(entries, attrgetter("begun_at", "call_id")):
        call = list(members)
        redrawn = use.redrawn is not None and use.redrawn in [each.task_id for each in call]
        if not (redrawn or all(_gives_nothing(each, came_at) for each in call)):
            return call
    return None


def _gives_nothing(entry: Entry, now: float) -> bool:
    """Whether there is no picture to be had, as far as the ledger knows, and nothing to be told."""
    if entry.status == "completed":
        return entry.drawn_since + IMAGE_SECONDS < now and not any(entry.files)
    return entry.status == "refused"
