"""Why a ledger cannot be used, and what mends that."""

import errno
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.orders.ledger.sqlite.database import NewerVersion, OnlyRead, RowGone

BROKEN: Final = (sqlite3.Error, OSError, NewerVersion, OnlyRead, RowGone)

Trouble = Literal["locked", "newer", "read-only", "disk", "damaged", "in the way"]
"""What keeps a ledger from being used. `in the way`: at its place there is no file, nor can be."""

_OFF: Final = "or set RUNAPI_LEDGER=off to pay without a ledger."
_ADVICE: Final[Mapping[Trouble, str]] = {
    "locked": (
        "Call again in a minute. If it stays locked, end the program that has it open: a database "
        "viewer, a backup, a server that hangs."
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
_BY_NUMBER: Final[Mapping[int, Trouble]] = {
    errno.EACCES: "read-only",
    errno.EPERM: "read-only",
    errno.EROFS: "read-only",
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.EFBIG: "disk",
    errno.EIO: "disk",
}


def unusable(path: Path | None, error: Exception) -> LedgerUnusable:
    ledger = f"The ledger {path}" if path else "The ledger"
    happened = f"{ledger} cannot be used ({error}), and nothing is paid without it."
    return LedgerUnusable(happened, _ADVICE[trouble_of(error)])


def trouble_of(error: Exception) -> Trouble:
    """What an error says of the ledger; one of `BROKEN`, or a home that cannot be found."""
    match error:
        case NewerVersion():
            return "newer"
        case sqlite3.Error():
            return _BY_CODE.get(_primary_code(error), "damaged")
        case OSError(errno=int(number)):
            return _BY_NUMBER.get(number, "in the way")
        case _:
            return "in the way"


def _primary_code(error: sqlite3.Error) -> int:
    # Python's own module raises some without a code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
