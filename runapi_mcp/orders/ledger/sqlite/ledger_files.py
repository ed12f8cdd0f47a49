"""The ledger's file and what SQLite keeps beside it, as the disk has them. Blocks."""

import errno
import os
import stat
from functools import lru_cache
from pathlib import Path

_FileId = tuple[int, int] | None
FileIds = tuple[_FileId, _FileId, _FileId]
"""Of the file, its WAL and its shared memory."""


@lru_cache(maxsize=16)
def beside(path: Path, side: str) -> Path:
    return path.with_name(f"{path.name}-{side}")


def size_bytes(path: Path) -> int:
    """Its bytes; 0 also of what is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def file_ids(path: Path | None) -> FileIds:
    """What tells a ledger's file, its WAL and its shared memory from others of their names.

    Nobody takes them away while a server has them open, unless by hand.
    """
    if path is None:
        return None, None, None
    # Nothing is left of what was emptied.
    main = _file_id(path, least_bytes=1)
    return main, _file_id(beside(path, "wal")), _file_id(beside(path, "shm"))


def read_only_uri(path: Path) -> str:
    """The URI that reads a file and leaves no trace beside it."""
    # Beside a file that is being written lie its new pages, in a WAL or a journal. Without them
    # there is nothing to share, and SQLite is told so: it would else make a WAL to read.
    is_shared = any(size_bytes(beside(path, side)) for side in ("wal", "journal"))
    return f"{path.as_uri()}?mode=ro{'' if is_shared else '&immutable=1'}"


def clear_leftovers(path: Path) -> None:
    """Take away what lies beside a file that was deleted or emptied while in use.

    A server that has it still open would else keep its locks on it. Beside a file that is just
    being made there is no shared memory yet.
    """
    shared = beside(path, "shm")
    if shared.exists() and not size_bytes(path):
        for leftover in (path, beside(path, "wal"), shared):
            leftover.unlink(missing_ok=True)


def make_private(path: Path) -> None:
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


def _file_id(path: Path, least_bytes: int = 0) -> _FileId:
    """What tells a file from another one of its name; None where there is none so large."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size >= least_bytes else None
