"""An event loop whose time passes only when nobody has anything to do: waiting costs nothing."""

import asyncio
import selectors
import threading
from collections.abc import Mapping
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that, instead of waiting for a timer, moves the loop's time to it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            # Only a thread or a socket can go on, in real time; each wakes the loop.
            return super().select()
        if _threads_are_at_work() or self._waits_for_a_network():
            # A thread that a loop before this one has left wakes nobody as it ends.
            return super().select(min(timeout, 0.05))
        self.now += timeout
        return []

    def _waits_for_a_network(self) -> bool:
        """Whether somebody waits for a socket, besides the loop for its own threads and signals."""
        return len(self.get_map() or ()) > 1


def _threads_are_at_work() -> bool:
    """Whether one of anyio's threads has something to do."""
    workers = [thread for thread in threading.enumerate() if hasattr(thread, "idle_workers")]
    return any(worker not in getattr(worker, "idle_workers", ()) for worker in workers)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`loop.time()` starts at 0 and jumps to the next timer whenever all tasks wait."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def hold(self, seconds: float) -> None:
        """Let time pass as while something computes that does not let go of the loop."""
        self._jumping.now += seconds


def hold_loop(seconds: float) -> None:
    """Compute for so long, in virtual time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.hold(seconds)


BACKEND: tuple[str, Mapping[str, Any]] = ("asyncio", {"loop_factory": VirtualTimeLoop})
"""The anyio backend for tests in one process; sockets need the ordinary one."""
