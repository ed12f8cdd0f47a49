"""Which calls a new one settles: those whose pictures it uses, and those that nobody ever sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runapi_mcp.orders.ledger.entry import Use
from runapi_mcp.orders.ledger.port import Call
from runapi_mcp.orders.ledger.rules import (
    HANDOVER_SECONDS,
    NEVER_SENT_SECONDS,
    is_from_later,
    is_used,
)
from runapi_mcp.orders.ledger.sqlite import queries

if TYPE_CHECKING:
    import sqlite3


def settle_used(caller: str, use: Use, now: float, connection: sqlite3.Connection) -> None:
    for call_id in _calls_used(caller, use, now, connection) if use else ():
        connection.execute(queries.SETTLE, {"call_id": call_id, "now": now})


def withdraw_never_sent(caller: str, now: float, connection: sqlite3.Connection) -> None:
    never_sent = {"caller": caller, "before": now - NEVER_SENT_SECONDS}
    for (call_id,) in connection.execute(queries.NEVER_SENT, never_sent).fetchall():
        for sql in (queries.WITHDRAW, queries.SETTLE_IF_NOTHING_COMES):
            connection.execute(sql, {"call_id": call_id, "now": now})


def hand_over_now(call: Call, now: float, connection: sqlite3.Connection) -> None:
    """A hand-over dated in the future counts as just now."""
    if call and is_from_later(call, now):
        connection.execute(queries.HAND_OVER_NOW, {"call_id": call[0].call_id, "now": now})


def _calls_used(caller: str, use: Use, now: float, connection: sqlite3.Connection) -> set[str]:
    found = {
        row["call_id"]
        for task_id in filter(None, (use.redrawn, *use.task_ids))
        for row in connection.execute(queries.BY_TASK, {"caller": caller, "task_id": task_id})
    }
    if use.given_up is not None:
        found.add(use.given_up)
    if use.paths or use.urls:
        parameters = {"caller": caller, "handed_over_since": now - HANDOVER_SECONDS}
        unsettled = map(queries.to_entry, connection.execute(queries.UNSETTLED, parameters))
        found |= {each.call_id for each in unsettled if is_used(each, use)}
    return found
