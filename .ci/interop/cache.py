"""What was fetched once: directories that are whole or not there at all."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

AS_OF = "2026-11-20"
"""What packages depend on is taken as of this day: a stranger's release cannot break our CI."""


def cached(cache: Path, contents: str, fill: Callable[[Path], None]) -> Path:
    """The directory that `fill` filled with these contents; moved into place when complete."""
    complete = cache / hashlib.sha256(contents.encode()).hexdigest()[:16]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # Whoever holds this is bounded by its fetching, and its death frees the lock.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.is_dir():
            for abandoned in cache.glob("partial-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            partial = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
            fill(partial)
            partial.rename(complete)
    return complete
