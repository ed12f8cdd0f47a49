"""Looks while the process is busy: later, the likeliest first, and after what answers and pays."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing, asynccontextmanager
from itertools import pairwise

import anyio
import pytest

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.look_budget import (
    CALM_SECONDS,
    LEAST_EVERY_SECONDS,
    LONGEST_DELAY_SECONDS,
    MOST_IN_HAND,
    MOST_IN_PAYMENT,
    PAYING_IN_A_ROW,
    LookBudget,
)
from runapi_mcp.orders.shared_state import MOST_KNOWN_CALLERS, SharedState
from tests.support.virtual_time import hold_loop
from tests.support.world import facts, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"


async def be_busy(seconds: float = 2 * CALM_SECONDS) -> None:
    """Never let the loop come round sooner."""
    while True:
        hold_loop(seconds)
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def busy_loop() -> AsyncGenerator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(be_busy)
        yield
        group.cancel_scope.cancel()


async def looks_of(budget: LookBudget, chances: list[float]) -> list[float]:
    """The chances of looks that wait at once, in the order of their turns."""
    gone: list[float] = []

    async def look(chance: float) -> None:
        await budget.wait_to_look(lambda: chance)
        gone.append(chance)

    async with anyio.create_task_group() as group:
        for chance in chances:
            group.start_soon(look, chance)
    return gone


async def test_while_the_loop_lags_the_likeliest_end_is_looked_for_first() -> None:
    chances = [number * 17 % 40 / 40 for number in range(40)]
    async with busy_loop():
        gone = await looks_of(LookBudget(), chances)
    assert gone == sorted(chances, reverse=True)


async def test_an_unlikely_end_is_looked_for_although_likelier_ones_keep_coming() -> None:
    budget, waited = LookBudget(), list[float]()

    async def look_on(chance: float) -> None:
        while True:
            started = anyio.current_time()
            await budget.wait_to_look(lambda: chance)
            if chance == 0.0:
                waited.append(anyio.current_time() - started)

    async with busy_loop(), anyio.create_task_group() as group:
        for chance in [0.0, *[0.9] * 20]:
            group.start_soon(look_on, chance)
        await anyio.sleep(10 * LONGEST_DELAY_SECONDS)
        group.cancel_scope.cancel()
    assert len(waited) >= 8
    assert max(waited) < LONGEST_DELAY_SECONDS + 5


async def test_some_looks_go_out_however_long_the_loop_is_busy() -> None:
    times: list[float] = []

    async def look_on(budget: LookBudget) -> None:
        while True:
            await budget.wait_to_look(lambda: 0.5)
            times.append(anyio.current_time())

    async with busy_loop(), anyio.create_task_group() as group:
        group.start_soon(look_on, LookBudget())
        await anyio.sleep(10)
        group.cancel_scope.cancel()
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert all(LEAST_EVERY_SECONDS <= gap <= 3 * LEAST_EVERY_SECONDS for gap in gaps)


async def test_what_pays_goes_before_looks_but_does_not_shut_them_out() -> None:
    budget, gone = LookBudget(), list[str]()

    async def look() -> None:
        await budget.wait_to_look(lambda: 0.9)
        gone.append("look")

    async def pay() -> None:
        async with budget.paying("one"):
            gone.append("pay")

    async with busy_loop(), anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(look)
        for _ in range(2 * PAYING_IN_A_ROW):
            group.start_soon(pay)
    in_turn = [*["pay"] * PAYING_IN_A_ROW, "look"]
    assert gone == [*in_turn, *in_turn, "look", "look"]


async def test_of_many_calls_that_pay_so_many_begin_and_others_seldom_before_those_have_paid() -> (
    None
):
    budget, begun = LookBudget(), list[float]()

    async def pay(number: int) -> None:
        async with budget.paying(f"payer {number}"):
            begun.append(anyio.current_time())
            await anyio.sleep(10)

    async with anyio.create_task_group() as group:
        for number in range(MOST_IN_PAYMENT + 20):
            group.start_soon(pay, number)
        await anyio.sleep(1)
        assert MOST_IN_PAYMENT + 9 <= len(begun) <= MOST_IN_PAYMENT + 11
        # Looks do not wait for them.
        started = anyio.current_time()
        await budget.wait_to_look(lambda: 0.5)
        assert anyio.current_time() - started < LEAST_EVERY_SECONDS


async def test_looks_wait_while_the_ledger_is_behind_with_what_others_saw() -> None:
    budget = LookBudget()
    with ExitStack() as behind:
        for _ in range(MOST_IN_HAND + 1):
            behind.enter_context(budget.taking_in())
        await budget.wait_to_look(lambda: 0.5)
        started = anyio.current_time()
        await budget.wait_to_look(lambda: 0.5)
        assert anyio.current_time() - started == pytest.approx(LEAST_EVERY_SECONDS, abs=0.02)


async def test_a_calm_loop_looks_as_often_as_it_may_and_no_oftener() -> None:
    started = anyio.current_time()
    await looks_of(LookBudget(per_second=50), [0.5] * 101)
    assert anyio.current_time() - started == pytest.approx(100 / 50)


async def test_who_leaves_while_it_waits_stops_nobody() -> None:
    budget, gone = LookBudget(per_second=1), list[int]()

    async def look(number: int, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await budget.wait_to_look(lambda: 0.5)
            gone.append(number)

    async with anyio.create_task_group() as group:
        for number, seconds in enumerate([60, 0.5, 60, 0.5, 60]):
            group.start_soon(look, number, seconds)
    assert sorted(gone) == [0, 2, 4]


async def test_a_wait_is_told_that_looks_are_fewer_and_has_its_picture_all_the_same() -> None:
    async with world() as w, busy_loop(), anyio.create_task_group() as group:
        for number in range(30):
            prompt = f"{number} foxes [[takes 20s]]"
            group.start_soon(w.call, DRAW, {"prompt": prompt, "wait_seconds": 120})
        result = await w.call(DRAW, {"prompt": "a fox [[takes 20s]]", "wait_seconds": 120})
        assert facts(result)["status"] == "completed"
        assert any(words.endswith("; busy: looking less often") for _, words in w.progress)


async def test_a_wait_in_a_calm_process_hears_nothing_of_being_busy() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[takes 20s]]"})
        assert not any("busy" in words for _, words in w.progress)


async def test_a_task_that_is_woken_is_looked_at_now() -> None:
    shared: list[SharedState] = []
    async with world(shares=shared.append) as w, anyio.create_task_group() as group:
        asked = {"prompt": "a fox [[takes 3s]]", "wait_seconds": 60}
        group.start_soon(w.call, DRAW, asked)
        await anyio.sleep(3)
        [tracked] = shared[0].tracked.values()
        tracked.wake()
        await anyio.sleep(0.001)
        assert tracked.task.ended


async def test_only_so_many_callers_are_remembered_by_when_their_doubts_were_looked_for() -> None:
    async with aclosing(SqliteLedger.in_memory()) as ledger:
        shared = SharedState(ledger)
        callers = [f"caller {number}" for number in range(MOST_KNOWN_CALLERS + 1)]
        assert all(shared.begin_reconciling(caller, 60) for caller in callers)
        assert not shared.begin_reconciling(callers[-1], 60)
        assert not shared.begin_reconciling(callers[1], 60)
        assert shared.begin_reconciling(callers[0], 60)
