"""The ledger in SQLite, as the port has it.

Light to import: SQLite comes with the first use, in a thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.to_thread

from runapi_mcp.base.catalog.lifetimes import DAY_SECONDS
from runapi_mcp.base.settings import KEEP_DAYS
from runapi_mcp.orders.ledger.entry import (
    DOUBT_SECONDS,
    LISTED_BY_SECONDS,
    LISTS_APART_SECONDS,
    SEND_SECONDS,
    Entry,
    Spending,
    Use,
)
from runapi_mcp.orders.ledger.port import Allow, AllowAgain, Call, Selection
from runapi_mcp.orders.ledger.rules import doubt_of
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.paid_steps import PaidSteps, first_row
from runapi_mcp.orders.ledger.sqlite.settling import settle_used
from runapi_mcp.orders.ledger.sqlite.work_queue import Run, WorkQueue

if TYPE_CHECKING:
    import sqlite3

    from runapi_mcp.orders.ledger.sqlite.access import LedgerFile, OpenLedger

_Done = TypeVar("_Done")


async def run_in_thread(block: Callable[[], object]) -> object:
    return await anyio.to_thread.run_sync(block)


async def run_in_place(block: Callable[[], object]) -> object:
    await anyio.lowlevel.checkpoint()
    return block()


class SqliteLedger:
    """The ledger at a path; None is one in memory, for this process."""

    derive_key = None

    def __init__(
        self,
        locate: Callable[[], Path | None],
        *,
        keep_days: float = KEEP_DAYS,
        zone: str | None = None,
        clock: Callable[[], float] = time.time,
        run: Run = run_in_thread,
        lasts: bool = True,
    ) -> None:
        self.lasts = lasts
        self._locate = locate
        self._run = run
        self._queue = WorkQueue(run)
        self._file: LedgerFile | None = None
        self._clock = clock
        self._steps = PaidSteps(clock, zone, keep_days * DAY_SECONDS)

    @classmethod
    def in_memory(
        cls, clock: Callable[[], float] = time.time, zone: str | None = None
    ) -> SqliteLedger:
        return cls(lambda: None, zone=zone, clock=clock, run=run_in_place, lasts=False)

    def now(self) -> float:
        return self._clock()

    async def find_alike(self, wanted: Entry, use: Use, came_at: float) -> list[Entry] | None:
        return await self._use(partial(self._steps.find_alike, wanted, use, came_at))

    async def intend(self, wanted: Call, use: Use, came_at: float, allow: Allow) -> list[Entry]:
        return await self._use(partial(self._steps.intend, wanted, use, came_at, allow))

    async def record_request(self, wanted: Call) -> list[Entry]:
        return await self._use(partial(self._steps.record_request, wanted))

    async def record_send(self, key: str, allow: AllowAgain) -> Entry:
        return await self._use(partial(self._steps.record_send, key, allow))

    async def claim_send(self, key: str) -> Entry | None:
        return await self._use(partial(self._steps.claim_send, key))

    async def record_absence(self, key: str, at: float) -> Entry:
        row = {
            "key": key,
            "at": at,
            "apart": LISTS_APART_SECONDS,
            "listed": LISTED_BY_SECONDS,
            "now": self.now(),
        }
        changes = [queries.RECORD_ABSENCE, queries.SETTLE_IF_NOTHING_COMES]
        return (await self._change(queries.BY_KEY, row, changes))[0]

    async def record_no(self, key: str, sends: int) -> Entry:
        row = {"key": key, "sends": sends, "now": self.now()}
        changes = [queries.RECORD_NO, queries.REFUSE, queries.SETTLE_IF_NOTHING_COMES]
        return (await self._change(queries.BY_KEY, row, changes))[0]

    async def record_doubt(self, key: str, sends: int, *, answered: bool) -> None:
        row = {"key": key, "sends": sends, "answered": answered}
        await self._change(queries.BY_KEY, row, [queries.RECORD_DOUBT])

    async def withdraw(self, call_id: str) -> None:
        row = {"call_id": call_id, "now": self.now()}
        changes = [queries.WITHDRAW, queries.SETTLE_IF_NOTHING_COMES]
        await self._change(queries.BY_CALL, row, changes)

    async def record(self, entry: Entry) -> None:
        await self._use(partial(self._steps.record, entry), first=True)

    async def record_files(
        self,
        key: str,
        files: Sequence[str],
        hashes: Sequence[str],
        originals: Sequence[tuple[str, str]] = (),
    ) -> None:
        lists = {"files": files, "hashes": hashes, "originals": originals}
        row = {"key": key, **{name: json.dumps(each) for name, each in lists.items()}}
        await self._change(queries.BY_KEY, row, [queries.RECORD_FILES])

    async def record_use(self, caller: str, use: Use) -> None:
        def settle(opened: OpenLedger) -> None:
            with opened.database.transaction() as connection:
                settle_used(caller, use, self.now(), connection)

        await self._use(settle)

    async def record_handover(self, call_id: str, at: float, *, surely: bool) -> None:
        row = {"call_id": call_id, "at": at, "surely": surely}
        await self._change(queries.BY_CALL, row, [queries.RECORD_HANDOVER])

    async def doubts(self, caller: str, limit: int) -> list[Entry]:
        now = self.now()
        parameters = {
            "caller": caller,
            "since": now - DOUBT_SECONDS,
            "sent_before": now - SEND_SECONDS,
            "now": now,
            "limit": limit,
        }
        return await self._rows_of(queries.DOUBTS, parameters)

    async def by_task(self, caller: str | None, task_id: str) -> Entry | None:
        sql = queries.BY_TASK_OF_ANYBODY if caller is None else queries.BY_TASK
        entries = await self._rows_of(sql, {"caller": caller, "task_id": task_id})
        return next(iter(entries), None)

    async def call(self, call_id: str) -> list[Entry]:
        return await self._rows_of(queries.BY_CALL, {"call_id": call_id})

    async def entries(
        self, caller: str | None, selection: Selection = "recent", limit: int = 20
    ) -> list[Entry]:
        sql = queries.selecting(selection, of_caller=caller is not None)
        entries = await self._rows_of(sql, {"caller": caller, "limit": limit})
        return [replace(entry, doubt=doubt_of(entry, self.now())) for entry in entries]

    async def find_pictures(self, words: Sequence[str], skip: int, limit: int) -> list[Entry]:
        # Imported here, because no server searches.
        from runapi_mcp.orders.ledger.sqlite.search import pictures_with

        return await self._use(partial(pictures_with, words, skip, limit))

    async def spending(self, caller: str) -> Spending:
        [row] = await self._rows(queries.SPENDING, self._steps.today(caller))
        return queries.to_spending(row)

    async def total_cost_cents(self, since: float) -> float:
        """What everybody's pictures cost that were made since then."""
        [row] = await self._rows(queries.SPENT_SINCE, {"since": since})
        return row["spent_cents"]

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

    async def aclose(self) -> None:
        if self._file is not None:
            with anyio.CancelScope(shield=True):
                await self._run(self._file.close)

    async def _use(self, block: Callable[[OpenLedger], _Done], *, first: bool = False) -> _Done:
        """What a block makes of the ledger; `first` goes before all others that wait."""
        return cast("_Done", await self._queue.do(partial(self._use_file, block), first=first))

    def _use_file(self, block: Callable[[OpenLedger], _Done]) -> _Done:
        # Imported here, in the thread: SQLite would slow down every start.
        from runapi_mcp.orders.ledger.sqlite.access import LedgerFile

        if self._file is None:
            self._file = LedgerFile(self._locate)
        return self._file.use(block)

    async def _write(self, sql: str, row: Mapping[str, object], *, durable: bool = True) -> None:
        await self._use(lambda opened: opened.database.write(sql, row, durable=durable))

    async def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[sqlite3.Row]:
        # Answers need it, and it takes a moment: a write may wait for the disk.
        return await self._use(lambda opened: opened.database.rows(sql, parameters), first=True)

    async def _rows_of(self, sql: str, parameters: Mapping[str, object]) -> list[Entry]:
        return [queries.to_entry(row) for row in await self._rows(sql, parameters)]

    async def _change(
        self, subject: str, row: Mapping[str, object], changes: Sequence[str]
    ) -> list[Entry]:
        """What `subject` selects, after these changes of it.

        Raises:
            LedgerUnusable: there is no such thing any more, or it cannot be written.
        """

        def change(opened: OpenLedger) -> list[Entry]:
            with opened.database.transaction() as connection:
                first = first_row(opened.database.rows(subject, row))
                for sql in changes:
                    connection.execute(sql, {"call_id": first["call_id"], **row})
                return [queries.to_entry(each) for each in opened.database.rows(subject, row)]

        return await self._use(change)
