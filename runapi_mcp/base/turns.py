"""Waiting for a turn. One of those that wait calls the others, so that no task has to be kept."""

from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar

import anyio

Waiter = TypeVar("Waiter")


class Turns(Generic[Waiter]):
    def __init__(self, choose: Callable[[Collection[Waiter]], Awaitable[Waiter | None]]) -> None:
        """`choose` returns once a turn has come, with whose it is, or None to be asked again."""
        self._choose = choose
        self._waiting: dict[Waiter, anyio.Event] = {}
        self._caller: Waiter | None = None

    async def wait(self, waiter: Waiter) -> None:
        """Return at its turn."""
        self._waiting[waiter] = anyio.Event()
        try:
            while waiter in self._waiting:
                await self._wait_or_call(waiter)
        finally:
            self._leave(waiter)

    async def _wait_or_call(self, waiter: Waiter) -> None:
        if self._caller in (None, waiter):
            self._caller = waiter
            chosen = await self._choose(self._waiting.keys())
            if chosen is not None:
                self._waiting.pop(chosen).set()
            return
        await self._waiting[waiter].wait()
        if waiter in self._waiting:
            # It was woken to call the others.
            self._waiting[waiter] = anyio.Event()

    def _leave(self, waiter: Waiter) -> None:
        """Wait no more, and let another one call."""
        self._waiting.pop(waiter, None)
        if self._caller is waiter:
            self._caller = None
            for woken in self._waiting.values():
                woken.set()
                break
