"""The steps of a paid call in SQLite, each of them one transaction. Blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runapi_mcp.base.days import day_of
from runapi_mcp.orders.ledger.entry import DOUBT_SECONDS, Entry, Use
from runapi_mcp.orders.ledger.port import Allow, AllowAgain, Call
from runapi_mcp.orders.ledger.rules import is_from_later
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.joining import alike
from runapi_mcp.orders.ledger.sqlite.settling import (
    hand_over_now,
    settle_used,
    withdraw_never_sent,
)

if TYPE_CHECKING:
    import sqlite3

    from runapi_mcp.orders.ledger.sqlite.access import OpenLedger
    from runapi_mcp.orders.ledger.sqlite.database import Database


class PaidSteps:
    """Named as the port's methods, which say what each of them is."""

    def __init__(self, clock: Callable[[], float], zone: str | None, keep_seconds: float) -> None:
        self._clock = clock
        self._zone = zone
        self._keep_seconds = keep_seconds

    def find_alike(
        self, wanted: Entry, use: Use, came_at: float, opened: OpenLedger
    ) -> list[Entry] | None:
        found = alike(wanted, use, came_at, self._clock(), opened.database)
        if found is not None and (use or is_from_later(found, self._clock())):
            with opened.database.transaction() as connection:
                settle_used(wanted.caller, use, self._clock(), connection)
                hand_over_now(found, self._clock(), connection)
        return found

    def intend(
        self, wanted: Call, use: Use, came_at: float, allow: Allow, opened: OpenLedger
    ) -> list[Entry]:
        database, first = opened.database, wanted[0]
        # A replay waits for no writer, and is answered where nothing can be written.
        if replayed := self.find_alike(first, use, came_at, opened):
            return replayed
        self._tidy(opened)
        # Nothing is sent before `record_send`, whose flush takes this along.
        with database.transaction(durable=False) as connection:
            withdraw_never_sent(first.caller, self._clock(), connection)
            found = alike(first, use, came_at, self._clock(), database)
            if found is None:
                [today] = database.rows(queries.SPENDING, self.today(first.caller))
                is_new = not database.rows(queries.BY_KEY, {"key": first.key})
                allow(queries.to_spending(today), is_new)
                connection.executemany(queries.INSERT, [queries.to_row(entry) for entry in wanted])
            settle_used(first.caller, use, self._clock(), connection)
            hand_over_now(found or (), self._clock(), connection)
        return found or list(wanted)

    def record_request(self, wanted: Call, opened: OpenLedger) -> list[Entry]:
        database, rows = opened.database, [queries.to_row(entry) for entry in wanted]
        with database.transaction() as connection:
            first_row(database.rows(queries.BY_CALL, rows[0]))
            connection.executemany(queries.RECORD_REQUEST, rows)
            return [queries.to_entry(row) for row in database.rows(queries.BY_CALL, rows[0])]

    def record(self, entry: Entry, opened: OpenLedger) -> None:
        database, row = opened.database, {**queries.to_row(entry), "now": self._clock()}
        known_task = first_row(database.rows(queries.BY_KEY, row))["task_id"]
        # With the task's id on the disk, all else can be read anew.
        with database.transaction(durable=known_task != entry.task_id) as connection:
            known = first_row(database.rows(queries.BY_KEY, row))
            for sql in (queries.RECORD, queries.SETTLE_IF_NOTHING_COMES):
                connection.execute(sql, {"call_id": known["call_id"], **row})

    def record_send(self, key: str, allow: AllowAgain, opened: OpenLedger) -> Entry:
        database, row = opened.database, {"key": key, "now": self._clock()}
        with database.transaction() as connection:
            first = first_row(database.rows(queries.BY_KEY, row))
            if not queries.to_entry(first).is_reserved(self._clock()):
                self._reserve_again(first["call_id"], allow, database, connection)
            connection.execute(queries.RECORD_SEND, row)
            return queries.to_entry(first_row(database.rows(queries.BY_KEY, row)))

    def claim_send(self, key: str, opened: OpenLedger) -> Entry | None:
        database, row = opened.database, {"key": key, "now": self._clock()}
        with database.transaction() as connection:
            first = first_row(database.rows(queries.BY_KEY, row))
            withdraw_never_sent(first["caller"], self._clock(), connection)
            if connection.execute(queries.CLAIM_SEND, row).rowcount == 0:
                return None
            return queries.to_entry(first_row(database.rows(queries.BY_KEY, row)))

    def _reserve_again(
        self, call_id: str, allow: AllowAgain, database: Database, connection: sqlite3.Connection
    ) -> None:
        now = self._clock()
        call = map(queries.to_entry, database.rows(queries.BY_CALL, {"call_id": call_id}))
        lapsed = [entry for entry in call if not entry.is_reserved(now)]
        [today] = database.rows(queries.SPENDING, self.today(lapsed[0].caller))
        allow(lapsed, queries.to_spending(today))
        row = {"call_id": call_id, "now": now, "reserved_since": now - DOUBT_SECONDS}
        connection.execute(queries.RESERVE_AGAIN, row)

    def today(self, caller: str) -> dict[str, object]:
        now = self._clock()
        since, _ = day_of(now, self._zone)
        return {
            "caller": caller,
            "since": since,
            "doubt_since": since - DOUBT_SECONDS,
            "reserved_since": now - DOUBT_SECONDS,
        }

    def _tidy(self, opened: OpenLedger) -> None:
        from runapi_mcp.orders.ledger.sqlite.forgetting import forget_old

        if not opened.is_tidy:
            forget_old(opened.database, self._clock(), self._keep_seconds)
            opened.is_tidy = True


def first_row(rows: list[sqlite3.Row]) -> sqlite3.Row:
    """
    Raises:
        RowGone: there is none.
    """
    # Imported here: SQLite comes with the first use.
    from runapi_mcp.orders.ledger.sqlite.database import RowGone

    if not rows:
        raise RowGone
    return rows[0]
