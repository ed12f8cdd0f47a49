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
    def __init__(self, background: Background, unheard: Callable[[Value], None]) -> None:
        """`unheard` is told a result that nobody waited for until it came."""
        self._background = background
        self._unheard = unheard
        self._flights: dict[str, _Flight[Value]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._flights

    async def wait(self, key: str, work: Callable[[], Awaitable[Value]], seconds: float) -> Value:
        """What the work gives, or raises.

        It goes on when the time is over. It is cancelled once all who waited have left before.

        Raises:
            TimeoutError: it goes on.
        """
        deadline = anyio.current_time() + seconds
        flight, is_new = self._flights.get(key), key not in self._flights
        if flight is None:
            self._flights[key] = flight = _Flight[Value]()
        flight.waiting += 1
        try:
            if is_new and not self._background.start(lambda: self._fly(key, flight, work)):
                await self._fly(key, flight, work)
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
        if flight.result is not None:
            return flight.result
        if flight.scope.cancelled_caught:
            # All others had left before this one came.
            return await self.wait(key, work, deadline - anyio.current_time())
        raise TimeoutError

    async def _fly(
        self, key: str, flight: _Flight[Value], work: Callable[[], Awaitable[Value]]
    ) -> None:
        try:
            with flight.scope:
                flight.result = await work()
                if flight.waiting == 0:
                    self._unheard(flight.result)
        except Exception as error:  # noqa: BLE001 - it is raised to whoever waits
            flight.error = error
        finally:
            del self._flights[key]
            flight.over.set()
