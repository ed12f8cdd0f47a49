"""The ledger's file as it is open: its transactions, and whether it is still the one that others
open. Blocks; knows no money.
"""

import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

from runapi_mcp.orders.ledger.sqlite.ledger_files import (
    FileIds,
    beside,
    clear_leftovers,
    file_ids,
    make_private,
    read_only_uri,
    size_bytes,
)
from runapi_mcp.orders.ledger.sqlite.migrations import MIGRATIONS, VERSION

LOCK_MILLISECONDS: Final = 5_000
SHORT_LOCK_MILLISECONDS: Final = 250

_MOVE_WAL: Final = "PRAGMA wal_checkpoint(TRUNCATE)"


class NewerVersion(Exception):
    def __init__(self) -> None:
        super().__init__("a newer runapi-mcp wrote it")


class OnlyRead(Exception):
    """What was opened for reading would have to be written."""


class Replaced(Exception):
    """The files that are open are no longer those that others open."""

    def __init__(self) -> None:
        super().__init__("it was moved or deleted while in use")


class RowGone(Exception):
    """What was to be updated is not there."""

    def __init__(self) -> None:
        super().__init__("the call is no longer in it: it was replaced while in use")


class LockTimeout:
    """How long this process waits for another one's lock.

    Full, until a wait was in vain; then short for a while, as one call needs several locks.
    """

    def __init__(self) -> None:
        self._short_until = 0.0

    @property
    def milliseconds(self) -> int:
        is_short = monotonic() < self._short_until
        return SHORT_LOCK_MILLISECONDS if is_short else LOCK_MILLISECONDS

    def shorten(self) -> None:
        self._short_until = monotonic() + LOCK_MILLISECONDS / 1000


class Database:
    def __init__(
        self, connection: sqlite3.Connection, path: Path | None, lock_timeout: LockTimeout
    ) -> None:
        self.path = path
        self._connection = connection
        self._lock_timeout = lock_timeout
        self._files: FileIds | None = None
        self._is_writable = False
        self._pragmas: dict[str, str | int] = {}
        connection.row_factory = sqlite3.Row

    @classmethod
    def open(cls, path: Path | None, lock_timeout: LockTimeout | None = None) -> "Database":
        """The ledger at a path, made or brought up to date if need be; None is one in memory.

        Raises:
            NewerVersion: its schema is not known here.
            Replaced: others still write what was moved or deleted.
            sqlite3.Error, OSError: it cannot be used.
        """
        if path is not None:
            clear_leftovers(path)
            make_private(path)
        database = cls(_connected(str(path or ":memory:")), path, lock_timeout or LockTimeout())
        with database._closed_if_broken():
            database._settle_in()
        return database

    @classmethod
    def open_to_read(cls, path: Path, lock_timeout: LockTimeout) -> "Database":
        """The ledger at a path as it is, for this moment: what is written later may be missed.

        Raises:
            NewerVersion, OnlyRead: it is no file with the schema of this version.
            sqlite3.Error, OSError: it cannot be read.
        """
        database = cls(_connected_to_read(path), path, lock_timeout)
        with database._closed_if_broken():
            database._require_version()
        return database

    @classmethod
    def open_as_is(cls, path: Path, lock_timeout: LockTimeout) -> "Database":
        """As `open_to_read`, with whatever schema it has.

        Raises:
            OnlyRead: it is no file.
            sqlite3.Error, OSError: it cannot be read.
        """
        database = cls(_connected_to_read(path), path, lock_timeout)
        database._set_lock_timeout()
        return database

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def abandon(self) -> None:
        """Close what is not current, and save from it what nobody else could.

        Raises:
            Replaced: not yet, because another process is at it.
        """
        with suppress(sqlite3.Error):
            if self._is_alone and self._connection.execute(_MOVE_WAL).fetchone()[0]:
                raise Replaced
        with suppress(sqlite3.Error), self._kept_open():
            self.close()
        self.close()

    @property
    def is_current(self) -> bool:
        """Whether others who open the ledger now open this one."""
        return self._files == file_ids(self.path) and self.version() == VERSION

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Generator[sqlite3.Connection]:
        """The only writer while it lasts; on the disk at its end, if durable.

        Raises:
            OnlyRead: it was opened to be read. SQLite itself would not tell before the first write.
            Replaced: nobody else will find what was written; it may be written again.
        """
        if not self._is_writable:
            raise OnlyRead
        self._set_lock_timeout()
        self._set("synchronous", "FULL" if durable else "NORMAL")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._require_current()
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException as error:
            # A full disk may have rolled back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._require_files(error)
            raise
        # What was replaced meanwhile took the transaction with it.
        self._require_current()

    def write(
        self,
        sql: str,
        parameters: Mapping[str, object],
        *,
        durable: bool = True,
    ) -> None:
        with self.transaction(durable=durable) as connection:
            connection.execute(sql, parameters)

    def rows(self, sql: str, parameters: Mapping[str, object]) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            self._require_files(error)
            raise

    def version(self) -> int:
        """The version of its schema; 0 where it has none yet."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _settle_in(self) -> None:
        self._is_writable = True
        self._set_lock_timeout()
        # What is forgotten shall not stay on the disk.
        self._connection.execute("PRAGMA secure_delete = ON")
        self._bring_up_to_date()
        # Readers never wait for a writer. Where a file system has no WAL, or another server uses
        # the file just now, SQLite keeps its default.
        with suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._require_whole()
        self._files = file_ids(self.path)

    def _bring_up_to_date(self) -> None:
        if self.version() == VERSION:
            return
        with self.transaction() as connection:
            version = self.version()
            if version > VERSION:
                raise NewerVersion
            for migration in MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")

    def _require_whole(self) -> None:
        """Nothing, if the WAL here is the one that others write, whose length all of them share."""
        [mode] = self._connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal" or self.path is None:
            return
        self.version()  # whoever reads first opens the WAL
        if None in file_ids(self.path):
            raise Replaced
        if size_bytes(beside(self.path, "wal")) == 0:
            _, pages, _ = self._connection.execute("PRAGMA wal_checkpoint").fetchone()
            if pages > 0 and size_bytes(beside(self.path, "wal")) == 0:
                raise Replaced

    def _require_current(self) -> None:
        if self._files is not None and not self.is_current:
            raise Replaced

    def _require_files(self, error: BaseException) -> None:
        """Nothing, unless its files were replaced, which makes errors of every kind."""
        is_replaced = self._files is not None and self._files != file_ids(self.path)
        if is_replaced and isinstance(error, Exception):
            raise Replaced from error

    @contextmanager
    def _kept_open(self) -> Generator[None]:
        """While this is closed, another connection has the file.

        The last one to close it writes and deletes what lies beside it, by name; by now that may be
        others'. One that can only read does neither.
        """
        uri = f"{self.path.as_uri()}?mode=ro" if self.path else ":memory:"
        with closing(_connected(uri, uri=True)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master")
            yield

    @property
    def _is_alone(self) -> bool:
        """Whether what this connection has open is all there is, with nobody begun anew."""
        now = file_ids(self.path)
        if self._files is None or self.path is None or self._files[0] != now[0]:
            return False
        wal, shm = now[1:]
        is_unbegun = wal is None or size_bytes(beside(self.path, "wal")) == 0
        return (is_unbegun or wal == self._files[1]) and shm in (None, self._files[2])

    def _require_version(self) -> None:
        version = self.version()
        if version > VERSION:
            raise NewerVersion
        if version < VERSION:
            raise OnlyRead

    def _set_lock_timeout(self) -> None:
        self._set("busy_timeout", self._lock_timeout.milliseconds)

    def _set(self, pragma: str, value: str | int) -> None:
        """Have this connection so, if it is not yet: each time costs as much as a query."""
        if self._pragmas.get(pragma) != value:
            self._connection.execute(f"PRAGMA {pragma} = {value}")
            self._pragmas[pragma] = value

    @contextmanager
    def _closed_if_broken(self) -> Generator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise


def _connected(name: str, *, uri: bool = False) -> sqlite3.Connection:
    # One call at a time, but not always from the same thread.
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False, uri=uri)


def _connected_to_read(path: Path) -> sqlite3.Connection:
    # A pipe would be waited for.
    if not path.is_file():
        raise OnlyRead
    return _connected(read_only_uri(path), uri=True)
