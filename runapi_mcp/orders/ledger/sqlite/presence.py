"""Which processes are alive: each holds a lock that the system takes back when it dies."""

import os
import uuid
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

_SUFFIX: Final = ".alive"


class Presence:
    """This process among those that share a ledger.

    Used within the ledger's write transactions only. Otherwise a process that is just starting
    would look dead, and one whose lock is just being tried would look alive.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.id = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for trace in folder.glob(f"*{_SUFFIX}"):
            self.alive(trace.stem)
        self._lock = _lock(self._path(self.id))
        self._lock.acquire(blocking=False)

    def alive(self, holder: str) -> bool:
        """Whether that process still runs; the trace of one that does not is removed."""
        path = self._path(holder)
        if holder == self.id or not path.exists():
            return holder == self.id
        lock = _lock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        lock.release()
        return False

    def leave(self) -> None:
        """Be dead to the others from now on."""
        self._lock.release()

    def _path(self, holder: str) -> Path:
        return self._folder / f"{holder}{_SUFFIX}"


def _lock(path: Path) -> FileLock:
    return FileLock(path, mode=0o600, thread_local=False)
