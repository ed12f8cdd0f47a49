"""Waiting for a picture: with progress, bounded, never losing the id, and stopped at once."""

import re
from itertools import pairwise

import anyio
import pytest
from mcp_types import CallToolResult

from tests.support.world import ERAS, KEY, World, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
FLEX = "flux_2_flex_text_to_image"


@pytest.mark.parametrize("era", ERAS)
async def test_at_the_limit_the_answer_is_the_id_and_get_task_and_no_error(era: str) -> None:
    async with world(era=era) as w:
        result = await w.call(DRAW, {"prompt": "a fox [[takes 60s]]", "wait_seconds": 20})
        task_id = facts(result)["task_id"]
        assert not result.is_error
        assert facts(result) == {
            "status": "processing",
            "task_id": task_id,
            "model": "flux-2-pro-text-to-image",
            "price_cents": 5,
            "price_basis": "reserved by the sandbox",
            "next": "Call get_task with this task_id, or make the same call again: it goes on with "
            "this one and pays nothing. A different call pays for another image.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        later = await w.call("get_task", {"task_id": task_id})
        assert facts(later)["status"] == "completed"
        assert facts(later)["model"] == "flux-2-pro-text-to-image"
        assert w.spent_cents == 5


async def test_the_default_wait_is_45_seconds_counted_from_the_call() -> None:
    async with world() as w:
        started = anyio.current_time()
        result = await w.call(DRAW, {"prompt": "a fox [[never]] [[slow 10s]]"})
        assert anyio.current_time() - started == pytest.approx(45, abs=0.01)
        assert facts(result)["status"] == "processing"


@pytest.mark.parametrize("era", ERAS)
async def test_progress_rises_at_least_every_five_seconds_in_words_for_people(era: str) -> None:
    async with world(era=era) as w:
        await w.call(DRAW, {"prompt": "a fox [[takes 30s]] [[poll-after 20s]]"})
        seconds = [second for second, _ in w.progress]
        gaps = [later - sooner for sooner, later in pairwise(seconds)]
        assert all(0 < gap <= 5 for gap in gaps)
        assert w.progress[0][1] == "queued, 0 s"
        assert w.progress[-1][1] in ("drawing, 38 s", "drawing, 40 s")


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_gave_no_token_for_progress_hears_none(era: str) -> None:
    heard: list[object] = []

    async def on_message(message: object) -> None:
        heard.append(message)

    async with world(era=era, client={"message_handler": on_message}) as w:
        await w.client.call_tool(DRAW, {"prompt": "a fox [[takes 30s]]"})
        assert heard == []


async def test_progress_says_how_long_it_usually_takes_once_enough_was_drawn() -> None:
    async with world() as w:
        for number in range(5):
            await w.call(DRAW, {"prompt": f"{number} foxes [[takes 15s]]"})
        assert not any("usually" in words for _, words in w.progress)
        w.progress.clear()
        await w.call(DRAW, {"prompt": "a fox [[takes 15s]]"})
        usually = r"drawing, 12 s; pro usually takes about 1[456] s"
        assert any(re.fullmatch(usually, words) for _, words in w.progress)
        await w.call(FLEX, {"prompt": "a fox [[takes 15s]]"})
        assert "usually" not in w.progress[-1][1]


async def test_an_image_is_looked_for_when_it_usually_is_there() -> None:
    async with world() as w:
        for number in range(10):
            await w.call(DRAW, {"prompt": f"{number} foxes [[takes 15s]]"})
        before, started = len(w.wire.paths()), anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, DRAW, {"prompt": "a fox [[takes 15s]]"})
            await anyio.sleep(12)
            assert len(w.wire.paths()) - before <= 3
        assert 15 <= anyio.current_time() - started < 15.5
        assert len(w.wire.paths()) - before <= 8


async def test_a_task_that_several_wait_for_is_looked_at_once_for_all() -> None:
    async with world() as alone, world() as w:
        looks = [await looks_until_drawn(each, count) for each, count in ((alone, 1), (w, 3))]
        assert looks[0] == looks[1]


@pytest.mark.parametrize("first_leaves", [True, False])
async def test_when_one_who_waits_leaves_the_others_go_on(*, first_leaves: bool) -> None:
    async with world() as w, anyio.create_task_group() as group:
        made = facts(await w.call(DRAW, {"prompt": "a fox [[takes 20s]]", "wait_seconds": 0}))
        asked = {"task_id": made["task_id"], "wait_seconds": 60}
        leaving, results = anyio.CancelScope(), list[CallToolResult]()

        async def wait(scope: anyio.CancelScope) -> None:
            with scope:
                results.append(await w.call("get_task", asked))

        scopes = (leaving, anyio.CancelScope())
        for scope in scopes if first_leaves else reversed(scopes):
            group.start_soon(wait, scope)
            await anyio.sleep(1)
        leaving.cancel()
        await anyio.sleep(20)
        assert [facts(result)["status"] for result in results] == ["completed"]


async def looks_until_drawn(w: World, count: int) -> int:
    """How often a task is looked at while so many calls wait for it."""
    made = facts(await w.call(DRAW, {"prompt": "a fox [[takes 20s]]", "wait_seconds": 0}))
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(w.call, "get_task", {"task_id": made["task_id"], "wait_seconds": 60})
            await anyio.sleep(1)
    return sum(path.endswith(made["task_id"]) for path in w.wire.paths())


async def test_retry_after_of_a_task_is_the_wait_before_the_next_poll() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[takes 9s]] [[poll-after 5s]]"})
        assert len(w.wire.paths("GET")) == 1 + 2  # the price list, then polls at 5 and 10 seconds


async def test_a_long_wait_polls_sparsely() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[takes 40s]]"})
        assert len(w.wire.paths("GET")) <= 30


@pytest.mark.parametrize(
    "kind", ["500", "503", "429 2s", "html", "torn", "broken-json", "401", "404"]
)
async def test_a_failed_poll_is_polled_again_until_the_picture_is_there(kind: str) -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": f"a fox [[poll {kind} x3]]"})
        assert facts(result)["status"] == "completed"
        assert w.spent_cents == 5


async def test_when_every_poll_fails_the_answer_still_carries_the_id_and_says_why() -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": "a fox [[poll 503]]", "wait_seconds": 15})
        assert not result.is_error
        assert facts(result)["task_id"] in said(result)
        assert facts(result)["error"].startswith(
            "The last look at the task failed: RunAPI's sandbox is having trouble (HTTP 503). "
            "(RunAPI request id req_"
        )
        assert "asking again" in w.progress[-1][1]


async def test_while_polls_fail_the_pause_between_them_ends_at_ten_seconds() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[poll 503]]", "wait_seconds": 300})
        polls = len(w.wire.paths()) - 1
        assert 300 / 10 < polls < 300 / 10 + 10


async def test_few_images_do_not_tell_how_much_durations_vary() -> None:
    async with world() as w:
        for number in range(4):
            await w.call(DRAW, {"prompt": f"{number} foxes [[takes 15s]]"})
        before = len(w.wire.paths())
        await w.call(DRAW, {"prompt": "a fox [[takes 40s]]"})
        assert len(w.wire.paths()) - before <= 30


@pytest.mark.parametrize("era", ERAS)
async def test_a_cancelled_wait_stops_polling_at_once(era: str) -> None:
    async with world(era=era) as w:
        with anyio.move_on_after(10):
            await w.call(DRAW, {"prompt": "a fox [[never]]", "wait_seconds": 600})
        await anyio.wait_all_tasks_blocked()
        polls = len(w.wire.sent)
        await anyio.sleep(60)
        assert len(w.wire.sent) == polls


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_who_leaves_does_not_tear_the_request_that_pays(era: str) -> None:
    async with world(era=era) as w:
        with anyio.move_on_after(2):
            await w.call(DRAW, {"prompt": "a fox [[created slow 10s]]"})
        await anyio.sleep(60)
        assert w.task_count == 1
        assert w.spent_cents == 5
        assert w.wire.paths("POST") == ["/api/v1/flux_2/text_to_image"]


async def test_get_task_waits_for_a_task_of_another_process_by_its_id_alone() -> None:
    async with world() as first:
        made = facts(await first.call(DRAW, {"prompt": "a fox", "wait_seconds": 0}))
        async with world(sandbox=first.sandbox) as second:
            result = await second.call("get_task", {"task_id": made["task_id"]})
            assert facts(result)["image_urls"] == [f"http://127.0.0.1/images/{made['task_id']}.png"]
            assert set(second.wire.paths()) == {f"/api/v1/tasks/{made['task_id']}"}


async def test_get_task_with_no_wait_reads_once() -> None:
    async with world() as w:
        made = facts(await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0}))
        before = len(w.wire.sent)
        result = await w.call("get_task", {"task_id": made["task_id"].upper(), "wait_seconds": "0"})
        assert facts(result)["status"] == "pending"
        assert len(w.wire.sent) == before + 1


async def test_get_task_asks_again_while_runapi_is_down_and_keeps_the_id() -> None:
    async with world() as w:
        made = facts(await w.call(DRAW, {"prompt": "a fox [[poll 503]]", "wait_seconds": 0}))
        asked = {"task_id": made["task_id"], "wait_seconds": 40}
        started = anyio.current_time()
        result = await w.call("get_task", asked)
        assert anyio.current_time() - started == pytest.approx(40, abs=0.01)
        assert facts(result)["task_id"] == made["task_id"]
        assert "HTTP 503" in facts(result)["error"]


async def test_the_slowest_call_answers_within_45_seconds() -> None:
    async with world() as w:
        w.sandbox.faults.inject("prices", "slow", seconds=60, times=None)
        started = anyio.current_time()
        await w.call(DRAW, {"prompt": "a fox [[slow 60s]]", "wait_seconds": 0})
        assert anyio.current_time() - started <= 45


async def test_a_caller_who_leaves_before_anything_was_taken_pays_nothing() -> None:
    async with world() as w:
        w.wire.down = True
        with anyio.move_on_after(2):
            await w.call(DRAW, {"prompt": "a fox"})
        assert w.wire.paths("POST")
        w.wire.down = False
        await anyio.sleep(60)
        assert w.task_count == 0


async def test_a_caller_who_leaves_in_a_doubt_pays_once(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        with anyio.move_on_after(2):
            prompt = "a fox [[created torn x1]] [[created slow 10s]]"
            await w.call(DRAW, {"prompt": prompt, "wait_seconds": 0})
        await anyio.sleep(60)
        [task_id] = w.sandbox.accounts.of(KEY).tasks
        assert f"task {task_id} goes on, and get_task finds it" in caplog.text
