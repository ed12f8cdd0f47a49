"""A ledger's file, opened at its first use, and only read where it cannot be written. Blocks."""

import logging
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from runapi_mcp.orders.ledger.sqlite.database import Database, LockTimeout, Replaced
from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN, trouble_of, unusable

logger = logging.getLogger(__name__)

_TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.05
"""Other servers open it anew as well, and one may meet what another has not finished."""
_Done = TypeVar("_Done")


@dataclass(slots=True)
class OpenLedger:
    database: Database
    is_tidy: bool = False
    """Whether old calls have been seen to since it was opened."""

    def close(self) -> None:
        self.database.close()


class LedgerFile:
    def __init__(self, locate: Callable[[], Path | None]) -> None:
        self._locate = locate
        self._open: OpenLedger | None = None
        self._lock_timeout = LockTimeout()

    def use(self, block: Callable[[OpenLedger], _Done]) -> _Done:
        """What a block makes of it. It is run again where its file was replaced under it.

        Raises:
            LedgerUnusable: the ledger cannot be opened, read or written.
            NotConfigured: nobody can tell where it is.
        """
        path = self._locate()
        try:
            for _ in range(_TRIES - 1):
                with suppress(Replaced):
                    return self._use_at(path, block)
                time.sleep(_PAUSE_SECONDS)
            return self._use_at(path, block)
        except BROKEN as error:
            if trouble_of(error, path) == "locked":
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
            # What is written there would not be found again.
            logger.warning("the ledger %s was moved or deleted while in use: opened anew", path)
            self._open.database.abandon()
            self._open = None
        if self._open is None:
            self._open = OpenLedger(Database.open(path, self._lock_timeout))
        return self._open

    def _opened_to_read(self, path: Path) -> OpenLedger:
        return OpenLedger(Database.open_to_read(path, self._lock_timeout))
