"""list_tasks: what was ordered, so that whoever lost their place finds it."""

from pathlib import Path

import anyio
import pytest

from runapi_mcp.tasks.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.ledgers import ledger_at, prompts
from tests.world import ERAS, NOON, facts, said, world

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]
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
            "next": "Nothing of the kind is in the ledger of this key.",
        }


async def test_what_is_in_doubt_is_listed_with_what_to_do() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[created torn]]"})
        listed = facts(await w.call("list_tasks"))
        [row] = listed["tasks"]
        assert (row["status"], row["price_cents"], "task_id" in row) == ("intended", 5, False)
        assert listed["next"].endswith(
            "What is intended may have been charged; the same call again asks under the same key, "
            "and is not charged twice."
        )


async def test_a_list_needs_a_key() -> None:
    async with world(key=None) as w:
        listed = await w.call("list_tasks")
        assert listed.is_error
        assert "API key" in said(listed)
