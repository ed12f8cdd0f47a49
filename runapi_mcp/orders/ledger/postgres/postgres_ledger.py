"""The ledger in PostgreSQL: what each operation reads and writes."""

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import LiteralString

from psycopg.types.json import Json

from runapi_mcp.base.catalog.lifetimes import DAY_SECONDS
from runapi_mcp.base.days import day_of
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
from runapi_mcp.orders.ledger.postgres import statements
from runapi_mcp.orders.ledger.postgres.bookkeeping import (
    correct_handover,
    find_joinable,
    let_lapse,
    lock_for,
    money_of,
    reserve_anew,
    settle_calls_used,
    withdraw_unsent,
)
from runapi_mcp.orders.ledger.postgres.ledger_database import LedgerDatabase, LedgerTransaction
from runapi_mcp.orders.ledger.postgres.picture_changes import (
    PictureChanges,
    Statement,
    lock_by,
    picture_of,
)
from runapi_mcp.orders.ledger.postgres.retention import Retention
from runapi_mcp.orders.ledger.postgres.statements import Row, Values
from runapi_mcp.orders.ledger.rules import doubt_of, is_from_later
from runapi_mcp.postgres.pool import PostgresPool


class PostgresLedger:
    """The ledger of all servers of one database. It closes the pool with itself."""

    lasts = True

    def __init__(
        self,
        pool: PostgresPool,
        *,
        keep_days: float = KEEP_DAYS,
        zone: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock or pool.clock.now
        self._database = LedgerDatabase(pool, self._clock)
        self._changes = PictureChanges(self._database, self._clock)
        self._retention = Retention(self._database, keep_days * DAY_SECONDS)
        self._zone = zone

    def now(self) -> float:
        return self._clock()

    async def find_alike(self, wanted: Entry, use: Use, came_at: float) -> list[Entry] | None:
        found = await self._joinable(wanted, use, came_at)
        if found is None or not (use or is_from_later(found, self.now())):
            return found

        async def lock(transaction: LedgerTransaction) -> None:
            await lock_for(wanted, transaction)

        async def settle(transaction: LedgerTransaction) -> None:
            now = self.now()
            await settle_calls_used(wanted.caller, use, now, transaction)
            await correct_handover(found, now, transaction)

        await self._database.write(lock, settle, _nothing)
        return found

    async def intend(self, wanted: Call, use: Use, came_at: float, allow: Allow) -> list[Entry]:
        first = wanted[0]
        # A replay waits for no lock.
        if replayed := await self.find_alike(first, use, came_at):
            return replayed
        await self._retention.tidy(self.now())

        async def lock(transaction: LedgerTransaction) -> None:
            await lock_for(first, transaction)

        async def write(transaction: LedgerTransaction) -> list[Entry]:
            now = self.now()
            await withdraw_unsent(first.caller, now, transaction)
            found = await find_joinable(first, use, came_at, now, transaction)
            if found is None:
                await self._insert(wanted, allow, transaction)
            await settle_calls_used(first.caller, use, now, transaction)
            await correct_handover(found or (), now, transaction)
            return found or list(wanted)

        async def look(transaction: LedgerTransaction) -> list[Entry]:
            written = await transaction.entries(statements.BY_CALL, {"call_id": first.call_id})
            joined = await find_joinable(first, use, came_at, self.now(), transaction)
            return written or joined or list(wanted)

        # Nothing is sent before `record_send`, whose flush takes this along.
        return await self._database.write(lock, write, look, durable=False)

    async def record_request(self, wanted: Call) -> list[Entry]:
        changes: list[Statement] = [
            (statements.RECORD_REQUEST, statements.to_row(entry)) for entry in wanted
        ]
        return await self._changes.of_call(wanted[0].call_id, changes)

    async def record_send(self, key: str, allow: AllowAgain) -> Entry:
        async def send(transaction: LedgerTransaction) -> Entry:
            now = self.now()
            values = {"key": key, "now": now}
            entry = await picture_of(key, transaction)
            if not entry.is_reserved(now):
                await let_lapse(entry.caller, now, transaction)
                await reserve_anew(entry, allow, self._day_since(now), now, transaction)
            await transaction.run(statements.RECORD_SEND, values)
            return await picture_of(key, transaction)

        return await self._changes.by(key, send)

    async def claim_send(self, key: str) -> Entry | None:
        values = {"key": key, "now": self.now()}

        async def claim(transaction: LedgerTransaction) -> Entry | None:
            entry = await picture_of(key, transaction)
            await withdraw_unsent(entry.caller, self.now(), transaction)
            if await transaction.run(statements.CLAIM_SEND, values) == 0:
                return None
            return await picture_of(key, transaction)

        async def look(transaction: LedgerTransaction) -> Entry | None:
            entry = await picture_of(key, transaction)
            return entry if entry.sent_at == values["now"] else None

        lock = lock_by(statements.LOCK_OF_PICTURE, values)
        return await self._database.write(lock, claim, look)

    async def record_absence(self, key: str, at: float) -> Entry:
        values = {"at": at, "apart": LISTS_APART_SECONDS, "listed": LISTED_BY_SECONDS}
        changes = (statements.RECORD_ABSENCE, statements.SETTLE_IF_NOTHING_COMES)
        return await self._changes.of_picture(key, values, changes)

    async def record_no(self, key: str, sends: int) -> Entry:
        changes = (statements.RECORD_NO, statements.REFUSE, statements.SETTLE_IF_NOTHING_COMES)
        return await self._changes.of_picture(key, {"sends": sends}, changes)

    async def record_doubt(self, key: str, sends: int, *, answered: bool) -> None:
        values = {"sends": sends, "answered": answered}
        await self._changes.of_picture(key, values, [statements.RECORD_DOUBT])

    async def withdraw(self, call_id: str) -> None:
        values = {"call_id": call_id, "now": self.now()}
        both = (statements.WITHDRAW, statements.SETTLE_IF_NOTHING_COMES)
        await self._changes.of_call(call_id, [(sql, values) for sql in both])

    async def record(self, entry: Entry) -> None:
        async def write(transaction: LedgerTransaction) -> Entry:
            known = await picture_of(entry.key, transaction)
            values = {
                **statements.to_row(entry),
                "call_id": known.call_id,
                "now": self.now(),
                "day_begins": self._day_of(entry, known),
            }
            for sql in (statements.RECORD, statements.SETTLE_IF_NOTHING_COMES):
                await transaction.run(sql, values)
            return entry

        await self._changes.by(entry.key, write)

    async def record_files(
        self,
        key: str,
        files: Sequence[str],
        hashes: Sequence[str],
        originals: Sequence[tuple[str, str]] = (),
    ) -> None:
        values = {"files": [*files], "hashes": [*hashes], "originals": Json([*originals])}
        await self._changes.of_picture(key, values, [statements.RECORD_FILES])

    async def record_use(self, caller: str, use: Use) -> None:
        async def lock(transaction: LedgerTransaction) -> None:
            await transaction.lock(caller)

        async def settle(transaction: LedgerTransaction) -> None:
            await settle_calls_used(caller, use, self.now(), transaction)

        await self._database.write(lock, settle, _nothing)

    async def record_handover(self, call_id: str, at: float, *, surely: bool) -> None:
        values = {"call_id": call_id, "at": at, "surely": surely}
        await self._changes.of_call(call_id, [(statements.RECORD_HANDOVER, values)])

    async def doubts(self, caller: str, limit: int) -> list[Entry]:
        now = self.now()
        values = {
            "caller": caller,
            "since": now - DOUBT_SECONDS,
            "sent_before": now - SEND_SECONDS,
            "now": now,
            "limit": limit,
        }
        return await self._entries(statements.DOUBTS, values)

    async def by_task(self, caller: str | None, task_id: str) -> Entry | None:
        sql = statements.BY_TASK_OF_ANYBODY if caller is None else statements.BY_TASK
        found = await self._entries(sql, {"caller": caller, "task_id": task_id})
        return next(iter(found), None)

    async def call(self, call_id: str) -> list[Entry]:
        return await self._entries(statements.BY_CALL, {"call_id": call_id})

    async def entries(
        self, caller: str | None, selection: Selection = "recent", limit: int = 20
    ) -> list[Entry]:
        sql = statements.selecting(selection, of_caller=caller is not None)
        found = await self._entries(sql, {"caller": caller, "limit": limit})
        return [replace(entry, doubt=doubt_of(entry, self.now())) for entry in found]

    async def find_pictures(self, words: Sequence[str], skip: int, limit: int) -> list[Entry]:
        # Imported here, because no server searches.
        from runapi_mcp.orders.ledger.postgres.picture_search import search_pictures

        return await self._database.repeat(
            lambda transaction: search_pictures(words, skip, limit, transaction)
        )

    async def spending(self, caller: str) -> Spending:
        now = self.now()
        since = self._day_since(now)
        return await self._database.repeat(
            lambda transaction: money_of(caller, since, now, transaction)
        )

    async def total_cost_cents(self, since: float) -> float:
        """What everybody's pictures cost that were made since then."""
        [row] = await self._rows(statements.SPENT_SINCE, {"since": since})
        return statements.to_cents(row["spent"]) or 0

    async def derive_key(self, caller: str, fingerprint: str) -> str:
        """The idempotency key of the next call that asks for this.

        Should a failover lose its row, the same call has the same key again, and the provider
        gives it the same task.
        """
        values = {"caller": caller, "fingerprint": fingerprint}
        rows = await self._rows(statements.COUNT_CALLS, values)
        calls = rows[0]["calls"] if rows else 0
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{caller} {fingerprint} {calls}"))

    async def count_wrong_budgets(self) -> int:
        """How many counters of what a day costs are not the sum of its calls: none, ever."""
        [row] = await self._rows(statements.WRONG_BUDGETS, {})
        return row["wrong"]

    async def intervals(
        self, model: str, output_resolution: str | None, limit: int
    ) -> list[tuple[float, float]]:
        values = {"model": model, "output_resolution": output_resolution, "limit": limit}
        rows = await self._rows(statements.INTERVALS, values)
        return [each for row in reversed(rows) if (each := statements.to_interval(row))]

    async def upload(self, caller: str, sha256: str) -> str | None:
        values = {"caller": caller, "sha256": sha256, "now": self.now()}
        rows = await self._rows(statements.UPLOAD, values)
        return rows[0]["url"] if rows else None

    async def record_upload(self, caller: str, sha256: str, url: str, expires_at: float) -> None:
        values = {"caller": caller, "sha256": sha256, "url": url, "expires_at": expires_at}
        await self._database.repeat(
            lambda transaction: transaction.run(statements.RECORD_UPLOAD, values)
        )

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _rows(self, sql: LiteralString, values: Values) -> list[Row]:
        return await self._database.repeat(lambda transaction: transaction.rows(sql, values))

    async def _entries(self, sql: LiteralString, values: Values) -> list[Entry]:
        return [statements.to_entry(row) for row in await self._rows(sql, values)]

    async def _joinable(self, wanted: Entry, use: Use, came_at: float) -> list[Entry] | None:
        return await self._database.repeat(
            lambda transaction: find_joinable(wanted, use, came_at, self.now(), transaction)
        )

    async def _insert(self, wanted: Call, allow: Allow, transaction: LedgerTransaction) -> None:
        now, first = self.now(), wanted[0]
        await let_lapse(first.caller, now, transaction)
        today = await money_of(first.caller, self._day_since(now), now, transaction)
        is_new = not await transaction.rows(statements.BY_KEY, {"key": first.key})
        allow(today, is_new)
        for entry in wanted:
            await transaction.run(statements.INSERT, statements.to_row(entry))

    def _day_of(self, entry: Entry, known: Entry) -> float:
        """The day whose budget a picture counts on that is told of: on each, while intended."""
        if entry.status == "intended":
            return math.inf
        made_at = known.made_at or entry.made_at or known.begun_at
        return day_of(max(known.begun_at, made_at), self._zone)[0]

    def _day_since(self, now: float) -> float:
        return day_of(now, self._zone)[0]


async def _nothing(_: LedgerTransaction) -> None:
    """There is nothing to be told of what was done."""
