"""The ledger's SQL, and how an entry becomes a row and back."""

import json
import sqlite3
from typing import Final

from runapi_mcp.base.catalog.money import tidy
from runapi_mcp.base.json_values import Json, as_list, as_object
from runapi_mcp.orders.ledger.entry import Entry

_OPEN: Final = "delivered_at IS NULL AND status NOT IN ('failed', 'refused', 'lost')"

INSERT: Final = """
    INSERT INTO calls (key, caller, model, output_resolution, fingerprint, arguments, price_cents,
        status, task_id, image_urls, cost_cents, error, sandbox, begun_at, made_at, ended_at,
        running_seconds, drawn_seconds, delivered_at, save_as, sources, ready)
    VALUES (:key, :caller, :model, :output_resolution, :fingerprint, :arguments, :price_cents,
        :status, :task_id, :image_urls, :cost_cents, :error, :sandbox, :begun_at, :made_at,
        :ended_at, :running_seconds, :drawn_seconds, :delivered_at, :save_as, :sources, :ready)"""

# Two servers may follow one task: what one of them has learned, the other does not take back.
UPDATE: Final = """
    UPDATE calls SET status = :status, task_id = coalesce(:task_id, task_id),
        price_cents = coalesce(:price_cents, price_cents), image_urls = :image_urls,
        cost_cents = coalesce(:cost_cents, cost_cents), error = :error, sandbox = :sandbox,
        made_at = coalesce(made_at, :made_at), ended_at = coalesce(ended_at, :ended_at),
        running_seconds = coalesce(running_seconds, :running_seconds),
        drawn_seconds = coalesce(drawn_seconds, :drawn_seconds)
    WHERE key = :key AND (status NOT IN ('completed', 'failed') OR status = :status)"""

COMPLETE: Final = "UPDATE calls SET arguments = :arguments, ready = 1 WHERE key = :key"
SAVED: Final = "UPDATE calls SET files = :files WHERE key = :key"
DELIVER: Final = """
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
FORGET: Final = "DELETE FROM calls WHERE begun_at < :before"

KEEP_UPLOAD: Final = """
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

_LISTED: Final = {
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

DRAWN: Final = """
    SELECT running_seconds, drawn_seconds FROM calls
    WHERE model = :model AND output_resolution IS :output_resolution AND drawn_seconds IS NOT NULL
    ORDER BY ended_at DESC LIMIT :limit"""


def listed(which: str, *, of_caller: bool) -> str:
    """The calls of a kind, of one caller or of all, the newest first."""
    # Not `:caller IS NULL OR …`, which no index serves.
    mine = "caller = :caller AND " if of_caller else ""
    index, condition = _LISTED[which]
    return f"""
        SELECT * FROM calls {index} WHERE {mine}begun_at >= :since AND {condition}
        ORDER BY begun_at DESC LIMIT :limit"""


def row_of(entry: Entry) -> dict[str, object]:
    """The entry as SQLite stores it."""
    running_seconds, drawn_seconds = entry.drawn or (None, None)
    return {
        "key": entry.key,
        "caller": entry.caller,
        "model": entry.model,
        "output_resolution": entry.output_resolution,
        "fingerprint": entry.fingerprint,
        "arguments": None if entry.arguments is None else json.dumps(entry.arguments),
        "price_cents": entry.price_cents,
        "status": entry.status,
        "task_id": entry.task_id,
        "image_urls": json.dumps(entry.image_urls),
        "cost_cents": entry.cost_cents,
        "error": entry.error,
        "sandbox": entry.sandbox,
        "begun_at": entry.begun_at,
        "made_at": entry.made_at,
        "ended_at": entry.ended_at,
        "running_seconds": running_seconds,
        "drawn_seconds": drawn_seconds,
        "delivered_at": entry.delivered_at,
        "save_as": entry.save_as,
        "sources": json.dumps(entry.sources),
        "ready": entry.ready,
    }


def entry_of(row: sqlite3.Row) -> Entry:
    """The entry that SQLite stored."""
    return Entry(
        key=row["key"],
        caller=row["caller"],
        model=row["model"],
        fingerprint=row["fingerprint"],
        begun_at=row["begun_at"],
        output_resolution=row["output_resolution"],
        arguments=_object(row["arguments"]),
        price_cents=_cents(row["price_cents"]),
        status=row["status"],
        task_id=row["task_id"],
        made_at=row["made_at"],
        image_urls=_texts(row["image_urls"]),
        files=_texts(row["files"]),
        cost_cents=_cents(row["cost_cents"]),
        error=row["error"],
        ended_at=row["ended_at"],
        drawn=drawn_of(row),
        delivered_at=row["delivered_at"],
        sandbox=bool(row["sandbox"]),
        save_as=row["save_as"],
        sources=tuple(_named(source) for source in as_list(_read(row["sources"]))),
        ready=bool(row["ready"]),
    )


def drawn_of(row: sqlite3.Row) -> tuple[float, float] | None:
    """The ages between which an image was drawn."""
    drawn_seconds = row["drawn_seconds"]
    return None if drawn_seconds is None else (row["running_seconds"], drawn_seconds)


def _texts(column: str) -> tuple[str, ...]:
    return tuple(map(str, as_list(_read(column))))


def _named(source: object) -> dict[str, str]:
    return {name: str(value) for name, value in as_object(source).items()}


def _object(text: str | None) -> Json | None:
    return None if text is None else as_object(_read(text)) or None


def _read(text: str) -> object:
    """The JSON of a column; nothing, where somebody spoiled it."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _cents(stored: float | None) -> float | None:
    return None if stored is None else tidy(stored)
