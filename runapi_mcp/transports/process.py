"""The process that serves: how many files it may have open, and its end in time."""

import os
import sys
import threading
from typing import Final

LEAVE_SECONDS: Final = 0.8
"""How long the work in hand may take once the end has come. A paid request is shielded from
cancelling, so without a limit it would keep the process."""


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
