"""Changes of what is written of a picture or a call, each under the lock of its caller."""

from collections.abc import Awaitable, Callable, Sequence
from typing import LiteralString

from runapi_mcp.orders.ledger.entry import Entry
from runapi_mcp.orders.ledger.postgres import statements
from runapi_mcp.orders.ledger.postgres.ledger_database import LedgerDatabase, LedgerTransaction
from runapi_mcp.orders.ledger.postgres.statements import Values

Statement = tuple[LiteralString, Values]


class PictureChanges:
    """Each raises `LedgerUnusable` where there is no such thing any more."""

    def __init__(self, database: LedgerDatabase, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    async def of_picture(self, key: str, values: Values, changes: Sequence[LiteralString]) -> Entry:
        """The picture after these statements, which have its key, its call and the time."""

        async def change(transaction: LedgerTransaction) -> Entry:
            first = await transaction.first(statements.BY_KEY, {"key": key})
            row = {"call_id": first["call_id"], "key": key, "now": self._now(), **values}
            for sql in changes:
                await transaction.run(sql, row)
            return await picture_of(key, transaction)

        return await self.by(key, change)

    async def by(self, key: str, change: Callable[[LedgerTransaction], Awaitable[Entry]]) -> Entry:
        """The picture, as `change` gives it."""

        async def look(transaction: LedgerTransaction) -> Entry:
            return await picture_of(key, transaction)

        lock = lock_by(statements.LOCK_OF_PICTURE, {"key": key})
        return await self._database.write(lock, change, look)

    async def of_call(self, call_id: str, changes: Sequence[Statement]) -> list[Entry]:
        """The call after these statements."""

        async def change(transaction: LedgerTransaction) -> list[Entry]:
            for sql, values in changes:
                await transaction.run(sql, values)
            return await look(transaction)

        async def look(transaction: LedgerTransaction) -> list[Entry]:
            return await transaction.entries(statements.BY_CALL, {"call_id": call_id})

        lock = lock_by(statements.LOCK_OF_CALL, {"call_id": call_id})
        return await self._database.write(lock, change, look)


async def picture_of(key: str, transaction: LedgerTransaction) -> Entry:
    return statements.to_entry(await transaction.first(statements.BY_KEY, {"key": key}))


def lock_by(sql: LiteralString, values: Values) -> Callable[[LedgerTransaction], Awaitable[None]]:
    """The lock of the caller whose picture or call it is; `RowMissing` where it is nobody's."""

    async def lock(transaction: LedgerTransaction) -> None:
        await transaction.first(sql, values)

    return lock
