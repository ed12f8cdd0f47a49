"""What calls leave behind is collected while it is little, whatever else goes away meanwhile."""

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import pytest

from runapi_mcp.base.garbage import CALLS_BETWEEN
from tests.support.world import world

pytestmark = pytest.mark.anyio

ROUNDS = 3


@contextmanager
def collections_asked_for() -> Generator[list[int]]:
    """The generations of those collections that do not come by themselves."""
    seen = list[int]()

    def note(phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.disable()
    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)
        gc.enable()


async def test_each_so_many_calls_their_garbage_is_collected() -> None:
    async with world() as there:
        with collections_asked_for() as seen:
            for calls in range(1, ROUNDS * CALLS_BETWEEN + 1):
                await there.call("check_pricing", {})
                assert seen == [0] * (calls // CALLS_BETWEEN)
