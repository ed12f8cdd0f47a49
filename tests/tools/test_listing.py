"""list_tasks: what was ordered, so that whoever lost their place finds it."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.orders.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.support.ledgers import ledger_at, prompts
from tests.support.world import ERAS, NOON, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
FOX = {"prompt": "a fox"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_callers_own_tasks_are_listed_newest_first_and_short(era: str) -> None:
    limits = Limits(per_day_cents=12)
    async with world(era=era, limits=limits) as w:
        ended = facts(await w.call(DRAW, FOX))["task_id"]
        await anyio.sleep_until(120)
        long_prompt = f"an owl\n  that {'never ' * 20}[[never]]"
        running = facts(await w.call(DRAW, {"prompt": long_prompt, "wait_seconds": 0}))["task_id"]
        listed = await w.call("list_tasks")
        assert facts(listed) == {
            "tasks": [
                {
                    "status": "pending",
                    "task_id": running,
                    "model": "flux-2-pro-text-to-image",
                    "prompt": "an owl that never never never never never never never never…",
                    "ordered": utc(NOON + 120),
                    "delivered": False,
                    "price_cents": 5,
                },
                {
                    "status": "completed",
                    "task_id": ended,
                    "model": "flux-2-pro-text-to-image",
                    "prompt": "a fox",
                    "ordered": utc(NOON),
                    "delivered": True,
                    "cost_cents": 5,
                },
            ],
            "left_today_cents": 2,
            "next": "get_task with a task_id gets its image, and costs nothing.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        assert ended in said(listed)


async def test_the_tasks_of_another_key_and_refused_calls_are_not_listed(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "ledger") as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "an owl [[402]]"})
        async with world(key="sandbox-key-of-another", ledger=ledger) as another:
            await another.call(DRAW, FOX)
            assert (await prompts(w), await prompts(another)) == ([], ["a fox"])


async def test_running_undelivered_and_recent_tasks_are_told_apart() -> None:
    late, failed, slow = "a late hare [[takes 80s]]", "a hen [[fail]]", "an owl [[never]]"
    async with world() as w:
        for prompt, wait_seconds in (("a fox", 30), (late, 600), (failed, 30), (slow, 0)):
            await w.call(DRAW, {"prompt": prompt, "wait_seconds": wait_seconds})
        assert await prompts(w, show="running") == [slow]
        assert await prompts(w, show="undelivered") == [slow, late]
        assert await prompts(w, show="recent") == [slow, failed, late, "a fox"]
        assert await prompts(w, limit=2) == [slow, failed]


@pytest.mark.parametrize("show", ["recent", "running", "undelivered"])
async def test_an_empty_list_says_so(show: str) -> None:
    async with world() as w:
        assert facts(await w.call("list_tasks", {"show": show})) == {
            "tasks": [],
            "next": "No pictures yet.",
        }


async def test_a_lost_task_is_listed_with_the_price_that_it_may_have_cost() -> None:
    lost = {"prompt": "a fox [[poll 404]]", "wait_seconds": 0}
    async with world(limits=Limits(per_day_cents=12)) as w:
        await w.call(DRAW, lost)
        await anyio.sleep(61)
        await w.call(DRAW, lost)
        listed = facts(await w.call("list_tasks"))
        [row] = listed["tasks"]
        assert (row["status"], row["price_cents"]) == ("lost", 5)
        assert listed["left_today_cents"] == 7


async def test_what_is_in_doubt_is_listed_with_what_to_do() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[created torn]]"})
        listed = facts(await w.call("list_tasks"))
        [row] = listed["tasks"]
        assert (row["status"], row["price_cents"], "task_id" in row) == ("intended", 5, False)
        assert listed["next"].endswith(
            f" Intended at {utc(NOON)}: may have been charged; the next paid call asks about it, "
            "and so does the same call, under its key: nothing is charged twice."
        )


@pytest.mark.parametrize(("doubt", "hours"), [("torn", 25), ("403", 0)])
async def test_what_only_the_same_call_asks_about_is_listed_as_that(doubt: Any, hours: int) -> None:
    call = {"prompt": "a fox"}
    async with world() as w:
        w.sandbox.faults.inject("created", doubt, times=99)
        assert "have charged this. Call again" in said(await w.call(DRAW, call))
        await anyio.sleep(hours * 3600)
        listed = facts(await w.call("list_tasks"))
        assert listed["next"].endswith(
            f" Intended at {utc(NOON)}: may have been charged, which check_balance tells; the same "
            "call asks about it under its key: nothing is charged twice."
        )
        w.sandbox.faults.injected.clear()
        await w.call(DRAW, {"prompt": "another fox"})
        assert "intended" in [row["status"] for row in facts(await w.call("list_tasks"))["tasks"]]
        await w.call(DRAW, call)
        assert w.task_count == 2


async def test_what_a_running_call_orders_is_listed_as_that(tmp_path: Path) -> None:
    path, slow = tmp_path / "ledger", {"prompt": "a fox [[created slow 10s]]", "wait_seconds": 0}
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        world(ledger=first) as ordering,
        world(ledger=second, sandbox=ordering.sandbox) as looking,
        anyio.create_task_group() as group,
    ):
        group.start_soon(ordering.call, DRAW, slow)
        await anyio.sleep(2)
        for w in (ordering, looking):
            listed = facts(await w.call("list_tasks"))
            assert [row["status"] for row in listed["tasks"]] == ["intended"]
            assert listed["next"].endswith(
                f" Intended at {utc(NOON)}: is being ordered just now; the same call gets the same "
                "picture."
            )
        await looking.call(DRAW, slow)
        assert looking.task_count == 1


async def test_a_prompt_is_listed_on_one_line_of_what_can_be_printed() -> None:
    spoof = "a fox\x1b[2J\x1b]0;gone\x07\x00\u202e\u200b\x9b\u2028 and\r\nan owl"
    async with world() as w:
        await w.call(DRAW, {"prompt": spoof})
        listed = await w.call("list_tasks")
        [row] = facts(listed)["tasks"]
        assert row["prompt"] == "a fox [2J ]0;gone and an owl"
        assert all(line.isprintable() for line in said(listed).split("\n"))


async def test_a_list_needs_a_key() -> None:
    async with world(key=None) as w:
        listed = await w.call("list_tasks")
        assert listed.is_error
        assert "API key" in said(listed)
