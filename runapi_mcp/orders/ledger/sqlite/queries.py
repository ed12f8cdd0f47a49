"""The ledger's SQL, and how an entry becomes a row and back. A row is one picture of a call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.json_values import as_list, as_object
from runapi_mcp.orders.ledger.entry import Entry, Spending
from runapi_mcp.orders.ledger.port import Selection

if TYPE_CHECKING:
    import sqlite3

_COLUMNS: Final = (
    "key", "caller", "vendor", "model", "output_resolution", "fingerprint", "call_id", "number",
    "count", "arguments", "request", "ready", "sources", "save_as", "price_cents", "status",
    "task_id", "image_urls", "cost_cents", "error", "sandbox", "begun_at", "made_at", "ended_at",
    "running_seconds", "drawn_seconds",
)  # fmt: skip
_AS_STORED: Final = (
    "key", "caller", "vendor", "model", "output_resolution", "fingerprint", "call_id", "number",
    "count", "request", "save_as", "status", "task_id", "error", "begun_at", "made_at", "ended_at",
    "sent_at", "open_sends", "sends_out", "absent_at", "handed_over_at", "settled_at",
)  # fmt: skip
_CAME_TO_NOTHING: Final = (
    "(status IN ('failed', 'refused', 'lost') OR status = 'completed' AND image_urls = '[]')"
)

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

RECORD_REQUEST: Final = """
    UPDATE calls SET arguments = :arguments, request = :request, ready = 1
    WHERE key = :key AND ready = 0"""
RECORD_SEND: Final = """
    UPDATE calls SET open_sends = open_sends + 1, sends_out = sends_out + 1, sent_at = :now,
        unanswered = 1
    WHERE key = :key AND status = 'intended' AND task_id IS NULL"""
CLAIM_SEND: Final = f"{RECORD_SEND} AND sent_at IS NULL"
# A first sight from the future is none: only a clock that was wrong has written that.
RECORD_ABSENCE: Final = """
    UPDATE calls SET absent_at = min(coalesce(absent_at, :at), :at),
        status = CASE WHEN :at - absent_at >= :apart AND :at - sent_at >= :listed
                      THEN 'refused' ELSE status END
    WHERE key = :key AND status = 'intended' AND task_id IS NULL"""
# Who waited for an answer a day ago waits no more: nobody is to wait for theirs.
RESERVE_AGAIN: Final = """
    UPDATE calls SET sent_at = :now, sends_out = 0
    WHERE call_id = :call_id AND status = 'intended'
        AND coalesce(sent_at, begun_at) <= :reserved_since"""
RECORD_NO: Final = """
    UPDATE calls SET open_sends = max(open_sends - :sends, 0),
        sends_out = max(sends_out - :sends, 0)
    WHERE key = :key AND status = 'intended'"""
REFUSE: Final = """
    UPDATE calls SET status = 'refused'
    WHERE key = :key AND status = 'intended' AND open_sends = 0"""
RECORD_DOUBT: Final = """
    UPDATE calls SET sends_out = max(sends_out - :sends, 0),
        unanswered = CASE WHEN :answered AND open_sends = :sends THEN 0 ELSE unanswered END
    WHERE key = :key"""
RECORD_FILES: Final = """
    UPDATE calls SET files = :files, file_hashes = :hashes, originals = :originals
    WHERE key = :key"""
RECORD_HANDOVER: Final = """
    UPDATE calls SET handed_over_at = coalesce(handed_over_at, :at),
        settled_at = CASE WHEN :surely THEN coalesce(settled_at, :at) ELSE settled_at END
    WHERE call_id = :call_id AND (handed_over_at IS NULL OR :surely AND settled_at IS NULL)"""
HAND_OVER_NOW: Final = """
    UPDATE calls SET handed_over_at = :now WHERE call_id = :call_id AND handed_over_at > :now"""
WITHDRAW: Final = """
    UPDATE calls SET status = 'refused'
    WHERE call_id = :call_id AND status = 'intended' AND open_sends = 0"""
NEVER_SENT: Final = """
    SELECT DISTINCT call_id FROM calls
    WHERE caller = :caller AND status = 'intended' AND sent_at IS NULL AND begun_at < :before"""

SETTLE: Final = "UPDATE calls SET settled_at = :now WHERE call_id = :call_id AND settled_at IS NULL"
SETTLE_IF_NOTHING_COMES: Final = f"""
    {SETTLE} AND NOT EXISTS
        (SELECT 1 FROM calls WHERE call_id = :call_id AND NOT {_CAME_TO_NOTHING})"""

FORGETTABLE: Final = "coalesce(settled_at, handed_over_at) < :before AND begun_at < :before"
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

# What was settled in the future was settled: only a clock that was wrong has written that.
_ALIKE: Final = """
    SELECT * FROM calls WHERE {whose} AND fingerprint = :fingerprint
        AND (settled_at IS NULL OR settled_at > :came_at AND settled_at <= :now)
        AND (handed_over_at IS NULL OR handed_over_at > :handed_over_since)
    ORDER BY begun_at, call_id, number"""
ALIKE: Final = _ALIKE.format(whose="caller = :caller AND vendor = :vendor")
ALIKE_ELSEWHERE: Final = _ALIKE.format(whose="vendor = :vendor AND vendor != 'runapi'")
UNSETTLED: Final = """
    SELECT * FROM calls INDEXED BY calls_unsettled WHERE caller = :caller AND settled_at IS NULL
        AND (handed_over_at IS NULL OR handed_over_at > :handed_over_since)"""

# The same call asks no more about a picture whose siblings were used. Elsewhere than at RunAPI
# nothing is sent again, so that it needs no request and cannot be a charge.
DOUBTS: Final = """
    SELECT * FROM calls WHERE caller = :caller AND status = 'intended'
        AND CASE vendor WHEN 'runapi'
            THEN request IS NOT NULL AND (unanswered = 1 OR settled_at IS NOT NULL)
            ELSE open_sends > 0 END
        AND begun_at > :since AND (sends_out = 0 OR sent_at <= :sent_before OR sent_at > :now)
    ORDER BY sent_at LIMIT :limit"""

BY_KEY: Final = "SELECT * FROM calls WHERE key = :key"
BY_CALL: Final = "SELECT * FROM calls WHERE call_id = :call_id ORDER BY number"
BY_TASK: Final = "SELECT * FROM calls WHERE task_id = :task_id AND caller = :caller LIMIT 1"
BY_TASK_OF_ANYBODY: Final = """
    SELECT * FROM calls WHERE task_id = :task_id ORDER BY files = '[]' LIMIT 1"""

_DRAWN: Final = """
    FROM calls INDEXED BY calls_by_age WHERE status = 'completed' AND image_urls != '[]'
    ORDER BY begun_at DESC, call_id, number"""
DRAWN: Final = f"SELECT * {_DRAWN} LIMIT :limit OFFSET :skip"
DRAWN_WORDS: Final = f"SELECT key, arguments, model, files, task_id {_DRAWN}"

# Named, because SQLite would rather walk through all calls of the caller than the few open ones.
_SELECTIONS: Final = {
    "recent": ("", "status != 'refused'"),
    "running": (
        "INDEXED BY calls_running",
        "status IN ('intended', 'pending', 'processing', 'unknown')",
    ),
    "undelivered": (
        "INDEXED BY calls_undelivered",
        f"settled_at IS NULL AND handed_over_at IS NULL AND NOT {_CAME_TO_NOTHING}",
    ),
}

# A call begun before midnight in doubt may be made, and charged, after it: it counts on both days.
# One from the future counts on each day. Doubts are asked about however old they are: what was
# made so late, or is asked about just now, has indexes of its own.
_OF_THE_DAY: Final = """
    SELECT status, cost_cents, price_cents, coalesce(sent_at, begun_at) AS reserved_at FROM calls
    WHERE caller = :caller AND begun_at >= :doubt_since
        AND (begun_at >= :since OR made_at >= :since OR status = 'intended')
    UNION ALL
    SELECT status, cost_cents, price_cents, made_at FROM calls INDEXED BY calls_made_late
    WHERE caller = :caller AND made_at - begun_at > 86400 AND begun_at < :doubt_since
        AND made_at >= :since
    UNION ALL
    SELECT status, cost_cents, price_cents, sent_at FROM calls INDEXED BY calls_in_doubt
    WHERE caller = :caller AND status = 'intended' AND sent_at > :reserved_since
        AND begun_at < :doubt_since"""
SPENDING: Final = f"""
    SELECT total(CASE status WHEN 'completed' THEN coalesce(cost_cents, price_cents)
                             WHEN 'failed' THEN cost_cents END) AS spent_cents,
           total(CASE WHEN status NOT IN ('completed', 'failed', 'refused')
                       AND (status != 'intended' OR reserved_at > :reserved_since)
                      THEN price_cents END) AS reserved_cents
    FROM ({_OF_THE_DAY})"""

SPENT_SINCE: Final = """
    SELECT total(CASE status WHEN 'completed' THEN coalesce(cost_cents, price_cents)
                             WHEN 'failed' THEN cost_cents END) AS spent_cents
    FROM calls WHERE coalesce(made_at, begun_at) >= :since"""

COUNT: Final = "SELECT count(*) AS calls FROM calls"
COUNT_BY_FATE: Final = f"""
    SELECT count(*) AS calls, count(CASE WHEN status = 'intended' THEN 1 END) AS in_doubt,
        count(CASE WHEN status != 'intended' AND settled_at IS NULL AND handed_over_at IS NULL
                    AND NOT {_CAME_TO_NOTHING} THEN 1 END) AS undelivered
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
        SELECT * FROM calls {index} WHERE {mine}{condition}
        ORDER BY begun_at DESC, call_id, number LIMIT :limit"""


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
        arguments=None
        if row["arguments"] is None
        else as_object(read_json(row["arguments"])) or None,
        price_cents=_cents(row["price_cents"]),
        cost_cents=_cents(row["cost_cents"]),
        image_urls=_texts(row["image_urls"]),
        files=_texts(row["files"]),
        file_hashes=_texts(row["file_hashes"]),
        originals=tuple(_pair(pair) for pair in as_list(read_json(row["originals"]))),
        drawn=to_interval(row),
        sandbox=bool(row["sandbox"]),
        unanswered=bool(row["unanswered"]),
        sources=tuple(_named(source) for source in as_list(read_json(row["sources"]))),
        ready=bool(row["ready"]),
    )


def to_spending(row: sqlite3.Row) -> Spending:
    return Spending(row["spent_cents"], row["reserved_cents"])


def to_interval(row: sqlite3.Row) -> tuple[float, float] | None:
    drawn_seconds = row["drawn_seconds"]
    return None if drawn_seconds is None else (row["running_seconds"], drawn_seconds)


def _texts(column: str) -> tuple[str, ...]:
    return tuple(map(str, as_list(read_json(column))))


def _pair(pair: object) -> tuple[str, str]:
    path, sha256, *_ = [*map(str, as_list(pair)), "", ""]
    return path, sha256


def _named(source: object) -> dict[str, str]:
    return {name: str(value) for name, value in as_object(source).items()}


def read_json(text: str | None) -> object:
    """The JSON of a column; nothing, where there is none or somebody spoiled it."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _cents(stored: float | None) -> float | None:
    return None if stored is None else tidy(stored)
