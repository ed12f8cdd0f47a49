"""One run of some work for each key, in the background, shared by all who wait for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from runapi_mcp.base.background import Background

Value = TypeVar("Value")


@dataclass(slots=True, eq=False)
class _Flight(Generic[Value]):
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: anyio.Event = field(default_factory=anyio.Event)
    waiting: int = 0
    result: Value | None = None
    error: Exception | None = None


class SingleFlight(Generic[Value]):
    def __init__(self, background: Background) -> None:
        self._background = background
        self._flights: dict[str, _Flight[Value]] = {}

    async def wait(self, key: str, work: Callable[[], Awaitable[Value]], seconds: float) -> Value:
        """What the work gives, or raises.

        It goes on when the time is over. It is cancelled once all who waited have left before.

        Raises:
            TimeoutError: it goes on.
        """
        flight = self._flights.get(key)
        if flight is None:
            self._flights[key] = flight = _Flight[Value]()
            if not self._background.start(lambda: self._fly(key, flight, work)):
                await self._fly(key, flight, work)
        flight.waiting += 1
        try:
            with anyio.fail_after(max(seconds, 0)):
                await flight.over.wait()
        except TimeoutError:
            raise
        except BaseException:
            if flight.waiting == 1:
                flight.scope.cancel()
            raise
        finally:
            flight.waiting -= 1
        if flight.error is not None:
            raise flight.error
        return flight.result  # pyright: ignore[reportReturnType] - set where there is no error

    async def _fly(
        self, key: str, flight: _Flight[Value], work: Callable[[], Awaitable[Value]]
    ) -> None:
        try:
            with flight.scope:
                flight.result = await work()
        except Exception as error:  # noqa: BLE001 - it is raised to whoever waits
            flight.error = error
        finally:
            del self._flights[key]
            flight.over.set()
