"""A ledger's file, opened at its first use, and only read where it cannot be written. Blocks."""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from runapi_mcp.orders.ledger.sqlite.database import Database, LockTimeout
from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN, trouble_of, unusable

_Done = TypeVar("_Done")


@dataclass(slots=True)
class OpenLedger:
    database: Database
    tidy_at: float = 0.0
    """When old calls are to be forgotten next."""

    def close(self) -> None:
        self.database.close()


class LedgerFile:
    def __init__(self, locate: Callable[[], Path | None]) -> None:
        self._locate = locate
        self._open: OpenLedger | None = None
        self._lock_timeout = LockTimeout()

    def use(self, block: Callable[[OpenLedger], _Done]) -> _Done:
        """
        Raises:
            LedgerUnusable: the ledger cannot be opened, read or written.
        """
        path: Path | None = None
        try:
            path = self._locate()
            return self._use_at(path, block)
        # RuntimeError: a home that cannot be found.
        except (*BROKEN, RuntimeError) as error:
            if trouble_of(error) == "locked":
                self._lock_timeout.shorten()
            raise unusable(path, error) from error

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _use_at(self, path: Path | None, block: Callable[[OpenLedger], _Done]) -> _Done:
        try:
            opened = self._opened(path)
        except BROKEN:
            if path is not None:
                with suppress(*BROKEN), closing(self._opened_to_read(path)) as readable:
                    return block(readable)
            raise
        return block(opened)

    def _opened(self, path: Path | None) -> OpenLedger:
        if self._open is not None and not self._open.database.is_current:
            # Moved away or deleted: what is written there would not be found again.
            self.close()
        if self._open is None:
            self._open = OpenLedger(Database.open(path, self._lock_timeout))
        return self._open

    def _opened_to_read(self, path: Path) -> OpenLedger:
        return OpenLedger(Database.open_to_read(path, self._lock_timeout))
