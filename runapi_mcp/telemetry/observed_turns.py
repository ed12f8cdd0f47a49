"""The turns of a key, with how long each request waited for its own."""

from collections.abc import Callable
from typing import Protocol

import anyio

from runapi_mcp.base.measures import PACE_PAUSES, PACE_QUEUE, PACE_SECONDS


class KeyTurns(Protocol):
    """As the provider has them."""

    async def wait_turn(self, *, pays: bool, urgency: Callable[[], float] | None) -> None: ...

    def pause(self, seconds: float) -> None: ...


class ObservedTurns:
    def __init__(self, turns: KeyTurns) -> None:
        self._turns = turns

    async def wait_turn(self, *, pays: bool, urgency: Callable[[], float] | None) -> None:
        kind, began = "pays" if pays else "reads", anyio.current_time()
        PACE_QUEUE.add(1, kind=kind)
        try:
            await self._turns.wait_turn(pays=pays, urgency=urgency)
        finally:
            PACE_QUEUE.add(-1, kind=kind)
            PACE_SECONDS.record(anyio.current_time() - began, kind=kind)

    def pause(self, seconds: float) -> None:
        PACE_PAUSES.add(1)
        self._turns.pause(seconds)
