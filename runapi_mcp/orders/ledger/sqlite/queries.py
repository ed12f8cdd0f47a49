"""The ledger's SQL, and how an entry becomes a row and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from runapi_mcp.base.catalog.money import tidy
from runapi_mcp.base.json_values import as_list, as_object
from runapi_mcp.orders.ledger.entry import Entry, Spending
from runapi_mcp.orders.ledger.port import Selection

if TYPE_CHECKING:
    import sqlite3

_OPEN: Final = "delivered_at IS NULL AND status NOT IN ('failed', 'refused', 'lost')"

_COLUMNS: Final = (
    "key", "caller", "model", "output_resolution", "fingerprint", "arguments", "price_cents",
    "status", "task_id", "image_urls", "cost_cents", "error", "sandbox", "begun_at", "made_at",
    "ended_at", "running_seconds", "drawn_seconds", "delivered_at", "save_as", "sources", "ready",
)  # fmt: skip
_AS_STORED: Final = (
    "key", "caller", "model", "output_resolution", "fingerprint", "status", "task_id", "error",
    "begun_at", "made_at", "ended_at", "delivered_at", "save_as",
)  # fmt: skip
INSERT: Final = f"""
    INSERT INTO calls ({", ".join(_COLUMNS)}) VALUES ({", ".join(f":{c}" for c in _COLUMNS)})"""

# Two servers may follow one task: what one of them has learned, the other does not take back.
RECORD: Final = """
    UPDATE calls SET status = :status, task_id = coalesce(:task_id, task_id),
        price_cents = coalesce(:price_cents, price_cents), image_urls = :image_urls,
        cost_cents = coalesce(:cost_cents, cost_cents), error = :error, sandbox = :sandbox,
        made_at = coalesce(made_at, :made_at), ended_at = coalesce(ended_at, :ended_at),
        running_seconds = coalesce(running_seconds, :running_seconds),
        drawn_seconds = coalesce(drawn_seconds, :drawn_seconds)
    WHERE key = :key AND (status NOT IN ('completed', 'failed') OR status = :status)"""

RECORD_REQUEST: Final = "UPDATE calls SET arguments = :arguments, ready = 1 WHERE key = :key"
RECORD_FILES: Final = "UPDATE calls SET files = :files WHERE key = :key"
RECORD_DELIVERY: Final = """
    UPDATE calls SET delivered_at = :now WHERE key = :key AND delivered_at IS NULL"""

HAS: Final = "SELECT 1 FROM calls WHERE key = :key"
HOLD: Final = "UPDATE calls SET holder = :holder, held_until = NULL WHERE key = :key"
LEASE: Final = "UPDATE calls SET holder = :holder, held_until = :until WHERE key = :key"
RELEASE: Final = "UPDATE calls SET holder = NULL WHERE key = :key AND holder = :holder"
END_LEASE: Final = """
    UPDATE calls SET holder = NULL, held_until = NULL
    WHERE key = :key AND held_until IS NOT NULL"""
WITHDRAW: Final = """
    UPDATE calls SET status = 'refused'
    WHERE key = :key AND status = 'intended' AND (holder IS NULL OR holder = :holder)"""
FORGETTABLE: Final = "settled_at < :before AND begun_at < :before"
FORGET: Final = f"DELETE FROM calls WHERE {FORGETTABLE}"
PROPOSED: Final = "SELECT before, proposed_at FROM forgetting"
WITHDRAW_PROPOSAL: Final = "DELETE FROM forgetting"
PROPOSE: Final = "INSERT INTO forgetting (before, proposed_at) VALUES (:before, :proposed_at)"

RECORD_UPLOAD: Final = """
    INSERT OR REPLACE INTO uploads (caller, sha256, url, expires_at)
    VALUES (:caller, :sha256, :url, :expires_at)"""
UPLOAD: Final = """
    SELECT url FROM uploads WHERE caller = :caller AND sha256 = :sha256 AND expires_at > :now"""
FORGET_UPLOADS: Final = "DELETE FROM uploads WHERE expires_at < :now"

UNDELIVERED: Final = f"""
    SELECT * FROM calls WHERE caller = :caller AND fingerprint = :fingerprint AND {_OPEN}
        AND begun_at > CASE status WHEN 'intended' THEN :doubt_since ELSE :made_since END
    ORDER BY begun_at"""

DOUBTS: Final = """
    SELECT * FROM calls WHERE caller = :caller AND status = 'intended' AND begun_at > :since
    ORDER BY begun_at DESC LIMIT :limit"""

BY_TASK: Final = "SELECT * FROM calls WHERE task_id = :task_id AND caller = :caller LIMIT 1"

# Named, because SQLite would rather walk through all calls of the caller than the few open ones.
_FEW: Final = "INDEXED BY calls_open"

_SELECTIONS: Final = {
    "recent": ("", "status != 'refused'"),
    "running": (_FEW, f"{_OPEN} AND status != 'completed'"),
    "undelivered": (_FEW, _OPEN),
}

# A call begun before midnight in doubt may be made, and charged, after it: it counts on both days.
SPENDING: Final = """
    SELECT total(CASE status WHEN 'completed' THEN coalesce(cost_cents, price_cents)
                             WHEN 'failed' THEN cost_cents END) AS spent_cents,
           total(CASE WHEN status NOT IN ('completed', 'failed', 'refused')
                      THEN price_cents END) AS reserved_cents
    FROM calls WHERE caller = :caller AND begun_at >= :doubt_since
        AND (begun_at >= :since OR made_at >= :since OR status = 'intended')"""

COUNT: Final = "SELECT count(*) AS calls FROM calls"
COUNT_BY_FATE: Final = f"""
    SELECT count(*) AS calls, count(CASE WHEN status = 'intended' THEN 1 END) AS in_doubt,
        count(CASE WHEN status != 'intended' AND {_OPEN} THEN 1 END) AS undelivered
    FROM calls"""

INTERVALS: Final = """
    SELECT running_seconds, drawn_seconds FROM calls
    WHERE model = :model AND output_resolution IS :output_resolution AND drawn_seconds IS NOT NULL
    ORDER BY ended_at DESC LIMIT :limit"""


def selecting(selection: Selection, *, of_caller: bool) -> str:
    # Not `:caller IS NULL OR …`, which no index serves.
    mine = "caller = :caller AND " if of_caller else ""
    index, condition = _SELECTIONS[selection]
    return f"""
        SELECT * FROM calls {index} WHERE {mine}begun_at >= :since AND {condition}
        ORDER BY begun_at DESC LIMIT :limit"""


def to_row(entry: Entry) -> dict[str, object]:
    running_seconds, drawn_seconds = entry.drawn or (None, None)
    return {
        **{name: getattr(entry, name) for name in _COLUMNS if hasattr(entry, name)},
        "arguments": None if entry.arguments is None else json.dumps(entry.arguments),
        "image_urls": json.dumps(entry.image_urls),
        "sources": json.dumps(entry.sources),
        "running_seconds": running_seconds,
        "drawn_seconds": drawn_seconds,
    }


def to_entry(row: sqlite3.Row) -> Entry:
    return Entry(
        **{name: row[name] for name in _AS_STORED},
        arguments=None if row["arguments"] is None else as_object(_read(row["arguments"])) or None,
        price_cents=_cents(row["price_cents"]),
        cost_cents=_cents(row["cost_cents"]),
        image_urls=_texts(row["image_urls"]),
        files=_texts(row["files"]),
        drawn=to_interval(row),
        sandbox=bool(row["sandbox"]),
        sources=tuple(_named(source) for source in as_list(_read(row["sources"]))),
        ready=bool(row["ready"]),
    )


def to_spending(row: sqlite3.Row) -> Spending:
    return Spending(row["spent_cents"], row["reserved_cents"])


def to_interval(row: sqlite3.Row) -> tuple[float, float] | None:
    drawn_seconds = row["drawn_seconds"]
    return None if drawn_seconds is None else (row["running_seconds"], drawn_seconds)


def _texts(column: str) -> tuple[str, ...]:
    return tuple(map(str, as_list(_read(column))))


def _named(source: object) -> dict[str, str]:
    return {name: str(value) for name, value in as_object(source).items()}


def _read(text: str) -> object:
    """The JSON of a column; nothing, where somebody spoiled it."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _cents(stored: float | None) -> float | None:
    return None if stored is None else tidy(stored)
