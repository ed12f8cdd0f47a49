"""The SQL of the ledger in PostgreSQL, and how an entry becomes a row and back."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from psycopg.types.json import Json

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.json_values import as_list, as_object
from runapi_mcp.orders.ledger.entry import Entry, Spending
from runapi_mcp.orders.ledger.port import Selection

Row = Mapping[str, Any]  # Any: each column has its own type, which `to_entry` knows
Values = Mapping[str, object]

_MICROCENTS: Final = 1_000_000
_COLUMNS: Final = (
    "key", "caller", "vendor", "model", "output_resolution", "fingerprint", "call_id", "number",
    "count", "arguments", "request", "ready", "sources", "save_as", "price", "status", "task_id",
    "image_urls", "cost", "error", "sandbox", "begun_at", "made_at", "ended_at",
    "running_seconds", "drawn_seconds",
)  # fmt: skip
_AS_STORED: Final = (
    "key", "caller", "vendor", "model", "output_resolution", "fingerprint", "call_id", "number",
    "count", "request", "ready", "save_as", "status", "task_id", "error", "sandbox", "begun_at",
    "made_at", "ended_at", "sent_at", "open_sends", "sends_out", "unanswered", "absent_at",
    "handed_over_at", "settled_at",
)  # fmt: skip
_CAME_TO_NOTHING: Final = (
    "(status IN ('failed', 'refused', 'lost') OR status = 'completed' AND image_urls = '{}')"
)
_SINCE_WHEN_SET_ASIDE: Final = "coalesce(sent_at, begun_at)"

LOCK: Final = """
    SELECT caller FROM runapi_mcp.budgets
    WHERE caller = %(caller)s AND day_begins = 'Infinity' FOR UPDATE"""
MAKE_LOCK: Final = """
    INSERT INTO runapi_mcp.budgets (caller, day_begins) VALUES (%(caller)s, 'Infinity')
    ON CONFLICT DO NOTHING"""
# Elsewhere than at RunAPI, what others have ordered is joined as well.
LOCK_ELSEWHERE: Final = """
    SELECT pg_advisory_xact_lock(hashtextextended(%(vendor)s || %(fingerprint)s, 0))"""
OWNER_OF_PICTURE: Final = "SELECT caller FROM runapi_mcp.pictures WHERE key = %(key)s"
OWNER_OF_CALL: Final = "SELECT caller FROM runapi_mcp.pictures WHERE call_id = %(call_id)s LIMIT 1"
MARK_COMMIT: Final = "INSERT INTO runapi_mcp.commits (id, made_at) VALUES (%(id)s, %(now)s)"
COMMITTED: Final = "SELECT id FROM runapi_mcp.commits WHERE id = %(id)s"
FORGET_COMMITS: Final = "DELETE FROM runapi_mcp.commits WHERE made_at < %(before)s"

INSERT: Final[LiteralString] = f"""
    INSERT INTO runapi_mcp.pictures ({", ".join(_COLUMNS)})
    VALUES ({", ".join(f"%({column})s" for column in _COLUMNS)})"""

# Two servers may follow one task: what one of them has learned, the other does not take back.
RECORD: Final = """
    UPDATE runapi_mcp.pictures SET status = %(status)s, task_id = coalesce(%(task_id)s, task_id),
        price = coalesce(%(price)s, price), image_urls = %(image_urls)s,
        cost = coalesce(%(cost)s, cost), error = %(error)s, sandbox = %(sandbox)s,
        made_at = coalesce(made_at, %(made_at)s), ended_at = coalesce(ended_at, %(ended_at)s),
        running_seconds = coalesce(running_seconds, %(running_seconds)s),
        drawn_seconds = coalesce(drawn_seconds, %(drawn_seconds)s), day_begins = %(day_begins)s
    WHERE key = %(key)s AND (status NOT IN ('completed', 'failed') OR status = %(status)s)"""

RECORD_REQUEST: Final = """
    UPDATE runapi_mcp.pictures SET arguments = %(arguments)s, request = %(request)s, ready = true
    WHERE key = %(key)s AND NOT ready"""
RECORD_SEND: Final = """
    UPDATE runapi_mcp.pictures SET open_sends = open_sends + 1, sends_out = sends_out + 1,
        sent_at = %(now)s, set_aside = true, unanswered = true
    WHERE key = %(key)s AND status = 'intended' AND task_id IS NULL"""
CLAIM_SEND: Final[LiteralString] = f"{RECORD_SEND} AND sent_at IS NULL"
# A first sight from the future is none: only a clock that was wrong has written that.
RECORD_ABSENCE: Final = """
    UPDATE runapi_mcp.pictures SET absent_at = least(absent_at, %(at)s),
        status = CASE WHEN %(at)s - absent_at >= %(apart)s AND %(at)s - sent_at >= %(listed)s
                      THEN 'refused' ELSE status END
    WHERE key = %(key)s AND status = 'intended' AND task_id IS NULL"""
# Who waited for an answer a day ago waits no more: nobody is to wait for theirs.
RESERVE_AGAIN: Final[LiteralString] = f"""
    UPDATE runapi_mcp.pictures SET sent_at = %(now)s, sends_out = 0, set_aside = true
    WHERE call_id = %(call_id)s AND status = 'intended'
        AND {_SINCE_WHEN_SET_ASIDE} <= %(reserved_since)s"""
LET_LAPSE: Final[LiteralString] = f"""
    UPDATE runapi_mcp.pictures SET set_aside = false
    WHERE caller = %(caller)s AND status = 'intended' AND set_aside
        AND {_SINCE_WHEN_SET_ASIDE} <= %(reserved_since)s"""
RECORD_NO: Final = """
    UPDATE runapi_mcp.pictures SET open_sends = greatest(open_sends - %(sends)s, 0),
        sends_out = greatest(sends_out - %(sends)s, 0)
    WHERE key = %(key)s AND status = 'intended'"""
REFUSE: Final = """
    UPDATE runapi_mcp.pictures SET status = 'refused'
    WHERE key = %(key)s AND status = 'intended' AND open_sends = 0"""
RECORD_DOUBT: Final = """
    UPDATE runapi_mcp.pictures SET sends_out = greatest(sends_out - %(sends)s, 0),
        unanswered = unanswered AND NOT (%(answered)s AND open_sends = %(sends)s)
    WHERE key = %(key)s"""
RECORD_FILES: Final = """
    UPDATE runapi_mcp.pictures
    SET files = %(files)s, file_hashes = %(hashes)s, originals = %(originals)s
    WHERE key = %(key)s"""
RECORD_HANDOVER: Final = """
    UPDATE runapi_mcp.pictures SET handed_over_at = coalesce(handed_over_at, %(at)s),
        settled_at = CASE WHEN %(surely)s THEN coalesce(settled_at, %(at)s) ELSE settled_at END
    WHERE call_id = %(call_id)s
        AND (handed_over_at IS NULL OR %(surely)s AND settled_at IS NULL)"""
HAND_OVER_NOW: Final = """
    UPDATE runapi_mcp.pictures SET handed_over_at = %(now)s
    WHERE call_id = %(call_id)s AND handed_over_at > %(now)s"""
WITHDRAW: Final = """
    UPDATE runapi_mcp.pictures SET status = 'refused'
    WHERE call_id = %(call_id)s AND status = 'intended' AND open_sends = 0"""
NEVER_SENT: Final = """
    SELECT DISTINCT call_id FROM runapi_mcp.pictures
    WHERE caller = %(caller)s AND status = 'intended' AND sent_at IS NULL
        AND begun_at < %(before)s"""

SETTLE: Final = """
    UPDATE runapi_mcp.pictures SET settled_at = %(now)s
    WHERE call_id = %(call_id)s AND settled_at IS NULL"""
SETTLE_IF_NOTHING_COMES: Final[LiteralString] = f"""
    {SETTLE} AND NOT EXISTS (SELECT 1 FROM runapi_mcp.pictures
                             WHERE call_id = %(call_id)s AND NOT {_CAME_TO_NOTHING})"""

FORGET: Final = """
    DELETE FROM runapi_mcp.pictures WHERE caller = %(caller)s
        AND coalesce(settled_at, handed_over_at) < %(before)s AND begun_at < %(before)s"""
FORGET_DAYS: Final = """
    DELETE FROM runapi_mcp.budgets WHERE caller = %(caller)s AND day_begins < %(before)s
        AND spent = 0 AND reserved = 0"""
CALLERS_WITH_OLD: Final = """
    SELECT DISTINCT caller FROM runapi_mcp.budgets WHERE day_begins < %(before)s
    UNION SELECT DISTINCT caller FROM runapi_mcp.pictures WHERE begun_at < %(before)s"""
LOCK_FORGETTING: Final = "LOCK TABLE runapi_mcp.forgetting"
PROPOSED: Final = "SELECT before, proposed_at FROM runapi_mcp.forgetting"
WITHDRAW_PROPOSAL: Final = "DELETE FROM runapi_mcp.forgetting"
PROPOSE: Final = """
    INSERT INTO runapi_mcp.forgetting (before, proposed_at) VALUES (%(before)s, %(proposed_at)s)"""

COUNT_CALLS: Final = """
    SELECT calls FROM runapi_mcp.questions
    WHERE caller = %(caller)s AND fingerprint = %(fingerprint)s"""

RECORD_UPLOAD: Final = """
    INSERT INTO runapi_mcp.uploads (caller, sha256, url, expires_at)
    VALUES (%(caller)s, %(sha256)s, %(url)s, %(expires_at)s)
    ON CONFLICT (caller, sha256) DO UPDATE
    SET url = excluded.url, expires_at = excluded.expires_at"""
UPLOAD: Final = """
    SELECT url FROM runapi_mcp.uploads
    WHERE caller = %(caller)s AND sha256 = %(sha256)s AND expires_at > %(now)s"""
FORGET_UPLOADS: Final = "DELETE FROM runapi_mcp.uploads WHERE expires_at < %(now)s"

_NOT_OVER: Final = """(handed_over_at IS NULL OR handed_over_at > %(handed_over_since)s)"""
# What was settled in the future was settled: only a clock that was wrong has written that.
_ALIKE: Final[LiteralString] = f"""
        AND fingerprint = %(fingerprint)s AND vendor = %(vendor)s AND {_NOT_OVER}
        AND (settled_at IS NULL OR settled_at > %(came_at)s AND settled_at <= %(now)s)
    ORDER BY begun_at, call_id, number"""
ALIKE: Final[LiteralString] = (
    f"SELECT * FROM runapi_mcp.pictures WHERE caller = %(caller)s {_ALIKE}"
)
ALIKE_ELSEWHERE: Final[LiteralString] = f"SELECT * FROM runapi_mcp.pictures WHERE true {_ALIKE}"
UNSETTLED: Final[LiteralString] = f"""
    SELECT * FROM runapi_mcp.pictures
    WHERE caller = %(caller)s AND settled_at IS NULL AND {_NOT_OVER}"""

# The same call asks no more about a picture whose siblings were used. Elsewhere than at RunAPI
# nothing is sent again, so that it needs no request and cannot be a charge.
DOUBTS: Final = """
    SELECT * FROM runapi_mcp.pictures WHERE caller = %(caller)s AND status = 'intended'
        AND CASE vendor WHEN 'runapi'
            THEN request IS NOT NULL AND (unanswered OR settled_at IS NOT NULL)
            ELSE open_sends > 0 END
        AND begun_at > %(since)s
        AND (sends_out = 0 OR sent_at <= %(sent_before)s OR sent_at > %(now)s)
    ORDER BY sent_at NULLS FIRST LIMIT %(limit)s"""

BY_KEY: Final = "SELECT * FROM runapi_mcp.pictures WHERE key = %(key)s"
BY_CALL: Final = "SELECT * FROM runapi_mcp.pictures WHERE call_id = %(call_id)s ORDER BY number"
BY_TASK: Final = """
    SELECT * FROM runapi_mcp.pictures
    WHERE task_id = %(task_id)s AND caller = %(caller)s LIMIT 1"""
BY_TASK_OF_ANYBODY: Final = """
    SELECT * FROM runapi_mcp.pictures WHERE task_id = %(task_id)s
    ORDER BY files = '{}' LIMIT 1"""

DRAWN: Final = """
    SELECT * FROM runapi_mcp.pictures WHERE status = 'completed' AND image_urls <> '{}'
    ORDER BY begun_at DESC, call_id, number"""

_SELECTIONS: Final[Mapping[Selection, LiteralString]] = {
    "recent": "status <> 'refused'",
    "running": "status IN ('intended', 'pending', 'processing', 'unknown')",
    "undelivered": (f"settled_at IS NULL AND handed_over_at IS NULL AND NOT {_CAME_TO_NOTHING}"),
}

# What is due to lapse is not set aside any more, though nobody has written that yet.
SPENDING: Final[LiteralString] = f"""
    SELECT coalesce(sum(spent), 0)::bigint AS spent,
        (coalesce(sum(reserved), 0) - (
            SELECT coalesce(sum(reserved), 0) FROM runapi_mcp.pictures
            WHERE caller = %(caller)s AND status = 'intended' AND set_aside
                AND {_SINCE_WHEN_SET_ASIDE} <= %(reserved_since)s
        ))::bigint AS reserved
    FROM runapi_mcp.budgets WHERE caller = %(caller)s AND day_begins >= %(since)s"""
# Taken from the calls themselves, in the same snapshot as the counters.
WRONG_BUDGETS: Final = """
    SELECT count(*) AS wrong FROM (
        SELECT caller, day_begins, sum(spent) AS spent, sum(reserved) AS reserved FROM (
            SELECT caller, day_begins, spent, reserved FROM runapi_mcp.budgets
            UNION ALL
            SELECT caller, day_begins, -spent, -reserved FROM runapi_mcp.pictures) AS signed
        GROUP BY caller, day_begins) AS differences
    WHERE spent <> 0 OR reserved <> 0"""
SPENT_SINCE: Final = """
    SELECT coalesce(sum(spent), 0)::bigint AS spent FROM runapi_mcp.pictures
    WHERE coalesce(made_at, begun_at) >= %(since)s"""

INTERVALS: Final = """
    SELECT running_seconds, drawn_seconds FROM runapi_mcp.pictures
    WHERE model = %(model)s AND output_resolution IS NOT DISTINCT FROM %(output_resolution)s
        AND drawn_seconds IS NOT NULL
    ORDER BY ended_at DESC LIMIT %(limit)s"""


def selecting(selection: Selection, *, of_caller: bool) -> LiteralString:
    # Not `caller = … OR …`, which no index serves.
    mine = "caller = %(caller)s AND " if of_caller else ""
    return f"""
        SELECT * FROM runapi_mcp.pictures WHERE {mine}{_SELECTIONS[selection]}
        ORDER BY begun_at DESC, call_id, number LIMIT %(limit)s"""


def to_row(entry: Entry) -> dict[str, object]:
    running_seconds, drawn_seconds = entry.drawn or (None, None)
    return {
        **{name: getattr(entry, name) for name in _COLUMNS if hasattr(entry, name)},
        "arguments": None if entry.arguments is None else Json(dict(entry.arguments)),
        "image_urls": list(entry.image_urls),
        "sources": Json([dict(source) for source in entry.sources]),
        "price": to_microcents(entry.price_cents),
        "cost": to_microcents(entry.cost_cents),
        "running_seconds": running_seconds,
        "drawn_seconds": drawn_seconds,
    }


def to_entry(row: Row) -> Entry:
    return Entry(
        **{name: row[name] for name in _AS_STORED},
        arguments=None if row["arguments"] is None else as_object(row["arguments"]) or None,
        price_cents=to_cents(row["price"]),
        cost_cents=to_cents(row["cost"]),
        image_urls=tuple(row["image_urls"]),
        files=tuple(row["files"]),
        file_hashes=tuple(row["file_hashes"]),
        originals=tuple((str(path), str(sha256)) for path, sha256 in row["originals"]),
        drawn=to_interval(row),
        sources=tuple(_named(source) for source in as_list(row["sources"])),
    )


def to_spending(row: Row) -> Spending:
    return Spending(row["spent"] / _MICROCENTS, row["reserved"] / _MICROCENTS)


def to_interval(row: Row) -> tuple[float, float] | None:
    drawn_seconds = row["drawn_seconds"]
    return None if drawn_seconds is None else (row["running_seconds"], drawn_seconds)


def to_microcents(cents: float | None) -> int | None:
    return None if cents is None else round(cents * _MICROCENTS)


def to_cents(microcents: int | None) -> float | None:
    return None if microcents is None else tidy(microcents / _MICROCENTS)


def _named(source: object) -> dict[str, str]:
    return {name: str(value) for name, value in as_object(source).items()}
