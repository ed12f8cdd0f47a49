"""Past pictures found by words. Blocks."""

import sqlite3
from collections.abc import Sequence
from itertools import islice

from runapi_mcp.base.json_values import as_list, as_object
from runapi_mcp.orders.ledger.entry import Entry
from runapi_mcp.orders.ledger.matching import folded, has_each
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.access import OpenLedger


def pictures_with(words: Sequence[str], skip: int, limit: int, opened: OpenLedger) -> list[Entry]:
    """Those that have each of the words, the newest first."""
    rows = opened.database.rows
    if not words:
        found = rows(queries.DRAWN, {"skip": skip, "limit": limit})
        return [queries.to_entry(row) for row in found]
    wanted = [folded(word) for word in words]
    hits = (row for row in rows(queries.DRAWN_WORDS, {}) if _has_each(row, wanted))
    keys = [row["key"] for row in islice(hits, skip, skip + limit)]
    return [queries.to_entry(row) for key in keys for row in rows(queries.BY_KEY, {"key": key})]


def _has_each(row: sqlite3.Row, wanted: Sequence[str]) -> bool:
    prompt = as_object(queries.read_json(row["arguments"])).get("prompt", "")
    files = map(str, as_list(queries.read_json(row["files"])))
    return has_each(wanted, [str(prompt), row["model"], row["task_id"] or ""], files)
