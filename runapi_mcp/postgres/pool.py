"""Connections to a database: made when they are needed, kept for the next who needs one."""

import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple, cast

import anyio
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.clock import DatabaseClock
from runapi_mcp.postgres.database_failures import (
    DATABASE_FAILURES,
    CommitLost,
    NoneFree,
    NotReached,
    is_lost,
)

DatabaseSession = AsyncConnection[DictRow]

MOST_CONNECTIONS: Final = 10
TRANSACTION_SECONDS: Final = 12.0
"""How long a transaction may take in all, from the wait for a connection to its end."""
_IDLE_SECONDS: Final = 3.0
"""How long a connection that was kept may take to answer, before another is made."""

# What is not said in the address. Silence on the way is noticed by the kernel within seconds.
_DEFAULTS: Final[Mapping[str, str]] = {
    "application_name": "runapi-mcp",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
}

# With the transaction itself, because a pooler between may give each another connection. What the
# one locks whose client is gone, the others get before they give up. A database that answers before
# it has written is told to write all the same.
_BEGIN: Final = """
    BEGIN;
    SELECT extract(epoch FROM clock_timestamp())::float8 AS now,
        set_config('idle_in_transaction_session_timeout', '5s', true),
        set_config('lock_timeout', '8s', true), set_config('statement_timeout', '10s', true),
        set_config('synchronous_commit', replace(
            current_setting('synchronous_commit'), 'off', 'on'), true)"""
_NOT_DURABLE: Final = "SET LOCAL synchronous_commit = off"


class PoolUse(NamedTuple):
    size: int
    used: int
    idle: int
    waiting: int


class PostgresPool:
    """One for each server and database."""

    def __init__(
        self,
        url: SecretStr,
        size: int = MOST_CONNECTIONS,
        transaction_seconds: float = TRANSACTION_SECONDS,
    ) -> None:
        self.clock = DatabaseClock()
        self._url = url
        self._size = size
        self._transaction_seconds = transaction_seconds
        self._places = anyio.Semaphore(size)
        self._idle: list[DatabaseSession] = []
        self._reached_at = -math.inf
        self._missed: tuple[float, Exception] = (-math.inf, TimeoutError())
        """When a connection was last asked for in vain, and why in vain."""

    @property
    def use(self) -> PoolUse:
        used = self._size - self._places.value
        return PoolUse(self._size, used, len(self._idle), self._places.statistics().tasks_waiting)

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncGenerator[DatabaseSession]:
        """A transaction, committed at the end of the block. What has begun, no cancellation ends.

        Raises:
            CommitLost: nobody can tell whether it was committed.
            DATABASE_FAILURES: it cannot be made; nothing of it was committed.
        """
        with anyio.CancelScope(shield=True), anyio.fail_after(self._transaction_seconds):
            async with self._place(), self._begun() as connection:
                if not durable:
                    await connection.execute(_NOT_DURABLE)
                yield connection

    async def aclose(self) -> None:
        self._drop_idle()

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        came_at = anyio.current_time()
        try:
            await self._places.acquire()
        except anyio.get_cancelled_exc_class() as deadline:
            raise NoneFree from deadline
        try:
            self._require_reachable(came_at)
            yield
        finally:
            self._places.release()

    def _require_reachable(self, since: float) -> None:
        """Who waits for a place learns from those before: else each would find out for himself."""
        missed_at, error = self._missed
        if self._reached_at < since < missed_at:
            raise NotReached from error

    @asynccontextmanager
    async def _begun(self) -> AsyncGenerator[DatabaseSession]:
        connection = await self._begin()
        try:
            yield connection
        except Exception as error:
            await self._roll_back(connection, error)
            raise
        else:
            await _commit(connection)
        finally:
            self._put_back(connection)

    async def _begin(self) -> DatabaseSession:
        if self._idle:
            with suppress(*DATABASE_FAILURES), anyio.fail_after(_IDLE_SECONDS):
                return await self._begin_on(self._idle.pop())
            # Those that were made before it are most likely gone as well.
            self._drop_idle()
        try:
            return await self._begin_on(await connect(self._url))
        except DATABASE_FAILURES as error:
            self._missed = anyio.current_time(), error
            raise

    async def _begin_on(self, connection: DatabaseSession) -> DatabaseSession:
        asked = self.clock.ticks()
        try:
            cursor = await connection.execute(_BEGIN)
            cursor.nextset()
            row = cast("DictRow", await cursor.fetchone())
        except BaseException:
            connection.pgconn.finish()
            raise
        self.clock.tell(row["now"], asked)
        self._reached_at = anyio.current_time()
        return connection

    async def _roll_back(self, connection: DatabaseSession, error: Exception) -> None:
        if is_lost(error):
            self._drop_idle()
        with suppress(*DATABASE_FAILURES), anyio.fail_after(_IDLE_SECONDS):
            await connection.rollback()

    def _put_back(self, connection: DatabaseSession) -> None:
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            # The server rolls back what its client leaves.
            connection.pgconn.finish()

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.pgconn.finish()


async def connect(url: SecretStr) -> DatabaseSession:
    """A connection of one's own, on which each statement is a transaction."""
    given = conninfo_to_dict(url.get_secret_value())
    connection = await AsyncConnection.connect(
        make_conninfo("", **{**_DEFAULTS, **given}),
        autocommit=True,
        # Behind a pooler the next transaction may meet a server that knows of no statement.
        prepare_threshold=None,
    )
    connection.row_factory = dict_row  # pyright: ignore[reportAttributeAccessIssue] - rows of tuples until here
    return cast("DatabaseSession", connection)


async def _commit(connection: DatabaseSession) -> None:
    try:
        await connection.execute("COMMIT")
    except anyio.get_cancelled_exc_class() as deadline:
        raise CommitLost from deadline
    except DATABASE_FAILURES as error:
        if is_lost(error):
            raise CommitLost from error
        raise
