"""Join: a call whose result reached nobody is continued by the same call, and pays nothing more."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.ledger.sqlite.ledger import run_in_place
from runapi_mcp.tools.facts import utc
from tests.support.world import ERAS, KEY, NOON, World, clock, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
FOX = {"prompt": "a fox [[takes 80s]]"}
PAID = ["/api/v1/flux_2/text_to_image"]
JOINED = (
    f"This call continued the identical call of {utc(NOON)}, whose image is not known to have "
    "reached anyone: one image for both, charged once at most. Once it is delivered, the same call "
    "pays for a new one."
)
WEEK_SECONDS = 7 * 86_400

Lose = Callable[[World], Awaitable[object]]


async def cancelled(w: World) -> None:
    with anyio.move_on_after(5):
        await w.call(DRAW, FOX)


async def handed_out(w: World) -> None:
    await w.call(DRAW, {**FOX, "wait_seconds": 0})


async def answered_too_late(w: World) -> None:
    """The host gives a call up after 60 s."""
    result = await w.call(DRAW, {**FOX, "wait_seconds": 100})
    assert facts(result)["status"] == "completed"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("lose", [cancelled, handed_out, answered_too_late])
async def test_a_call_that_reached_nobody_is_continued_once_by_the_same_call(
    lose: Lose, era: str
) -> None:
    async with world(era=era) as w:
        await lose(w)
        await anyio.sleep(100)
        again = await w.call(DRAW, FOX)
        assert facts(again)["status"] == "completed"
        assert facts(again)["joined"] == JOINED
        assert JOINED in said(again)
        assert w.wire.paths("POST") == PAID
        new = await w.call(DRAW, {**FOX, "wait_seconds": 0})
        assert "joined" not in facts(new)
        assert w.wire.paths("POST") == PAID * 2


@pytest.mark.parametrize("era", ERAS)
async def test_a_continued_call_waits_for_the_image_and_may_be_lost_again(era: str) -> None:
    async with world(era=era) as w:
        await cancelled(w)
        running = await w.call(DRAW, {**FOX, "wait_seconds": 20})
        assert facts(running)["status"] == "processing"
        assert facts(running)["joined"] == JOINED
        last = await w.call(DRAW, {**FOX, "wait_seconds": 58})
        assert facts(last)["status"] == "completed"
        assert facts(last)["joined"] == JOINED
        assert anyio.current_time() == pytest.approx(80, abs=3)
        assert w.task_count == 1


@pytest.mark.parametrize("pause_seconds", [0, 120])
@pytest.mark.parametrize("era", ERAS)
async def test_the_same_call_after_a_doubt_pays_once_in_all(era: str, pause_seconds: int) -> None:
    fox = {"prompt": "a fox [[created torn x1]]"}
    async with world(era=era) as w:
        w.wire.down_after_posts = 1
        doubtful = await w.call(DRAW, fox)
        assert doubtful.is_error
        assert "not known. Call again with the same arguments" in said(doubtful)
        w.wire.down_after_posts = None
        await anyio.sleep(pause_seconds)
        again = await w.call(DRAW, fox)
        assert facts(again)["status"] == "completed"
        assert facts(again)["joined"] == JOINED
        assert w.spent_cents == 5
        assert len({sent.headers.get("idempotency-key") for sent in w.wire.sent} - {None}) == 1


async def test_a_doubt_that_was_none_is_paid_by_the_same_call() -> None:
    async with world() as w:
        w.sandbox.faults.inject("create", "torn", times=1)
        w.wire.down_after_posts = 1
        await w.call(DRAW, {"prompt": "a fox"})
        assert w.task_count == 0
        w.wire.down_after_posts = None
        again = await w.call(DRAW, {"prompt": "a fox"})
        assert facts(again)["status"] == "completed"
        assert w.spent_cents == 5


async def test_what_was_delivered_is_not_continued() -> None:
    async with world() as w:
        first = facts(await w.call(DRAW, {"prompt": "a fox"}))
        second = facts(await w.call(DRAW, {"prompt": "a fox"}))
        assert first["task_id"] != second["task_id"]
        assert "joined" not in second


@pytest.mark.parametrize("era", ERAS)
async def test_get_task_and_list_tasks_find_what_was_lost_and_getting_it_delivers(era: str) -> None:
    async with world(era=era) as w:
        await cancelled(w)
        [row] = facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"]
        assert not row["delivered"]
        got = await w.call("get_task", {"task_id": row["task_id"], "wait_seconds": 58})
        assert facts(got)["status"] == "processing"
        got = await w.call("get_task", {"task_id": row["task_id"], "wait_seconds": 58})
        assert facts(got)["status"] == "completed"
        assert facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"] == []
        assert "joined" not in facts(await w.call(DRAW, {**FOX, "wait_seconds": 0}))
        assert w.task_count == 2


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (DRAW, {"prompt": "another fox"}),
        (DRAW, {"prompt": "a fox", "aspect_ratio": "16:9"}),
        ("flux_2_flex_text_to_image", {"prompt": "a fox"}),
    ],
)
async def test_another_question_is_another_picture(
    tool: str, arguments: Mapping[str, object]
) -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        assert "joined" not in facts(await w.call(tool, arguments))
        assert w.task_count == 2


async def test_another_key_does_not_continue_a_call() -> None:
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        world(ledger=ledger) as w,
        world(ledger=ledger, sandbox=w.sandbox, key="sandbox-key-of-another") as other,
    ):
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        assert "joined" not in facts(await other.call(DRAW, {"prompt": "a fox"}))
        assert facts(await other.call("list_tasks"))["tasks"][0]["delivered"]
        assert facts(await w.call(DRAW, {"prompt": "a fox"}))["joined"] == JOINED


async def test_a_failed_task_is_not_continued() -> None:
    async with world() as w:
        failed = await w.call(DRAW, {"prompt": "a fox [[fail]]"})
        again = await w.call(DRAW, {"prompt": "a fox [[fail]]"})
        assert facts(failed)["task_id"] != facts(again)["task_id"]
        assert "joined" not in facts(again)


@pytest.mark.parametrize(("age_seconds", "pictures"), [(-60, 1), (60, 2)])
async def test_an_image_is_waited_for_as_long_as_runapi_keeps_it(
    age_seconds: int, pictures: int
) -> None:
    async with world() as w:
        await handed_out(w)
        await anyio.sleep(WEEK_SECONDS + age_seconds)
        await handed_out(w)
        assert w.task_count == pictures


async def test_a_task_that_runapi_no_longer_knows_is_said_once_and_then_drawn_anew() -> None:
    async with world() as w:
        lost = facts(await w.call(DRAW, {"prompt": "a fox [[poll 404]]", "wait_seconds": 0}))
        await anyio.sleep(61)
        said_lost = await w.call(DRAW, {"prompt": "a fox [[poll 404]]"})
        assert said_lost.is_error
        assert f"An earlier identical call made task {lost['task_id']}, which" in said(said_lost)
        assert "Call again to draw a new image." in said(said_lost)
        new = facts(await w.call(DRAW, {"prompt": "a fox [[poll 404]]", "wait_seconds": 0}))
        assert new["task_id"] != lost["task_id"]
        assert w.task_count == 2


@pytest.mark.parametrize("era", ERAS)
async def test_two_identical_calls_at_once_are_two_pictures(era: str) -> None:
    async with world(era=era) as w:
        results = await at_once(w, {"prompt": "a fox"}, {"prompt": "a fox"})
        assert len({each["task_id"] for each in results}) == 2
        assert all("joined" not in each for each in results)
        assert w.spent_cents == 10


async def test_two_lost_calls_are_continued_one_after_the_other_the_oldest_first() -> None:
    async with world() as w:
        await at_once(w, *[{**FOX, "wait_seconds": 20}] * 2, apart_seconds=1)
        await anyio.sleep(100)
        again = [facts(await w.call(DRAW, FOX)) for _ in range(2)]
        assert [each["task_id"] for each in again] == list(w.sandbox.accounts.of(KEY).tasks)
        assert all("joined" in each for each in again)
        assert "joined" not in facts(await w.call(DRAW, {**FOX, "wait_seconds": 0}))


async def test_of_two_repeats_at_once_one_continues_the_lost_call_and_one_is_new() -> None:
    async with world() as w:
        await handed_out(w)
        results = await at_once(w, FOX, FOX)
        assert sorted("joined" in each for each in results) == [False, True]
        assert w.task_count == 2


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_cancelled_while_it_is_paid_is_continued_by_the_same_call(era: str) -> None:
    fox = {"prompt": "a fox [[created slow 10s x1]]"}
    async with world(era=era) as w, anyio.create_task_group() as group:
        group.start_soon(w.call, DRAW, fox)
        await anyio.sleep(2)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
            assert facts(await w.call(DRAW, fox))["joined"] == JOINED
            assert w.task_count == 1


@pytest.mark.parametrize("create_seconds", [0, 15])
async def test_what_a_living_process_attends_to_is_left_to_it_until_it_dies(
    create_seconds: int, tmp_path: Path
) -> None:
    arguments = {"prompt": "a fox [[never]]", "wait_seconds": 1}
    async with (
        process(tmp_path) as first,
        process(tmp_path) as second,
        world(ledger=first) as dying,
        world(ledger=second, sandbox=dying.sandbox) as living,
        anyio.create_task_group() as group,
    ):
        dying.sandbox.faults.inject("created", "slow", seconds=create_seconds)
        group.start_soon(dying.call, DRAW, {**arguments, "wait_seconds": 600})
        await anyio.sleep(5)
        new = facts(await living.call(DRAW, arguments))
        assert "joined" not in new
        assert facts(await living.call(DRAW, arguments))["task_id"] == new["task_id"]
        await first.aclose()
        continued = facts(await living.call(DRAW, arguments))
        assert continued["joined"] == JOINED
        assert [continued["task_id"], new["task_id"]] == list(dying.sandbox.accounts.of(KEY).tasks)
        group.cancel_scope.cancel()


@asynccontextmanager
async def process(folder: Path) -> AsyncGenerator[SqliteLedger]:
    """The ledger as one process of several has it; closed, it is that of a process that died."""
    ledger = SqliteLedger(lambda: folder / "ledger.db", clock=clock, run=run_in_place)
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def at_once(
    w: World, *calls: Mapping[str, object], apart_seconds: float = 0
) -> list[dict[str, Any]]:
    """What calls answer that are under way together."""
    results: list[dict[str, Any]] = []

    async def call(arguments: Mapping[str, object]) -> None:
        results.append(facts(await w.call(DRAW, arguments)))

    async with anyio.create_task_group() as group:
        for arguments in calls:
            group.start_soon(call, arguments)
            await anyio.sleep(apart_seconds)
    return results
