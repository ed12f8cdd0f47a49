"""The waits of a process for its tasks: each has its own end, and all end when it is to leave."""

from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Waits:
    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._are_over = False

    def end(self) -> None:
        """End those under way and all to come: what they wait for goes on, and others can ask."""
        self._are_over = True
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def up_to(self, seconds: float) -> Generator[None]:
        """What is done in this context is broken off at the end of the wait."""
        with anyio.move_on_after(0 if self._are_over else seconds) as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)
