"""Places that are held: no more than there are, and what goes first goes first."""

import anyio
import pytest

from runapi_mcp.base.places import Places

pytestmark = pytest.mark.anyio


async def hold(places: Places, gone: list[str], name: str, *, first: bool = False) -> None:
    async with places.hold(name[0], first=first):
        gone.append(name)
        await anyio.sleep(1)


async def test_what_goes_first_goes_before_all_that_wait() -> None:
    places, gone = Places(1), list[str]()
    async with anyio.create_task_group() as group:
        for name in ("a1", "a2", "a3"):
            group.start_soon(hold, places, gone, name)
        await anyio.sleep(0.5)
        async with places.hold(first=True):
            assert gone == ["a1"]
    assert gone == ["a1", "a2", "a3"]


async def test_a_holder_with_its_share_keeps_nobody_else_waiting() -> None:
    places, gone = Places(3, per_holder=2), list[str]()
    async with anyio.create_task_group() as group:
        for name in ("a1", "a2", "a3", "a4", "b1"):
            group.start_soon(hold, places, gone, name)
        await anyio.sleep(0.5)
        assert gone == ["a1", "a2", "b1"]
    assert gone == ["a1", "a2", "b1", "a3", "a4"]


async def test_who_leaves_while_it_waits_takes_no_place_along() -> None:
    places, gone = Places(1), list[str]()
    async with anyio.create_task_group() as group:
        group.start_soon(hold, places, gone, "a1")
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(0.5):
            await hold(places, gone, "a2")
        with anyio.move_on_after(1):  # just when a place is there
            await hold(places, gone, "a3")
    with anyio.fail_after(5):
        await hold(places, gone, "a4")
