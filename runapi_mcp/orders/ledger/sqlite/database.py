"""The ledger's file: its schema, its migrations, its transactions. Blocks; knows no money."""

import errno
import os
import sqlite3
import stat
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE calls (
        key TEXT PRIMARY KEY,
        caller TEXT NOT NULL,
        model TEXT NOT NULL,
        output_resolution TEXT,
        fingerprint TEXT NOT NULL,
        arguments TEXT,
        price_cents REAL,
        status TEXT NOT NULL,
        task_id TEXT,
        image_urls TEXT NOT NULL DEFAULT '[]',
        files TEXT NOT NULL DEFAULT '[]',
        cost_cents REAL,
        error TEXT,
        sandbox INTEGER NOT NULL DEFAULT 0,
        holder TEXT,
        held_until REAL,
        begun_at REAL NOT NULL,
        made_at REAL,
        ended_at REAL,
        running_seconds REAL,
        drawn_seconds REAL,
        delivered_at REAL
    ) WITHOUT ROWID;
    CREATE INDEX calls_by_time ON calls (caller, begun_at);
    CREATE INDEX calls_by_task ON calls (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX calls_by_age ON calls (begun_at);
    CREATE INDEX calls_drawn ON calls (model, output_resolution, ended_at)
        WHERE drawn_seconds IS NOT NULL;
    CREATE INDEX calls_undelivered ON calls (caller, fingerprint, begun_at)
        WHERE delivered_at IS NULL AND status NOT IN ('failed', 'refused', 'lost');
    CREATE INDEX calls_open ON calls (begun_at)
        WHERE delivered_at IS NULL AND status NOT IN ('failed', 'refused', 'lost');
    CREATE INDEX calls_in_doubt ON calls (caller, begun_at) WHERE status = 'intended';
    """,
    """
    ALTER TABLE calls ADD COLUMN save_as TEXT;
    ALTER TABLE calls ADD COLUMN sources TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE calls ADD COLUMN ready INTEGER NOT NULL DEFAULT 1;
    CREATE TABLE uploads (
        caller TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        url TEXT NOT NULL,
        expires_at REAL NOT NULL,
        PRIMARY KEY (caller, sha256)
    ) WITHOUT ROWID;
    """,
    """
    DROP INDEX calls_by_time;
    CREATE INDEX calls_by_time
        ON calls (caller, begun_at, made_at, status, cost_cents, price_cents);
    """,
    """
    CREATE TABLE pictures (
        key TEXT PRIMARY KEY,
        caller TEXT NOT NULL,
        model TEXT NOT NULL,
        output_resolution TEXT,
        fingerprint TEXT NOT NULL,
        call_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        count INTEGER NOT NULL,
        arguments TEXT,
        request TEXT,
        ready INTEGER NOT NULL,
        sources TEXT NOT NULL,
        save_as TEXT,
        price_cents REAL,
        status TEXT NOT NULL,
        task_id TEXT,
        image_urls TEXT NOT NULL,
        files TEXT NOT NULL DEFAULT '[]',
        file_hashes TEXT NOT NULL DEFAULT '[]',
        cost_cents REAL,
        error TEXT,
        sandbox INTEGER NOT NULL,
        begun_at REAL NOT NULL,
        made_at REAL,
        ended_at REAL,
        running_seconds REAL,
        drawn_seconds REAL,
        sent_at REAL,
        open_sends INTEGER NOT NULL DEFAULT 0,
        sends_out INTEGER NOT NULL DEFAULT 0,
        unanswered INTEGER NOT NULL DEFAULT 0,
        handed_over_at REAL,
        settled_at REAL
    ) WITHOUT ROWID;
    INSERT INTO pictures
        SELECT key, caller, model, output_resolution, fingerprint, key, 1, 1, arguments, NULL,
            ready, sources, save_as, price_cents, status, task_id, image_urls, files,
            '[]', cost_cents, error, sandbox, begun_at, made_at, ended_at, running_seconds,
            drawn_seconds,
            CASE WHEN status = 'intended' AND ready THEN begun_at END,
            status = 'intended' AND ready, 0, status = 'intended' AND ready, delivered_at,
            CASE WHEN status IN ('failed', 'refused', 'lost') THEN coalesce(ended_at, begun_at)
                 ELSE delivered_at END
        FROM calls;
    DROP TABLE calls;
    ALTER TABLE pictures RENAME TO calls;
    CREATE INDEX calls_by_time
        ON calls (caller, begun_at, made_at, status, cost_cents, price_cents);
    CREATE INDEX calls_made_late ON calls (caller, made_at) WHERE made_at - begun_at > 86400;
    CREATE INDEX calls_by_task ON calls (task_id) WHERE task_id IS NOT NULL;
    CREATE INDEX calls_by_call ON calls (call_id, number);
    CREATE INDEX calls_by_age ON calls (begun_at);
    CREATE INDEX calls_alike ON calls (caller, fingerprint, settled_at);
    CREATE INDEX calls_unsettled ON calls (caller, handed_over_at) WHERE settled_at IS NULL;
    CREATE INDEX calls_undelivered ON calls (begun_at)
        WHERE settled_at IS NULL AND handed_over_at IS NULL;
    CREATE INDEX calls_running ON calls (begun_at)
        WHERE status IN ('intended', 'pending', 'processing', 'unknown');
    CREATE INDEX calls_in_doubt ON calls (caller, sent_at) WHERE status = 'intended';
    CREATE INDEX calls_drawn ON calls (model, output_resolution, ended_at)
        WHERE drawn_seconds IS NOT NULL;
    CREATE TABLE forgetting (before REAL NOT NULL, proposed_at REAL NOT NULL);
    """,
    """
    ALTER TABLE calls ADD COLUMN originals TEXT NOT NULL DEFAULT '[]';
    """,
)
"""What leads from each version of the schema to the next. Never changed, only added to."""

VERSION: Final = len(MIGRATIONS)

LOCK_MILLISECONDS: Final = 5_000
SHORT_LOCK_MILLISECONDS: Final = 250

_MOVE_WAL: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
_File = tuple[int, int] | None
_Files = tuple[_File, _File, _File]


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
        self._files: _Files | None = None
        self._is_writable = False
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
            _clear_leftovers(path)
            _make_private(path)
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
        return self._files == _files(self.path) and self.version() == VERSION

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
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
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
        self._files = _files(self.path)

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
        if None in _files(self.path):
            raise Replaced
        if _size(beside(self.path, "wal")) == 0:
            _, pages, _ = self._connection.execute("PRAGMA wal_checkpoint").fetchone()
            if pages > 0 and _size(beside(self.path, "wal")) == 0:
                raise Replaced

    def _require_current(self) -> None:
        if self._files is not None and not self.is_current:
            raise Replaced

    def _require_files(self, error: BaseException) -> None:
        """Nothing, unless its files were replaced, which makes errors of every kind."""
        is_replaced = self._files is not None and self._files != _files(self.path)
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
        now = _files(self.path)
        if self._files is None or self.path is None or self._files[0] != now[0]:
            return False
        wal, shm = now[1:]
        is_unbegun = wal is None or _size(beside(self.path, "wal")) == 0
        return (is_unbegun or wal == self._files[1]) and shm in (None, self._files[2])

    def _require_version(self) -> None:
        version = self.version()
        if version > VERSION:
            raise NewerVersion
        if version < VERSION:
            raise OnlyRead

    def _set_lock_timeout(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {self._lock_timeout.milliseconds}")

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
    return _connected(_address(path), uri=True)


def _address(path: Path) -> str:
    """The URI that reads a file and leaves no trace beside it."""
    # Beside a file that is being written lie its new pages, in a WAL or a journal. Without them
    # there is nothing to share, and SQLite is told so: it would else make a WAL to read.
    is_shared = any(_size(beside(path, side)) for side in ("wal", "journal"))
    return f"{path.as_uri()}?mode=ro{'' if is_shared else '&immutable=1'}"


def beside(path: Path, side: str) -> Path:
    return path.with_name(f"{path.name}-{side}")


def _size(path: Path) -> int:
    """Its bytes; 0 also of what is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(path: Path | None) -> _Files:
    """What tells a ledger's file, its WAL and its shared memory from others of their names.

    Nobody takes them away while a server has them open, unless by hand.
    """
    if path is None:
        return None, None, None
    # Nothing is left of what was emptied.
    main = _identity(path) if _size(path) else None
    return main, _identity(beside(path, "wal")), _identity(beside(path, "shm"))


def _identity(path: Path) -> _File:
    """What tells a file from another one of its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _clear_leftovers(path: Path) -> None:
    """Take away what lies beside a file that was deleted or emptied while in use.

    A server that has it still open would else keep its locks on it. Beside a file that is just
    being made there is no shared memory yet.
    """
    shared = beside(path, "shm")
    if shared.exists() and not _size(path):
        for leftover in (path, beside(path, "wal"), shared):
            leftover.unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    """A folder and a file that only their user can read; SQLite's side files follow the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        mode = os.fstat(descriptor).st_mode
        # A path such as /dev/null is nobody's to close.
        if not stat.S_ISREG(mode):
            raise FileExistsError(errno.EEXIST, "It is no regular file", str(path))
        if os.name == "posix" and mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
