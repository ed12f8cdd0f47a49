"""Why a ledger cannot be used, and what mends that."""

import errno
import sqlite3
from pathlib import Path
from typing import Final

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.orders.ledger.sqlite.database import NewerVersion, OnlyRead

BROKEN: Final = (sqlite3.Error, OSError, NewerVersion, OnlyRead)
"""What says that the ledger cannot be used."""

_OFF: Final = "or set RUNAPI_LEDGER=off to pay without a ledger."
_LOCKED: Final = (
    "Call again in a minute. If it stays locked, end the program that has it open: a database "
    "viewer, a backup, a server that hangs."
)
_NEWER: Final = f"Update this one (`uvx runapi-mcp@latest install`), {_OFF}"
_READ_ONLY: Final = f"Let this user write the file and its folder, {_OFF}"
_DISK: Final = f"Free space on its disk, mend the disk, {_OFF}"
_DAMAGED: Final = (
    f"Move the file away, {_OFF} A new ledger begins the day's budget anew, and does not know "
    "which pictures were undelivered or in doubt."
)
_IN_THE_WAY: Final = f"Set RUNAPI_LEDGER to the absolute path of a file that can be made, {_OFF}"

# SQLite's other codes say that the file is no ledger, or not a whole one.
_BY_CODE: Final = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_FULL: _DISK,
    sqlite3.SQLITE_IOERR: _DISK,
    sqlite3.SQLITE_CANTOPEN: _IN_THE_WAY,
}
_BY_NUMBER: Final = {
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.EROFS: _READ_ONLY,
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EFBIG: _DISK,
    errno.EIO: _DISK,
}


def unusable(path: Path | None, error: Exception) -> LedgerUnusable:
    ledger = f"The ledger {path}" if path else "The ledger"
    happened = f"{ledger} cannot be used ({error}), and nothing is paid without it."
    return LedgerUnusable(happened, _advice(error))


def is_locked(error: Exception) -> bool:
    """Whether another program keeps the ledger to itself."""
    return _advice(error) is _LOCKED


def _advice(error: Exception) -> str:
    match error:
        case NewerVersion():
            return _NEWER
        case sqlite3.Error():
            return _BY_CODE.get(_primary_code(error), _DAMAGED)
        case OSError(errno=int(number)):
            return _BY_NUMBER.get(number, _IN_THE_WAY)
        case _:
            return _IN_THE_WAY


def _primary_code(error: sqlite3.Error) -> int:
    # Python's own module raises some without a code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
