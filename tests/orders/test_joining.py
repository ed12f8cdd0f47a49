"""Join: the same call gets the picture that there is until it is settled, and pays nothing more."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp_types import Implementation

from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.ledger.sqlite.ledger import run_in_place
from runapi_mcp.orders.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.support.world import ERAS, NOON, World, client_of, clock, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
REMIX = "flux_2_pro_remix_image"
FOX = {"prompt": "a fox"}
SLOW = {"prompt": "a fox [[takes 80s]]"}
PAID = ["/api/v1/flux_2/text_to_image"]
QUARTER = 15 * 60
WEEK_SECONDS = 7 * 86_400
CLAUDE = {"client_info": Implementation(name="claude-code", version="2")}

Lose = Callable[[World], Awaitable[object]]


def joined(task_id: str) -> str:
    return (
        f"This is the image of the identical call of {utc(NOON)}, given again and charged once. To "
        f"draw and pay for a new one, make the same call with redraw: {task_id}"
    )


async def cancelled(w: World) -> None:
    with anyio.move_on_after(5):
        await w.call(DRAW, SLOW)


async def handed_out(w: World) -> None:
    await w.call(DRAW, {**SLOW, "wait_seconds": 0})


async def answered_too_late(w: World) -> None:
    """The host gives a call up after 60 s, or Claude Code after 300."""
    result = await w.call(DRAW, {"prompt": "a fox [[takes 80s]]", "wait_seconds": 310})
    assert facts(result)["status"] == "completed"


async def given_up_in_silence(w: World) -> None:
    """By a client that tells nobody: five tries, none of which it hears."""
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(w.call, DRAW, SLOW)
            await anyio.sleep(5)


async def delivered(w: World) -> None:
    assert facts(await w.call(DRAW, {**SLOW, "wait_seconds": 100}))["status"] == "completed"


async def got(w: World) -> None:
    made = facts(await w.call(DRAW, {**SLOW, "wait_seconds": 0}))
    got = await w.call("get_task", {"task_id": made["task_id"], "wait_seconds": 100})
    assert facts(got)["status"] == "completed"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "lose", [cancelled, handed_out, answered_too_late, given_up_in_silence, delivered, got]
)
async def test_the_same_call_gets_the_picture_until_a_quarter_of_an_hour_after_it_left(
    lose: Lose, era: str
) -> None:
    """Nobody knows of a client that nobody knows whether an answer that left has arrived."""
    async with world(era=era) as w:
        await lose(w)
        await anyio.sleep(100)
        for _ in range(3):
            again = await w.call(DRAW, SLOW)
            assert facts(again)["status"] == "completed"
            assert said(again).startswith(f"joined: {joined(facts(again)['task_id'])}")
            await anyio.sleep(60)
        assert w.wire.paths("POST") == PAID
        await anyio.sleep(QUARTER)
        new = await w.call(DRAW, {**SLOW, "wait_seconds": 0})
        assert "joined" not in facts(new)
        assert w.wire.paths("POST") == PAID * 2


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("lose", "pictures"),
    [(delivered, 2), (got, 2), (cancelled, 1), (handed_out, 1)],
)
async def test_a_host_that_takes_every_answer_draws_again_by_one_plain_call(
    lose: Lose, pictures: int, era: str
) -> None:
    async with world(era=era, client=CLAUDE) as w:
        await lose(w)
        again = facts(await w.call(DRAW, {**SLOW, "wait_seconds": 0}))
        assert ("joined" in again) == (pictures == 1)
        assert w.task_count == pictures


async def test_also_of_such_a_host_an_answer_after_its_limit_is_joined() -> None:
    async with world(client=CLAUDE) as w:
        await w.call(DRAW, {"prompt": "a fox [[takes 305s]]", "wait_seconds": 310})
        again = facts(await w.call(DRAW, {"prompt": "a fox [[takes 305s]]"}))
        assert (again["status"], "joined" in again) == ("completed", True)
        assert w.task_count == 1


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("word", ["task_id", "image_paths", "image_urls", "redraw"])
async def test_a_used_picture_is_drawn_anew_by_the_same_call(
    word: str, era: str, tmp_path: Path
) -> None:
    folders = Folders(tmp_path, (tmp_path,))
    async with world(era=era, folders=folders, saves=True) as w:
        first = facts(await w.call(DRAW, FOX))
        if word == "redraw":
            await w.call(DRAW, FOX | {"redraw": first["task_id"]})
        else:
            source = first[word] if word == "task_id" else first[word][0]
            assert not (
                await w.call(REMIX, {"prompt": "in the snow", "source_image_urls": [source]})
            ).is_error
        assert w.task_count == 2
        if word == "redraw":
            return
        assert "joined" not in facts(await w.call(DRAW, FOX))
        assert w.task_count == 3


@pytest.mark.parametrize("status", ["drawn", "running"])
async def test_a_redraw_is_a_new_picture_that_its_retries_get(status: str) -> None:
    call = FOX if status == "drawn" else {"prompt": "a fox [[never]]", "wait_seconds": 1}
    async with world() as w:
        first = facts(await w.call(DRAW, call))["task_id"]
        redrawn = [facts(await w.call(DRAW, call | {"redraw": first})) for _ in range(3)]
        [second] = {each["task_id"] for each in redrawn}
        assert second != first
        assert ["joined" in each for each in redrawn] == [False, True, True]
        assert facts(await w.call(DRAW, call))["task_id"] == second
        third = facts(await w.call(DRAW, call | {"redraw": second}))["task_id"]
        assert len({first, second, third}) == 3
        assert w.task_count == 3


@pytest.mark.parametrize("era", ERAS)
async def test_a_redraw_of_what_nobody_knows_is_the_same_call(era: str) -> None:
    async with world(era=era) as w:
        first = facts(await w.call(DRAW, FOX))
        unknown = "00000000-0000-4000-8000-000000000000"
        again = facts(await w.call(DRAW, FOX | {"redraw": unknown}))
        assert again["task_id"] == first["task_id"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_continued_call_waits_for_the_image_and_may_be_lost_again(era: str) -> None:
    async with world(era=era) as w:
        await cancelled(w)
        running = facts(await w.call(DRAW, {**SLOW, "wait_seconds": 20}))
        assert running["status"] == "processing"
        assert running["joined"] == joined(running["task_id"])
        last = facts(await w.call(DRAW, {**SLOW, "wait_seconds": 58}))
        assert last["status"] == "completed"
        assert anyio.current_time() == pytest.approx(80, abs=3)
        assert w.task_count == 1


@pytest.mark.parametrize("pause_seconds", [0, 120, 30 * 86_400])
@pytest.mark.parametrize("era", ERAS)
async def test_the_same_call_after_a_doubt_pays_once_in_all(era: str, pause_seconds: int) -> None:
    async with world(era=era) as w:
        w.sandbox.faults.inject("created", "torn", times=1)
        w.wire.down_after_posts = 1
        doubtful = await w.call(DRAW, FOX)
        assert doubtful.is_error
        assert "charged this. Call again with the same arguments" in said(doubtful)
        w.wire.down_after_posts = None
        await anyio.sleep(pause_seconds)
        again = await w.call(DRAW, FOX)
        assert facts(again)["status"] == "completed"
        assert facts(again)["joined"] == joined(facts(again)["task_id"])
        assert w.spent_cents == 5
        [(key, body)] = {
            (sent.headers["idempotency-key"], sent.body)
            for sent in w.wire.sent
            if sent.method == "POST"
        }
        assert key
        assert body


ANSWERED_DOUBTS = ("307", "403", "408", "409", "410", "425", "429", "499")
UNANSWERED_DOUBTS = ("500", "503", "html", "torn", "broken-json")


@pytest.mark.parametrize("kind", [*ANSWERED_DOUBTS, *UNANSWERED_DOUBTS])
@pytest.mark.parametrize("where", ["create", "created"])
async def test_whatever_it_answers_the_same_call_asks_under_the_same_key(
    where: Any, kind: Any
) -> None:
    async with world() as w:
        w.sandbox.faults.inject(where, kind, times=99)
        doubtful = said(await w.call(DRAW, FOX))
        assert "RunAPI may or may not have charged this." in doubtful
        assert "Nothing was paid" not in doubtful
        w.sandbox.faults.injected.clear()
        assert facts(await w.call(DRAW, FOX))["status"] == "completed"
        assert (w.task_count, w.spent_cents) == (1, 5)
        keys = {sent.headers.get("idempotency-key") for sent in w.wire.sent}
        assert len(keys - {None}) == 1


@pytest.mark.parametrize("kind", ["401", "402", "404", "422"])
async def test_a_certain_no_ends_the_call_and_the_same_call_is_a_new_one(kind: Any) -> None:
    async with world() as w:
        w.sandbox.faults.inject("create", kind)
        refused = await w.call(DRAW, FOX)
        assert refused.is_error
        assert "Nothing was paid." in said(refused)
        new = facts(await w.call(DRAW, FOX))
        assert (new["status"], "joined" in new) == ("completed", False)
        assert w.task_count == 1


@pytest.mark.parametrize("refusal", ["401", "402", "404", "422"])
async def test_a_no_after_a_doubt_ends_nothing(refusal: Any) -> None:
    async with world() as w:
        w.sandbox.faults.inject("create", "torn", times=1)
        w.sandbox.faults.inject("create", refusal, times=99)
        assert "Nothing was paid" not in said(await w.call(DRAW, FOX))
        assert "Nothing was paid" not in said(await w.call(DRAW, FOX))
        w.sandbox.faults.injected.clear()
        assert facts(await w.call(DRAW, FOX))["status"] == "completed"
        assert (w.task_count, w.spent_cents) == (1, 5)


@pytest.mark.parametrize("count", [1, 2])
async def test_an_old_doubt_is_not_asked_about_against_a_limit_that_is_set_now(count: int) -> None:
    ledger, foxes = SqliteLedger.in_memory(clock), {**FOX, "count": count}
    async with aclosing(ledger), world(ledger=ledger) as w:
        w.sandbox.faults.inject("create", "torn", times=99)
        await w.call(DRAW, foxes)
        w.sandbox.faults.injected.clear()
        await anyio.sleep(2 * 86_400)
        limits = Limits(per_day_cents=5 * count - 1)
        async with world(ledger=ledger, sandbox=w.sandbox, limits=limits) as limited:
            refused = await limited.call(DRAW, foxes)
        assert f"over the day's budget: limit $0.0{5 * count - 1}, spent $0.00" in said(refused)
        assert "is asked about once the limits allow it. RunAPI may or may not" in said(refused)
        assert "Nothing was paid" not in said(refused)
        assert w.task_count == 0
        assert facts(await w.call(DRAW, foxes))["status"] == "completed"
        assert w.task_count == count


async def test_a_doubt_that_is_asked_about_again_is_settled_although_its_caller_leaves() -> None:
    async with world() as w:
        w.sandbox.faults.inject("created", "torn", times=1)
        w.wire.down_after_posts = 1
        await w.call(DRAW, FOX)
        with anyio.move_on_after(2):
            await w.call(DRAW, FOX)
        w.wire.down_after_posts = None
        await anyio.sleep(10)
        [row] = facts(await w.call("list_tasks"))["tasks"]
        assert row["task_id"] == w.task_ids[0]


async def test_who_is_refused_beside_another_send_is_not_told_that_nothing_was_paid(
    tmp_path: Path,
) -> None:
    async with (
        process(tmp_path) as first,
        process(tmp_path) as second,
        world(ledger=first) as w,
        world(ledger=second, sandbox=w.sandbox) as other,
        anyio.create_task_group() as group,
    ):
        w.sandbox.faults.inject("created", "slow", seconds=30, times=1)
        group.start_soon(w.call, DRAW, FOX)
        await anyio.sleep(1)
        w.sandbox.faults.inject("create", "402", times=2)
        refused = said(await other.call(DRAW, FOX))
        assert "RunAPI may or may not have charged this." in refused
        assert w.spent_cents == 5


async def test_who_leaves_takes_the_request_from_nobody_who_waits_for_it_too() -> None:
    async with world() as w, anyio.create_task_group() as group:
        w.wire.down = True
        group.start_soon(w.call, DRAW, FOX)
        await anyio.sleep(0.1)
        with anyio.move_on_after(1):
            await w.call(DRAW, FOX)
        w.wire.down = False
        assert "joined" in facts(await w.call(DRAW, FOX))
        assert len(w.wire.keys) == 1


async def test_a_doubt_is_asked_about_unbidden_once_a_minute_at_most() -> None:
    async with world() as w:
        w.sandbox.faults.inject("create", "torn", times=999)
        await w.call(DRAW, FOX)
        await anyio.sleep(61)
        sent = [len(w.wire.paths("POST"))]
        for _ in range(3):
            await w.call("get_task", {"task_id": "00000000-0000-4000-8000-000000000000"})
            await anyio.sleep(25)
            sent.append(len(w.wire.paths("POST")))
        assert sent[0] < sent[1] == sent[2] == sent[3]


async def test_a_doubt_that_has_the_whole_budget_is_asked_about_unbidden() -> None:
    async with world(limits=Limits(per_day_cents=5)) as w:
        w.sandbox.faults.inject("create", "torn", times=99)
        await w.call(DRAW, FOX)
        w.sandbox.faults.injected.clear()
        await anyio.sleep(61)
        await w.call("get_task", {"task_id": "00000000-0000-4000-8000-000000000000"})
        await anyio.sleep(10)
        assert w.spent_cents == 5


async def test_a_doubt_that_was_none_is_paid_by_the_same_call() -> None:
    async with world() as w:
        w.sandbox.faults.inject("create", "torn", times=1)
        w.wire.down_after_posts = 1
        await w.call(DRAW, FOX)
        assert w.task_count == 0
        w.wire.down_after_posts = None
        assert facts(await w.call(DRAW, FOX))["status"] == "completed"
        assert w.spent_cents == 5


@pytest.mark.parametrize("era", ERAS)
async def test_get_task_and_list_tasks_find_what_was_lost(era: str) -> None:
    async with world(era=era) as w:
        await cancelled(w)
        [row] = facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"]
        assert not row["delivered"]
        got = await w.call("get_task", {"task_id": row["task_id"], "wait_seconds": 58})
        assert facts(got)["status"] == "processing"
        got = await w.call("get_task", {"task_id": row["task_id"], "wait_seconds": 58})
        assert facts(got)["status"] == "completed"
        assert facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"] == []
        assert w.task_count == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (DRAW, {"prompt": "another fox"}),
        (DRAW, {"prompt": "a fox", "aspect_ratio": "16:9"}),
        (DRAW, {"prompt": "a fox", "count": 2}),
        ("flux_2_flex_text_to_image", {"prompt": "a fox"}),
    ],
)
async def test_another_question_is_another_picture(
    tool: str, arguments: Mapping[str, object]
) -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        assert "joined" not in facts(await w.call(tool, arguments))
        assert w.task_count == 1 + int(str(arguments.get("count", 1)))


async def test_how_long_to_wait_and_how_large_a_preview_is_are_no_other_question() -> None:
    async with world() as w:
        for more in ({}, {"wait_seconds": 3}, {"preview_px": 10}, {"count": 1}, {"count": "1"}):
            await w.call(DRAW, FOX | more)
        assert w.task_count == 1


async def test_another_key_does_not_continue_a_call() -> None:
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        world(ledger=ledger) as w,
        world(ledger=ledger, sandbox=w.sandbox, key="sandbox-key-of-another") as other,
    ):
        await w.call(DRAW, {"prompt": "a fox", "wait_seconds": 0})
        assert "joined" not in facts(await other.call(DRAW, {"prompt": "a fox"}))
        assert facts(await other.call("list_tasks"))["tasks"][0]["delivered"]
        assert "joined" in facts(await w.call(DRAW, {"prompt": "a fox"}))


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
        made = facts(await w.call(DRAW, {**FOX, "wait_seconds": 0}))
        await anyio.sleep(10)
        with anyio.move_on_after(0):
            await w.call("get_task", {"task_id": made["task_id"]})
        await w.call("list_tasks")
        await anyio.sleep(WEEK_SECONDS + age_seconds)
        await w.call(DRAW, {**FOX, "wait_seconds": 0})
        assert w.task_count <= pictures


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
@pytest.mark.parametrize("create_seconds", [0, 2])
async def test_identical_calls_at_once_are_one_picture_told_to_all(
    era: str, create_seconds: float
) -> None:
    async with world(era=era) as w:
        w.sandbox.faults.inject("created", "slow", seconds=create_seconds)
        results = await at_once(w, FOX, FOX, FOX)
        assert len({each["task_id"] for each in results}) == 1
        assert [each["status"] for each in results] == ["completed"] * 3
        assert sorted("joined" in each for each in results) == [False, True, True]
        assert w.wire.paths("POST") == PAID
        assert w.spent_cents == 5


@pytest.mark.parametrize("era", ERAS)
async def test_a_refusal_is_told_to_all_who_wait_for_it(era: str) -> None:
    async with world(era=era) as w:
        w.sandbox.faults.inject("create", "402", times=99)
        results: list[str] = []

        async def call() -> None:
            results.append(said(await w.call(DRAW, FOX)))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
        assert ["Nothing was paid." in each for each in results] == [True] * 3
        assert facts(await w.call("list_tasks"))["tasks"] == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_cancelled_while_it_is_paid_is_continued_by_the_same_call(era: str) -> None:
    fox = {"prompt": "a fox [[created slow 10s x1]]"}
    async with world(era=era) as w, anyio.create_task_group() as group:
        group.start_soon(w.call, DRAW, fox)
        await anyio.sleep(2)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
            assert "joined" in facts(await w.call(DRAW, fox))
            assert w.task_count == 1


async def test_who_comes_when_all_others_have_left_an_attempt_orders_anew() -> None:
    sent: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(404)
        sent.append(request.headers["idempotency-key"])
        if len(sent) == 1:
            await anyio.sleep(10)
            raise httpx.ConnectError("connection refused")
        return httpx.Response(402)

    async with client_of(answer) as client:
        with anyio.move_on_after(2):
            await client.call_tool(DRAW, FOX)
        assert "Nothing was paid." in said(await client.call_tool(DRAW, FOX))
    assert len({*sent}) == 2


@pytest.mark.parametrize("create_seconds", [0, 15])
async def test_another_process_joins_what_a_living_one_orders_or_waits_for(
    create_seconds: int, tmp_path: Path
) -> None:
    arguments = {"prompt": "a fox [[never]]", "wait_seconds": 1}
    async with (
        process(tmp_path) as first,
        process(tmp_path) as second,
        world(ledger=first) as ordering,
        world(ledger=second, sandbox=ordering.sandbox) as other,
        anyio.create_task_group() as group,
    ):
        ordering.sandbox.faults.inject("created", "slow", seconds=create_seconds)
        group.start_soon(ordering.call, DRAW, {**arguments, "wait_seconds": 600})
        await anyio.sleep(5)
        assert "joined" in facts(await other.call(DRAW, arguments))
        assert ordering.wire.paths("POST") + other.wire.paths("POST") == PAID
        assert anyio.current_time() == pytest.approx(max(5, create_seconds) + 1, abs=1)
        group.cancel_scope.cancel()


async def test_a_send_that_another_process_never_ended_is_asked_about_after_20_seconds(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as first, process(tmp_path) as second, world(ledger=first) as w:
        async with anyio.create_task_group() as group:
            w.sandbox.faults.inject("created", "slow", seconds=600)
            group.start_soon(w.call, DRAW, FOX)
            await anyio.sleep(3)
            await first.aclose()
            w.wire.down = True
            async with world(ledger=second, sandbox=w.sandbox) as other:
                assert facts(await other.call(DRAW, FOX))["status"] == "completed"
                assert other.wire.paths("POST") == PAID
            group.cancel_scope.cancel()
        assert w.task_count == 1


@asynccontextmanager
async def process(folder: Path) -> AsyncGenerator[SqliteLedger]:
    """The ledger as one process of several has it."""
    ledger = SqliteLedger(lambda: folder / "ledger.db", clock=clock, run=run_in_place)
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def at_once(w: World, *calls: Mapping[str, object]) -> list[dict[str, Any]]:
    """What calls answer that are under way together."""
    results: list[dict[str, Any]] = []

    async def call(arguments: Mapping[str, object]) -> None:
        results.append(facts(await w.call(DRAW, arguments)))

    async with anyio.create_task_group() as group:
        for arguments in calls:
            group.start_soon(call, arguments)
    return results
