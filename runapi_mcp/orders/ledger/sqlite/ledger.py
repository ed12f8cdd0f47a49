"""The ledger in SQLite: what each operation reads and writes.

Light to import: SQLite comes with the first use, in a thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

import anyio
import anyio.to_thread

from runapi_mcp.base.catalog.lifetimes import DAY_SECONDS, IMAGE_SECONDS
from runapi_mcp.base.days import day_of
from runapi_mcp.base.settings import KEEP_DAYS
from runapi_mcp.orders.ledger.entry import Doubt, Entry, Spending
from runapi_mcp.orders.ledger.port import Allow, Selection
from runapi_mcp.orders.ledger.sqlite import queries

if TYPE_CHECKING:
    import sqlite3

    from runapi_mcp.orders.ledger.sqlite.access import LedgerFile, OpenLedger

DOUBT_SECONDS: Final = 24 * 3600.0
"""How long RunAPI is trusted to remember an idempotency key. It does not say; a day is usual."""

_Done = TypeVar("_Done")
Run = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs what blocks."""


async def run_in_thread(block: Callable[[], object]) -> object:
    return await anyio.to_thread.run_sync(block)


async def run_in_place(block: Callable[[], object]) -> object:
    await anyio.lowlevel.checkpoint()
    return block()


class SqliteLedger:
    """The ledger at a path, and the holds on its calls; None is one in memory, for this process."""

    def __init__(
        self,
        locate: Callable[[], Path | None],
        *,
        keep_days: float = KEEP_DAYS,
        zone: str | None = None,
        clock: Callable[[], float] = time.time,
        run: Run = run_in_thread,
    ) -> None:
        self._locate = locate
        self._run = run
        self._one_at_a_time = anyio.Lock()
        self._file: LedgerFile | None = None
        self._keep_seconds = keep_days * DAY_SECONDS
        self._zone = zone
        self._clock = clock

    @classmethod
    def in_memory(
        cls, clock: Callable[[], float] = time.time, zone: str | None = None
    ) -> SqliteLedger:
        return cls(lambda: None, zone=zone, clock=clock, run=run_in_place)

    def now(self) -> float:
        return self._clock()

    async def intend(self, entry: Entry, allow: Allow) -> Entry:
        return await self._use(partial(self._intend, entry, allow))

    async def record_request(self, entry: Entry) -> None:
        await self._update(queries.RECORD_REQUEST, queries.to_row(entry))

    async def record(self, entry: Entry) -> None:
        await self._update(queries.RECORD, queries.to_row(entry))

    async def withdraw(self, entry: Entry) -> None:
        await self._write(queries.WITHDRAW, {"key": entry.key, "holder": entry.hold})

    async def record_files(self, key: str, files: Sequence[str]) -> None:
        await self._update(queries.RECORD_FILES, {"key": key, "files": json.dumps(files)})

    async def record_delivery(self, key: str) -> None:
        await self._write(queries.RECORD_DELIVERY, {"key": key, "now": self.now()})

    async def doubts(self, caller: str, limit: int) -> list[Entry]:
        since = self.now() - DOUBT_SECONDS
        parameters = {"caller": caller, "since": since, "limit": limit}
        return await self._use(partial(self._doubts, parameters))

    async def by_task(self, caller: str, task_id: str) -> Entry | None:
        rows = await self._rows(queries.BY_TASK, {"caller": caller, "task_id": task_id})
        return next(map(queries.to_entry, rows), None)

    async def entries(
        self, caller: str | None, selection: Selection = "recent", limit: int = 20
    ) -> list[Entry]:
        sql = queries.selecting(selection, of_caller=caller is not None)
        parameters = {"caller": caller, "since": self.now() - self._keep_seconds, "limit": limit}
        return await self._use(partial(self._entries, sql, parameters))

    async def spending(self, caller: str) -> Spending:
        [row] = await self._rows(queries.SPENDING, self._today(caller))
        return queries.to_spending(row)

    async def intervals(
        self, model: str, output_resolution: str | None, limit: int
    ) -> list[tuple[float, float]]:
        parameters = {"model": model, "output_resolution": output_resolution, "limit": limit}
        rows = await self._rows(queries.INTERVALS, parameters)
        return [interval for row in reversed(rows) if (interval := queries.to_interval(row))]

    async def upload(self, caller: str, sha256: str) -> str | None:
        parameters = {"caller": caller, "sha256": sha256, "now": self.now()}
        rows = await self._rows(queries.UPLOAD, parameters)
        return rows[0]["url"] if rows else None

    async def record_upload(self, caller: str, sha256: str, url: str, expires_at: float) -> None:
        row = {"caller": caller, "sha256": sha256, "url": url, "expires_at": expires_at}
        await self._write(queries.RECORD_UPLOAD, row, durable=False)

    async def release(self, entry: Entry) -> None:
        """Let go of a call. Not worth a wait for the disk: whoever dies lets go too."""

        def release(opened: OpenLedger) -> None:
            opened.held.let_go(entry.hold)
            row = {"key": entry.key, "holder": entry.hold}
            opened.database.write(queries.RELEASE, row, durable=False)

        await self._use(release)

    async def lease(self, key: str, seconds: float) -> None:
        def lease(opened: OpenLedger) -> None:
            # Within the transaction, as all of `presence` has to be used.
            with opened.database.transaction(durable=False) as connection:
                row = {"key": key, "holder": opened.held.new(), "until": self.now() + seconds}
                connection.execute(queries.LEASE, row)

        await self._use(lease)

    async def end_lease(self, key: str) -> None:
        await self._write(queries.END_LEASE, {"key": key}, durable=False)

    async def aclose(self) -> None:
        if self._file is not None:
            await self._run(self._file.close)

    async def _use(self, block: Callable[[OpenLedger], _Done]) -> _Done:
        async with self._one_at_a_time:
            return cast("_Done", await self._run(partial(self._use_file, block)))

    def _use_file(self, block: Callable[[OpenLedger], _Done]) -> _Done:
        # Imported here, in the thread: SQLite would slow down every start.
        from runapi_mcp.orders.ledger.sqlite.access import LedgerFile

        if self._file is None:
            self._file = LedgerFile(self._locate)
        return self._file.use(block)

    async def _write(self, sql: str, row: Mapping[str, object], *, durable: bool = True) -> None:
        await self._use(lambda opened: opened.database.write(sql, row, durable=durable))

    async def _update(self, sql: str, row: Mapping[str, object]) -> None:
        await self._use(lambda opened: opened.database.write(sql, row, expects=queries.HAS))

    async def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[sqlite3.Row]:
        return await self._use(lambda opened: opened.database.rows(sql, parameters))

    def _intend(self, entry: Entry, allow: Allow, opened: OpenLedger) -> Entry:
        database = opened.database
        self._tidy(opened)
        with database.transaction() as connection:
            wanted = self._first_free(entry, opened)
            if wanted is None:
                [today] = database.rows(queries.SPENDING, self._today(entry.caller))
                is_new = not database.rows(queries.HAS, {"key": entry.key})
                allow(queries.to_spending(today), is_new)
                wanted = entry
                connection.execute(queries.INSERT, queries.to_row(entry))
            hold = opened.held.take()
            connection.execute(queries.HOLD, {"key": wanted.key, "holder": hold})
        return replace(wanted, hold=hold)

    def _first_free(self, entry: Entry, opened: OpenLedger) -> Entry | None:
        """The oldest identical call that was delivered to nobody and that nobody attends to."""
        now = self.now()
        parameters = {
            "caller": entry.caller,
            "fingerprint": entry.fingerprint,
            "made_since": now - IMAGE_SECONDS,
            "doubt_since": now - DOUBT_SECONDS,
        }
        rows = opened.database.rows(queries.UNDELIVERED, parameters)
        free = (row for row in rows if opened.held.is_free(row, now))
        return next(map(queries.to_entry, free), None)

    def _doubts(self, parameters: Mapping[str, object], opened: OpenLedger) -> list[Entry]:
        # Who only reads shall wait for no writer.
        if not opened.database.rows(queries.DOUBTS, parameters):
            return []
        with opened.database.transaction(durable=False):
            rows = opened.database.rows(queries.DOUBTS, parameters)
            free = [row for row in rows if opened.held.is_free(row, self.now())]
        # With the hold that was seen to be dead: whoever takes the call up has another one.
        return [replace(queries.to_entry(row), hold=row["holder"]) for row in free]

    def _entries(
        self, sql: str, parameters: Mapping[str, object], opened: OpenLedger
    ) -> list[Entry]:
        rows = opened.database.rows(sql, parameters)
        doubts = self._kinds_of_doubt([row for row in rows if row["status"] == "intended"], opened)
        return [replace(queries.to_entry(row), doubt=doubts.get(row["key"])) for row in rows]

    def _kinds_of_doubt(self, rows: Sequence[sqlite3.Row], opened: OpenLedger) -> dict[str, Doubt]:
        """What is known of calls without a task, by key; nothing, where it cannot be told now."""
        from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN

        if not rows:
            return {}
        try:
            with opened.database.transaction(durable=False):
                return {row["key"]: self._kind_of_doubt(row, opened) for row in rows}
        except BROKEN:
            return {}

    def _kind_of_doubt(self, row: sqlite3.Row, opened: OpenLedger) -> Doubt:
        if not opened.held.is_free(row, self.now()):
            return "under way"
        return "open" if row["begun_at"] > self.now() - DOUBT_SECONDS else "too old"

    def _today(self, caller: str) -> dict[str, object]:
        since, _ = day_of(self.now(), self._zone)
        return {"caller": caller, "since": since, "doubt_since": since - DOUBT_SECONDS}

    def _tidy(self, opened: OpenLedger) -> None:
        from runapi_mcp.orders.ledger.sqlite.forgetting import forget_old

        if not opened.is_tidy:
            forget_old(opened.database, self.now(), self._keep_seconds)
            opened.is_tidy = True
