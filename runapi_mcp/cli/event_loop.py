"""The event loop of a command."""

import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

Outcome = TypeVar("Outcome")


def run_interruptible(work: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """What the work comes to; Ctrl-C ends it at any moment."""
    return anyio.run(_run_wakeable, work)


async def _run_wakeable(work: Callable[[], Awaitable[Outcome]]) -> Outcome:
    if sys.platform == "win32":  # where every signal wakes the loop
        return await work()
    # Elsewhere each does once the loop receives one, whichever. Otherwise a SIGINT that came just
    # before the loop waits, or to another thread, would be noticed only at the end of that wait.
    with anyio.open_signal_receiver(signal.SIGWINCH):
        return await work()
