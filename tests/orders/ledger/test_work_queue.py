"""The ledger's work: in one trip to the thread what has queued up, and each to whoever wants it."""

import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest

from runapi_mcp.orders.ledger.sqlite.ledger import run_in_thread
from runapi_mcp.orders.ledger.sqlite.work_queue import TRIP_SECONDS, WorkQueue

pytestmark = pytest.mark.anyio

Trips = list[int]
"""How much was done by the end of each."""


@pytest.fixture
def anyio_backend() -> str:
    """Threads need real time."""
    return "asyncio"


def counting(done: list[str], trips: Trips) -> Callable[[Callable[[], object]], Awaitable[object]]:
    async def run(block: Callable[[], object]) -> object:
        result = await run_in_thread(block)
        trips.append(len(done))
        return result

    return run


async def test_what_queues_up_during_a_trip_goes_along_in_the_next() -> None:
    done, trips, may_go = list[str](), Trips(), threading.Event()
    queue = WorkQueue(counting(done, trips))

    def wait() -> None:
        may_go.wait()
        # Longer than a trip takes anything more along.
        threading.Event().wait(2 * TRIP_SECONDS)
        done.append("first")

    async with anyio.create_task_group() as group:
        group.start_soon(queue.do, wait)
        await anyio.wait_all_tasks_blocked()
        for number in range(20):
            group.start_soon(queue.do, lambda number=number: done.append(str(number)))
        await anyio.wait_all_tasks_blocked()
        may_go.set()
    assert done == ["first", *map(str, range(20))]
    assert len(trips) < 20


async def test_what_goes_first_goes_before_what_waits() -> None:
    done, may_go = list[str](), threading.Event()
    queue = WorkQueue(run_in_thread)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.do, may_go.wait)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(queue.do, lambda: done.append("late"))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(lambda: queue.do(lambda: done.append("first"), first=True))
        await anyio.wait_all_tasks_blocked()
        may_go.set()
    assert done == ["first", "late"]


async def test_an_error_is_raised_to_whoever_asked_and_to_nobody_else() -> None:
    queue, results = WorkQueue(run_in_thread), list[object]()

    async def divide(by: int) -> None:
        try:
            results.append(await queue.do(lambda: 6 // by))
        except ZeroDivisionError:
            results.append("error")

    async with anyio.create_task_group() as group:
        for by in (3, 0, 2):
            group.start_soon(divide, by)
    assert sorted(map(str, results)) == ["2", "3", "error"]


async def test_who_leaves_before_its_turn_has_nothing_done_and_stops_nobody() -> None:
    done, may_go = list[str](), threading.Event()
    queue = WorkQueue(run_in_thread)
    async with anyio.create_task_group() as group:
        group.start_soon(queue.do, may_go.wait)
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as leaving:
            leaving.cancel()
            await queue.do(lambda: done.append("left"))
        group.start_soon(queue.do, lambda: done.append("stayed"))
        await anyio.wait_all_tasks_blocked()
        may_go.set()
    assert done == ["stayed"]
    assert await queue.do(lambda: 7) == 7
