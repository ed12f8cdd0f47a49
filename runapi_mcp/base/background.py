"""Work that outlives the call that began it, and ends with the server."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup


class Background:
    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing that was started still runs."""
        return not self._under_way

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """While it lasts, work can be started; at its end, what still runs is cancelled."""
        errors: list[Exception] = []
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - out of the group it would come as a group
                errors.append(error)
            finally:
                self._group = None
                group.cancel_scope.cancel()
        for error in errors:
            raise error

    def start(self, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Whether the work was started: not in a program that serves nobody. It must not raise."""
        if self._group is not None:
            self._group.start_soon(self._run, work)
        return self._group is not None

    async def _run(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._under_way += 1
        try:
            await work()
        finally:
            self._under_way -= 1
