"""Transactions of the ledger: made again where they were lost, and never made twice."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, LiteralString, TypeVar

import anyio
import psycopg.errors

from runapi_mcp.orders.ledger.entry import Entry
from runapi_mcp.orders.ledger.postgres import statements
from runapi_mcp.orders.ledger.postgres.statements import Row, Values
from runapi_mcp.orders.ledger.postgres.tables import LEDGER_TABLES
from runapi_mcp.orders.ledger.postgres.unusable_database import (
    UNUSABLE,
    RowMissing,
    ledger_unusable,
)
from runapi_mcp.postgres.database_failures import CommitLost, is_lost
from runapi_mcp.postgres.pool import DatabaseSession, PostgresPool
from runapi_mcp.postgres.schemas import require_current

OUTAGE_SECONDS: Final = 1.0
"""How long a call waits for a database that is away. It asks once more where a COMMIT was lost."""
_PAUSE_SECONDS: Final = 0.1
_AGAIN: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)

_Done = TypeVar("_Done")
Block = Callable[["LedgerTransaction"], Awaitable[_Done]]


class LedgerTransaction:
    def __init__(self, session: DatabaseSession) -> None:
        self._session = session

    async def rows(self, sql: LiteralString, values: Values) -> list[Row]:
        cursor = await self._session.execute(sql, values)
        return list(await cursor.fetchall())

    async def first(self, sql: LiteralString, values: Values) -> Row:
        """
        Raises:
            RowMissing: there is none.
        """
        rows = await self.rows(sql, values)
        if not rows:
            raise RowMissing
        return rows[0]

    async def entries(self, sql: LiteralString, values: Values) -> list[Entry]:
        return [statements.to_entry(row) for row in await self.rows(sql, values)]

    async def stream(self, sql: LiteralString) -> AsyncGenerator[Row]:
        """The rows, of which few are held at a time."""
        async with self._session.cursor("stream") as cursor:
            await cursor.execute(sql)
            async for row in cursor:
                yield row

    async def run(self, sql: LiteralString, values: Values) -> int:
        """How many rows it changed."""
        return (await self._session.execute(sql, values)).rowcount

    async def lock(self, caller: str) -> None:
        """Until the transaction ends, nobody else writes of this caller's pictures."""
        values = {"caller": caller}
        while not await self.rows(statements.LOCK, values):
            await self.run(statements.MAKE_LOCK, values)

    async def lock_of(self, owner: LiteralString, values: Values) -> None:
        """The same for the caller of a picture or a call.

        Raises:
            RowMissing: there is no such thing.
        """
        await self.lock((await self.first(owner, values))["caller"])


class LedgerDatabase:
    """Every failure of the database comes out as `LedgerUnusable`."""

    def __init__(self, pool: PostgresPool, now: Callable[[], float]) -> None:
        self._pool = pool
        self._now = now
        self._is_known = False

    async def repeat(self, block: Block[_Done]) -> _Done:
        """What a block gives that reads, or writes what is no other the second time."""
        return await self._until_done(lambda _: self._transact(block, durable=False))

    async def write(
        self,
        lock: Block[None],
        change: Block[_Done],
        look: Block[_Done],
        *,
        durable: bool = True,
    ) -> _Done:
        """What `change` gives, once it is committed.

        It runs under the lock, and again where its transaction was lost. Where only the answer to
        the COMMIT was, `look` gives the same without changing anything. Who asks under the lock
        hears the truth: whatever still went on with the first try has ended by then.
        """
        mark = {"id": uuid.uuid4(), "now": self._now()}

        async def attempt(may_be_done: bool) -> _Done:  # noqa: FBT001 - as `_until_done` calls it
            async def block(transaction: LedgerTransaction) -> _Done:
                await lock(transaction)
                if may_be_done and await transaction.rows(statements.COMMITTED, mark):
                    return await look(transaction)
                await transaction.run(statements.MARK_COMMIT, mark)
                return await change(transaction)

            return await self._transact(block, durable=durable)

        return await self._until_done(attempt)

    async def _transact(self, block: Block[_Done], *, durable: bool) -> _Done:
        if not self._is_known:
            await require_current(self._pool, [LEDGER_TABLES])
            self._is_known = True
        async with self._pool.transaction(durable=durable) as session:
            return await block(LedgerTransaction(session))

    async def _until_done(self, attempt: Callable[[bool], Awaitable[_Done]]) -> _Done:
        until = anyio.current_time() + OUTAGE_SECONDS
        may_be_done = False
        while True:
            try:
                return await attempt(may_be_done)
            except (*UNUSABLE, CommitLost) as error:
                is_new_doubt = isinstance(error, CommitLost) and not may_be_done
                may_be_done = may_be_done or is_new_doubt
                is_late = anyio.current_time() >= until and not is_new_doubt
                if is_late or not _is_worth_another_try(error):
                    raise ledger_unusable(error) from error
            await anyio.sleep(_PAUSE_SECONDS)


def _is_worth_another_try(error: Exception) -> bool:
    return isinstance(error, (CommitLost, *_AGAIN)) or is_lost(error)
