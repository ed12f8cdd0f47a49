"""The process that serves: its memory at the start, its end in time."""

import gc
import os
import sys
import threading
from typing import Final

LEAVE_SECONDS: Final = 0.8
"""How long the work in hand may take once the end has come. A paid request is shielded from
cancelling, so without a limit it would keep the process."""


_FULL_COLLECTIONS_EVERY: Final = 1_000
"""Collections of what is younger; Python's own number is 10."""


def settle_memory() -> None:
    """Keep the collector away from what start-up made: all of it stays to the end.

    A full collection looks at all that all waits hold, which is half a second for two thousand, and
    finds next to nothing: what a call leaves is young.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _FULL_COLLECTIONS_EVERY)
    gc.enable()
    gc.freeze()


def allow_files(wanted: int) -> int:
    """How many files this process may have open: as many as wanted, if the system lets it."""
    if sys.platform == "win32":
        return wanted
    # Imported here, because Windows has none.
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed in range(wanted):
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return wanted if allowed == resource.RLIM_INFINITY else allowed


def leave_soon(seconds: float = LEAVE_SECONDS) -> None:
    """End the process shortly, whatever still runs."""
    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def leave() -> None:
    """End the process now, without waiting for its threads."""
    try:
        # None where the process was started without a stderr, whatever its type says.
        getattr(sys.stderr, "flush", bool)()
    finally:
        os._exit(0)
