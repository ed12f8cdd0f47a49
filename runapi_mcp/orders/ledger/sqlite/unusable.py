"""Why a ledger cannot be used, and what mends that."""

import errno
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, Literal

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.base.printable import printable_path
from runapi_mcp.orders.ledger.sqlite.database import NewerVersion, OnlyRead, Replaced, RowGone

BROKEN: Final = (sqlite3.Error, OSError, NewerVersion, OnlyRead, Replaced, RowGone)

Trouble = Literal[
    "locked", "no locks", "replaced", "newer", "read-only", "disk", "damaged", "in the way"
]
"""What keeps a ledger from being used. `in the way`: at its place there is no file, nor can be."""

_OFF: Final = "or set RUNAPI_LEDGER=off to pay without a ledger."
_ADVICE: Final[Mapping[Trouble, str]] = {
    "locked": (
        "Call again in a minute. If it stays locked, end the program that has it open: a database "
        "viewer, a backup, a server that hangs."
    ),
    "no locks": f"Set RUNAPI_LEDGER to the absolute path of a file on a local disk, {_OFF}",
    "replaced": (
        "Call again. If that does not help, end the other servers that have the old one open: "
        "restart their hosts."
    ),
    "newer": f"Update this one (`uvx runapi-mcp@latest install`), {_OFF}",
    "read-only": f"Let this user write the file and its folder, {_OFF}",
    "disk": f"Free space on its disk, mend the disk, {_OFF}",
    "damaged": (
        f"Move the file away, {_OFF} A new ledger begins the day's budget anew, and does not know "
        "which pictures were undelivered or in doubt."
    ),
    "in the way": f"Set RUNAPI_LEDGER to the absolute path of a file that can be made, {_OFF}",
}

_BY_WHOLE_CODE: Final[Mapping[int, Trouble]] = {
    sqlite3.SQLITE_IOERR_LOCK: "no locks",
    sqlite3.SQLITE_IOERR_RDLOCK: "no locks",
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK: "no locks",
    sqlite3.SQLITE_IOERR_SHMLOCK: "no locks",
    # A WAL that was deleted while in use: its pages are looked for in an empty one.
    sqlite3.SQLITE_IOERR_SHORT_READ: "replaced",
}
_REASONS: Final[Mapping[Trouble, str]] = {
    "no locks": "its file system does not lock files",
    "replaced": str(Replaced()),
}
# SQLite's other codes say that the file is no ledger, or not a whole one.
_BY_CODE: Final[Mapping[int, Trouble]] = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PERM: "read-only",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_FULL: "disk",
    sqlite3.SQLITE_IOERR: "disk",
    sqlite3.SQLITE_CANTOPEN: "in the way",
}
_LOCK_NUMBERS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_BY_NUMBER: Final[Mapping[int, Trouble]] = {
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
    errno.EROFS: "read-only",
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.EFBIG: "disk",
    errno.EIO: "disk",
    errno.ENOLCK: "no locks",
}


def unusable(path: Path | None, error: Exception) -> LedgerUnusable:
    ledger = f"The ledger {printable_path(path)}" if path else "The ledger"
    trouble = trouble_of(error, path)
    # SQLite calls all of these an I/O error.
    reason = _REASONS.get(trouble, error) if isinstance(error, sqlite3.Error) else error
    happened = f"{ledger} cannot be used ({reason}), and nothing is paid without it."
    return LedgerUnusable(happened, _ADVICE[trouble])


def trouble_of(error: Exception, path: Path | None = None) -> Trouble:
    """What an error, one of `BROKEN`, says of the ledger at a path."""
    match error:
        case NewerVersion():
            return "newer"
        case Replaced() | RowGone():
            return "replaced"
        case sqlite3.Error():
            trouble = _trouble_by_code(error)
            # Some file systems without locks say so in the words of one that is locked.
            return "no locks" if trouble == "locked" and not _locks_files(path) else trouble
        case OSError(errno=int(number)):
            return _BY_NUMBER.get(number, "in the way")
        case _:
            return "in the way"


def _trouble_by_code(error: sqlite3.Error) -> Trouble:
    # Python's own module raises some without a code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return _BY_WHOLE_CODE.get(code) or _BY_CODE.get(code & 0xFF, "damaged")


def _locks_files(path: Path | None) -> bool:
    """Whether the file system there locks files at all; True where that cannot be tried."""
    if sys.platform == "win32" or path is None:
        return True
    import fcntl

    try:
        # A file of its own: whoever closes the ledger's loses all locks on it.
        with TemporaryFile(dir=path.parent) as tried:
            fcntl.lockf(tried, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _LOCK_NUMBERS
    return True
