"""What a ledger's file holds, told without a trace, also while servers write it. Blocks."""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.database import Database, LockTimeout
from runapi_mcp.orders.ledger.sqlite.ledger_files import beside
from runapi_mcp.orders.ledger.sqlite.migrations import VERSION
from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN, Trouble, trouble_of

_LOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class LedgerSurvey:
    """What was found in a ledger's file, or what keeps it from being used."""

    calls: int = 0
    in_doubt: int = 0
    """Calls without a task, those that are under way just now among them."""
    undelivered: int = 0
    version: int = 0
    """Of its schema. An older one is brought up to date by the next server that writes."""
    trouble: Trouble | None = None


def survey(path: Path) -> LedgerSurvey:
    """Looks at the ledger at a path, which is left as it is."""
    found = _look_at(path)
    for _ in range(_LOOKS - 1):
        # Somebody may have written what was just being read, or be about to let go of it.
        if found.trouble not in ("damaged", "locked", "replaced"):
            break
        found = _look_at(path)
    return found


def _look_at(path: Path) -> LedgerSurvey:
    if path.is_file() and not _can_be_written(path):
        return LedgerSurvey(trouble="read-only")
    # SQLite makes the one after the other, and takes them away the other way round.
    if beside(path, "shm").exists() and not beside(path, "wal").exists():
        return LedgerSurvey(trouble="replaced")
    try:
        with closing(Database.open_as_is(path, _short_timeout())) as database:
            return _count(database)
    except BROKEN as error:
        return LedgerSurvey(trouble=trouble_of(error, path))


def _can_be_written(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.R_OK | os.W_OK, effective_ids=effective)


def _count(database: Database) -> LedgerSurvey:
    version = database.version()
    # A file that is no database says so here at the latest.
    database.rows("SELECT count(*) FROM sqlite_master", {})
    if version > VERSION:
        return LedgerSurvey(version=version, trouble="newer")
    if version == 0:
        return LedgerSurvey()
    if version < VERSION:
        [row] = database.rows(queries.COUNT, {})
        return LedgerSurvey(row["calls"], version=version)
    [row] = database.rows(queries.COUNT_BY_FATE, {})
    return LedgerSurvey(row["calls"], row["in_doubt"], row["undelivered"], version)


def _short_timeout() -> LockTimeout:
    timeout = LockTimeout()
    timeout.shorten()
    return timeout
