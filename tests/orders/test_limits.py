"""The user's limits on money: checked and reserved before it moves, settled by what was charged."""

import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskStatus
from mcp import Client

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.ledger.sqlite.ledger import run_in_place
from runapi_mcp.orders.limits import Limits
from runapi_mcp.sandbox.app import Sandbox
from tests.support.world import ERAS, KEY, World, client_of, clock, facts, said, world

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
DRAW, DEAR = "flux_2_pro_text_to_image", "flux_2_max_text_to_image"
UNPRICED = {"prompt": "a fox", "aspect_ratio": "1:1"}
"""For the variant whose price only the live list tells."""
TASK_ID = "5e30607a-954f-4c26-800b-9c33eb9d0255"
SERVERS = 8


def on_disk(path: Path) -> aclosing[SqliteLedger]:
    """A ledger's file, as one process has it open."""
    return aclosing(SqliteLedger(lambda: path, clock=clock, run=run_in_place))


async def left(w: World) -> float | None:
    """What is left of the day's budget."""
    return facts(await w.call("check_pricing")).get("left_today_cents")


@ERA
async def test_a_call_dearer_than_one_call_may_be_is_refused_and_sends_nothing(era: str) -> None:
    async with world(era=era, limits=Limits(per_call_cents=5)) as w:
        refused = await w.call(DRAW, {"prompt": "a fox", "output_resolution": "2k"})
        assert refused.is_error
        assert said(refused) == (
            "This call would cost more than one call may: limit $0.05, this call $0.07. Nothing "
            "was paid. Ask check_pricing for a cheaper call, or let the user raise "
            "RUNAPI_MAX_COST_PER_CALL."
        )
        assert w.wire.paths("POST") == []
        assert not (await w.call(DRAW, {"prompt": "a fox"})).is_error  # a limit may be reached


@ERA
async def test_a_call_over_the_days_budget_is_refused_with_the_sum_and_sends_nothing(
    era: str,
) -> None:
    async with world(era=era, limits=Limits(per_day_cents=14)) as w:
        await w.call(DRAW, {"prompt": "a fox"})
        await w.call(DRAW, {"prompt": "an owl [[never]]", "wait_seconds": 0})
        refused = await w.call(DRAW, {"prompt": "a hare"})
        assert refused.is_error
        assert said(refused) == (
            "This call would go over the day's budget: limit $0.14, spent $0.05, reserved $0.05, "
            "this call $0.05. Nothing was paid. Ask check_pricing for a cheaper call, wait until "
            "midnight, or let the user raise RUNAPI_DAILY_BUDGET."
        )
        assert len(w.wire.paths("POST")) == 2


@pytest.mark.parametrize("limits", [Limits(per_call_cents=5000), Limits(per_day_cents=5000)])
async def test_an_unknown_price_is_over_every_limit_that_is_set(limits: Limits) -> None:
    async with world(limits=limits) as w:
        w.sandbox.faults.inject("prices", "500", times=None)
        refused = await w.call(DEAR, UNPRICED)
        assert refused.is_error
        assert "this call unknown. Nothing was paid." in said(refused)
        assert w.wire.paths("POST") == []


async def test_without_limits_an_unknown_price_is_paid_and_nothing_is_said_of_limits() -> None:
    async with world() as w:
        w.sandbox.faults.inject("prices", "500", times=None)
        drawn = await w.call(DEAR, UNPRICED)
        assert facts(drawn)["status"] == "completed"
        again = await w.call("get_task", {"task_id": facts(drawn)["task_id"]})
        told = [await w.call(tool) for tool in ("check_pricing", "check_balance", "list_tasks")]
        assert all("left_today" not in said(result) for result in (drawn, again, *told))
        assert all("max_cost" not in said(result) for result in (drawn, again, *told))


@ERA
async def test_every_result_and_check_pricing_show_what_is_left(era: str) -> None:
    async with world(era=era, limits=Limits(per_call_cents=10, per_day_cents=12)) as w:
        assert await left(w) == 12
        drawn = await w.call(DRAW, {"prompt": "a fox"})
        task_id = facts(drawn)["task_id"]
        prices = await w.call("check_pricing")
        told = [
            drawn,
            prices,
            await w.call("get_task", {"task_id": task_id}),
            await w.call("check_balance"),
            await w.call("list_tasks"),
        ]
        assert [facts(result)["left_today_cents"] for result in told] == [7] * len(told)
        assert all("left_today_cents: 7 ($0.07)" in said(result) for result in told)
        assert facts(prices)["max_cost_per_call_cents"] == 10


@pytest.mark.parametrize(
    ("end", "left_cents"),
    [
        ("", 5),
        ("[[never]]", 5),
        ("[[created torn]]", 5),  # in doubt: it may have been charged
        ("[[429]]", 5),
        ("[[fail]]", 10),
        ("[[402]]", 10),
    ],
)
async def test_what_is_reserved_stays_until_it_is_known_that_nothing_is_charged(
    end: str, left_cents: float
) -> None:
    async with world(limits=Limits(per_day_cents=10)) as w:
        await w.call(DRAW, {"prompt": f"a fox {end}"})
        assert await left(w) == left_cents


@asynccontextmanager
async def made_up(ending: dict[str, Any], failing: bool = False) -> AsyncGenerator[Client]:  # noqa: FBT001, FBT002 - one test's word
    """A server with 20 cents for today, on a RunAPI that reserves 7 cents and ends tasks so."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            known = request.url.path.endswith(TASK_ID)
            return httpx.Response(200, json={"id": TASK_ID, **ending}) if known else unknown
        if failing:
            return httpx.Response(422, headers={"X-RunAPI-Task-Id": TASK_ID})
        reserved = {"reservation": {"amount_cents": 7}}
        return httpx.Response(202, json={"id": TASK_ID, "status": "pending", "billing": reserved})

    unknown = httpx.Response(404)
    async with client_of(answer, Limits(per_day_cents=20)) as host:
        yield host


IMAGE = {"images": [{"url": "https://cdn.example/fox.png"}]}


@pytest.mark.parametrize(
    ("ending", "left_cents"),
    [
        ({"status": "completed", **IMAGE, "usage": {"cost": 0.04}}, 16),
        ({"status": "completed", **IMAGE, "usage": {"cost": 0.0725}}, 12.75),
        ({"status": "completed", **IMAGE, "usage": {"cost": 0}}, 20),
        ({"status": "completed", **IMAGE}, 13),
        ({"status": "failed"}, 20),
        ({"status": "failed", "usage": {"cost": 0.02}}, 18),
    ],
)
async def test_the_reservation_is_runapis_own_and_the_recorded_charge_settles_it(
    ending: dict[str, Any], left_cents: float
) -> None:
    async with made_up(ending) as host:
        made = facts(await host.call_tool(DRAW, {"prompt": "a fox", "wait_seconds": 0}))
        assert made["left_today_cents"] == 13
        ended = facts(await host.call_tool("get_task", {"task_id": TASK_ID}))
        assert ended["left_today_cents"] == left_cents


async def test_a_failed_create_that_names_its_task_keeps_the_reservation_and_shows_it() -> None:
    async with made_up({"status": "processing"}, failing=True) as host:
        made = facts(await host.call_tool(DRAW, {"prompt": "a fox", "wait_seconds": 0}))
        assert (made["task_id"], made["left_today_cents"]) == (TASK_ID, 15)


async def test_a_call_that_continues_an_earlier_one_is_neither_refused_nor_counted() -> None:
    async with world(limits=Limits(per_call_cents=5, per_day_cents=5)) as w:
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        joined = facts(await w.call(DRAW, {"prompt": "a fox"}))
        assert (joined["status"], joined["left_today_cents"]) == ("completed", 0)
        assert (await w.call(DRAW, {"prompt": "a fox", "redraw": joined["task_id"]})).is_error


@pytest.mark.parametrize("limits", [Limits(per_call_cents=4), Limits(per_day_cents=4)])
async def test_a_doubt_over_limits_that_were_lowered_since_is_not_settled_by_paying(
    limits: Limits,
) -> None:
    async with aclosing(SqliteLedger.in_memory(clock)) as ledger:
        async with world(ledger=ledger) as w:
            w.sandbox.faults.inject("create", "torn", times=1)
            w.wire.down_after_posts = 1
            assert (await w.call(DRAW, {"prompt": "a fox"})).is_error
        for now, ordered in ((limits, 0), (Limits(), 1)):
            async with world(ledger=ledger, sandbox=w.sandbox, limits=now) as later:
                await later.call("get_task", {"task_id": TASK_ID})
                await anyio.sleep(1)
                assert later.task_count == ordered


async def test_the_budget_is_renewed_at_midnight() -> None:
    async with world(limits=Limits(per_day_cents=5)) as w:
        await w.call(DRAW, {"prompt": "a fox"})
        await anyio.sleep_until(12 * 3600 - 1)
        assert (await w.call(DRAW, {"prompt": "an owl", "wait_seconds": 0})).is_error
        await anyio.sleep_until(12 * 3600)
        assert facts(await w.call(DRAW, {"prompt": "an owl"}))["left_today_cents"] == 0


@pytest.fixture
def _central_european_time(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no tzset")
@pytest.mark.usefixtures("_central_european_time")
@pytest.mark.parametrize(
    ("paid_at", "noon", "left_cents"),
    [
        ("2026-10-25 00:30+02:00", "2026-10-25 12:00+01:00", 5),
        ("2026-10-24 23:30+02:00", "2026-10-25 12:00+01:00", 10),
        ("2027-03-28 00:30+01:00", "2027-03-28 12:00+02:00", 5),
        ("2027-03-27 23:30+01:00", "2027-03-28 12:00+02:00", 10),
    ],
)
async def test_midnight_is_the_local_one_on_days_of_25_and_23_hours_too(
    paid_at: str, noon: str, left_cents: float
) -> None:
    began, later = (datetime.fromisoformat(text).timestamp() for text in (paid_at, noon))
    async with (
        aclosing(SqliteLedger.in_memory(lambda: began + anyio.current_time())) as ledger,
        world(ledger=ledger, limits=Limits(per_day_cents=10)) as w,
    ):
        await w.call(DRAW, {"prompt": "a fox"})
        await anyio.sleep_until(later - began)
        assert await left(w) == left_cents


@pytest.mark.parametrize(
    ("zone", "paid_at", "later", "left_cents"),
    [
        ("America/Havana", "2026-11-01 00:10-04:00", "2026-11-01 00:10-05:00", 5),
        ("America/Havana", "2026-10-31 23:50-04:00", "2026-11-01 00:10-04:00", 10),
        ("Atlantic/Azores", "2026-10-25 00:10+00:00", "2026-10-25 00:10-01:00", 5),
        ("Asia/Tokyo", "2026-11-20 23:50+09:00", "2026-11-21 00:10+09:00", 10),
        ("Mars/Olympus", "2026-11-20 23:50+00:00", "2026-11-21 00:10+00:00", 10),
    ],
)
async def test_the_budget_goes_by_the_zone_that_the_user_names(
    zone: str, paid_at: str, later: str, left_cents: float
) -> None:
    began, ends = (datetime.fromisoformat(text).timestamp() for text in (paid_at, later))
    ledger = SqliteLedger.in_memory(lambda: began + anyio.current_time(), zone)
    async with aclosing(ledger), world(ledger=ledger, limits=Limits(per_day_cents=10)) as w:
        await w.call(DRAW, {"prompt": "a fox"})
        await anyio.sleep_until(ends - began)
        assert await left(w) == left_cents


@ERA
async def test_a_new_process_counts_what_an_earlier_one_spent(era: str, tmp_path: Path) -> None:
    path, limits = tmp_path / "ledger", Limits(per_day_cents=10)
    async with on_disk(path) as ledger, world(era=era, ledger=ledger, limits=limits) as first:
        await first.call(DRAW, {"prompt": "a fox"})
    async with (
        on_disk(path) as ledger,
        world(era=era, ledger=ledger, limits=limits, sandbox=first.sandbox) as second,
    ):
        assert await left(second) == 5


async def test_each_key_has_its_own_count(tmp_path: Path) -> None:
    limits = Limits(per_day_cents=5)
    async with on_disk(tmp_path / "ledger") as ledger, world(ledger=ledger, limits=limits) as w:
        await w.call(DRAW, {"prompt": "a fox"})
        async with world(key="sandbox-key-of-another", ledger=ledger, limits=limits) as other:
            assert (await left(w), await left(other)) == (0, 5)
            assert not (await other.call(DRAW, {"prompt": "a fox"})).is_error


async def test_the_check_waits_for_what_another_server_is_about_to_reserve(tmp_path: Path) -> None:
    path, limits = tmp_path / "ledger", Limits(per_day_cents=10)
    async with on_disk(path) as ledger, world(ledger=ledger, limits=limits) as w:
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE calls SET price_cents = 10")
            commit = Timer(0.2, other.execute, ["COMMIT"])
            commit.start()
            refused = await w.call(DRAW, {"prompt": "an owl"})
            commit.join()
        assert "reserved $0.10, this call $0.05." in said(refused)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # servers in real threads
async def test_of_many_servers_at_once_only_one_takes_the_last_cents(tmp_path: Path) -> None:
    sandbox, sums, open_for_all = Sandbox(), list[str](), anyio.Event()

    async def serve(number: int, *, task_status: TaskStatus[None]) -> None:
        limits = Limits(per_day_cents=5)
        async with (
            aclosing(SqliteLedger(lambda: tmp_path / "ledger")) as ledger,
            world(sandbox=sandbox, ledger=ledger, limits=limits) as w,
        ):
            await w.call("list_tasks")
            task_status.started()
            await open_for_all.wait()
            result = await w.call(DRAW, {"prompt": f"fox {number}", "wait_seconds": 0})
            sums.append(said(result) if result.is_error else "paid")

    async with anyio.create_task_group() as servers:
        for number in range(SERVERS):
            await servers.start(serve, number)
        open_for_all.set()
    assert sums.count("paid") == len(sandbox.accounts.of(KEY).tasks) == 1
    refused = [words for words in sums if "reserved $0.05, this call $0.05." in words]
    assert len(refused) == SERVERS - 1
