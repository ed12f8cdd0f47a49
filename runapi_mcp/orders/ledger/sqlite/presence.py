"""Which calls somebody attends to, and which processes are alive to do so.

A process is alive while it holds a lock that the system takes back when it dies. All of this is
used within the ledger's write transactions only. Otherwise a process that is just starting would
look dead, and one whose lock is just being tried would look alive.
"""

import os
import sqlite3
import uuid
from itertools import count
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

_SUFFIX: Final = ".alive"
_IN_MEMORY: Final = "memory"


class HeldCalls:
    """The holds of this process, and what is to be thought of those of others."""

    def __init__(self, ledger_path: Path | None) -> None:
        self._ledger_path = ledger_path
        self._presence: Presence | None = None
        self._held: set[str | None] = set()
        self._numbers = count(1)

    def is_free(self, row: sqlite3.Row, now: float) -> bool:
        """Whether nobody attends to a call: no hold, one that ran out, or one of the dead."""
        hold, until = row["holder"], row["held_until"]
        if hold is None or (until is not None and until < now):
            return True
        process = hold.partition(":")[0]
        if process == self._process:
            return until is None and hold not in self._held
        return self._present is None or not self._present.is_alive(process)

    def take(self) -> str:
        """A new hold, until it is let go or this process dies."""
        hold = self.new()
        self._held.add(hold)
        return hold

    def new(self) -> str:
        return f"{self._process}:{next(self._numbers)}"

    def let_go(self, hold: str | None) -> None:
        self._held.discard(hold)

    def close(self) -> None:
        """Be dead to the others."""
        if self._presence is not None:
            self._presence.leave()

    @property
    def _process(self) -> str:
        return self._present.id if self._present else _IN_MEMORY

    @property
    def _present(self) -> "Presence | None":
        """This process among the others, from the first write on; None where there are none."""
        path = self._ledger_path
        if self._presence is None and path is not None:
            self._presence = Presence(path.with_name(f"{path.name}.d"))
        return self._presence


class Presence:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for trace in folder.glob(f"*{_SUFFIX}"):
            self.is_alive(trace.stem)
        self._lock = self._lock_of(self.id)
        self._lock.acquire(blocking=False)

    def is_alive(self, process: str) -> bool:
        """Whether that process still runs; the trace of one that does not is removed."""
        path = self._folder / f"{process}{_SUFFIX}"
        if process == self.id or not path.exists():
            return process == self.id
        lock = self._lock_of(process)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        lock.release()
        return False

    def leave(self) -> None:
        self._lock.release()

    def _lock_of(self, process: str) -> FileLock:
        path = self._folder / f"{process}{_SUFFIX}"
        return FileLock(path, mode=0o600, thread_local=False)
