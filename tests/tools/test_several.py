"""Several pictures in one call: one price, each a task of its own, answered and joined as one."""

import json
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp_types import CallToolResult

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.support.ledgers import ledger_at
from tests.support.pictures import decoded, encoded, noise, previews
from tests.support.world import (
    BASE_URL,
    ERAS,
    KEY,
    NOON,
    Pass,
    Sent,
    World,
    clock,
    facts,
    said,
    world,
)
from tests.tools.test_drawing import smallest_arguments

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
DRAW, REMIX = "flux_2_pro_text_to_image", "flux_2_pro_remix_image"
FOX = {"prompt": "a fox"}
FOUR = FOX | {"count": 4}
NO_CREDIT = {"error": "Insufficient credits"}

Trouble = Callable[[World], None]
"""What becomes of the second picture of a call."""


def posts(w: World) -> list[Sent]:
    return [sent for sent in w.wire.sent if sent.method == "POST"]


def meddle_with_second(w: World, meddle: Callable[[Pass], Awaitable[httpx.Response]]) -> None:
    """With every request that pays for the second picture of the first call."""

    async def on_the_wire(sent: Sent, go_on: Pass) -> httpx.Response:
        is_second = w.wire.keys.index(sent.headers["idempotency-key"]) == 1 if is_paid(sent) else 0
        return await (meddle(go_on) if is_second else go_on())

    w.wire.meddle = on_the_wire


def is_paid(sent: Sent) -> bool:
    return "idempotency-key" in sent.headers


def fails(w: World) -> None:
    async def fail(go_on: Pass) -> httpx.Response:
        answer = await go_on()
        tasks = w.sandbox.accounts.of(KEY).tasks
        task = tasks[json.loads(await answer.aread())["id"]]
        tasks[task.id] = replace(task, script=replace(task.script, failure="no foxes"))
        return answer

    meddle_with_second(w, fail)


def is_refused(w: World) -> None:
    async def refuse(_: Pass) -> httpx.Response:
        return httpx.Response(402, json=NO_CREDIT)

    meddle_with_second(w, refuse)


def is_torn(w: World) -> None:
    async def tear(go_on: Pass) -> httpx.Response:
        await go_on()
        raise httpx.RemoteProtocolError("torn")

    meddle_with_second(w, tear)


def is_forbidden(w: World) -> None:
    async def forbid(go_on: Pass) -> httpx.Response:
        await go_on()
        return httpx.Response(403)

    meddle_with_second(w, forbid)


def hangs(w: World) -> None:
    async def hang(go_on: Pass) -> httpx.Response:
        await go_on()
        await anyio.sleep(600)
        return httpx.Response(500)

    meddle_with_second(w, hang)


def names_its_task(w: World) -> None:
    """A failed answer that names the task all the same."""

    async def name(go_on: Pass) -> httpx.Response:
        created = json.loads(await (await go_on()).aread())
        return httpx.Response(422, headers={"X-RunAPI-Task-Id": created["id"]})

    meddle_with_second(w, name)


def is_empty(w: World) -> None:
    """Completed without an image."""

    async def empty(sent: Sent, go_on: Pass) -> httpx.Response:
        answer, [*tasks] = await go_on(), w.sandbox.accounts.of(KEY).tasks
        if len(tasks) > 1 and sent.method == "GET" and tasks[1] in sent.path:
            told = json.loads(await answer.aread()) | {"images": []}
            return httpx.Response(200, json=told)
        return answer

    w.wire.meddle = empty


def heal(w: World) -> None:
    w.wire.meddle = lambda _, go_on: go_on()


@ERA
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.model)
async def test_every_variant_draws_several_for_the_price_of_each(
    variant: Variant, era: str
) -> None:
    async with world(era=era) as w:
        for count in (1, 3, 8):
            before = w.spent_cents
            arguments = smallest_arguments(variant) | {"prompt": f"{count} foxes", "count": count}
            drawn = await w.call(variant.tool_name, arguments)
            told = facts(drawn)
            ids = told.get("task_ids", [told["task_id"]])
            assert not drawn.is_error
            assert len(set(ids)) == count
            assert ids[0] == told["task_id"]
            assert told["image_urls"] == [f"{BASE_URL}/images/{one}.png" for one in ids]
            assert told["cost_cents"] == w.spent_cents - before
            assert ("task_ids" in told) == (count > 1)
            assert "failed" not in told
        assert w.task_count == 12
        assert len({sent.headers["idempotency-key"] for sent in posts(w)}) == 12
        assert not any("count" in json.loads(sent.body) for sent in posts(w))
        assert not any("output_count" in json.loads(sent.body) for sent in posts(w))


@pytest.mark.parametrize("count", [0, 9, -1, 1.5, "many", [2], {}])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.model)
async def test_a_count_beyond_one_to_eight_is_refused(variant: Variant, count: object) -> None:
    async with world() as w:
        refused = await w.call(variant.tool_name, smallest_arguments(variant) | {"count": count})
        assert refused.is_error
        assert "count" in said(refused)
        assert posts(w) == []


@pytest.mark.parametrize("count", [2, 2.0, "2", " 2 "])
async def test_a_count_in_another_form_is_the_same_call(count: object) -> None:
    async with world() as w:
        first = facts(await w.call(DRAW, FOX | {"count": 2}))
        assert facts(await w.call(DRAW, FOX | {"count": count}))["task_ids"] == first["task_ids"]
        assert w.task_count == 2


async def test_keys_are_all_written_down_before_anything_is_sent() -> None:
    async with aclosing(SqliteLedger.in_memory(clock)) as ledger, world(ledger=ledger) as w:
        seen: list[Sequence[str]] = []

        async def look(sent: Sent, go_on: Pass) -> httpx.Response:
            if is_paid(sent):
                seen.append([entry.key for entry in await ledger.entries(None)])
            return await go_on()

        w.wire.meddle = look
        await w.call(DRAW, FOUR)
        assert len(set(seen[0])) == 4
        assert set(w.wire.keys) == set(seen[0])


# Limits


@ERA
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(per_call_cents=19), "more than one call may: limit $0.19, this call $0.20."),
        (Limits(per_day_cents=19), "over the day's budget: limit $0.19, spent $0.00, reserved"),
    ],
)
async def test_a_limit_counts_the_sum_and_refuses_all_or_nothing(
    era: str, limits: Limits, words: str
) -> None:
    async with world(era=era, limits=limits) as w:
        refused = await w.call(DRAW, FOUR)
        assert refused.is_error
        assert words in said(refused)
        assert "this call $0.20. Nothing was paid." in said(refused)
        assert posts(w) == []
        assert facts(await w.call("list_tasks"))["tasks"] == []
        assert len(facts(await w.call(DRAW, FOX | {"count": 3}))["task_ids"]) == 3


async def test_the_budget_holds_the_sum_while_they_are_drawn_and_after() -> None:
    async with world(limits=Limits(per_day_cents=22)) as w:
        began = facts(await w.call(DRAW, FOUR | {"wait_seconds": 0}))
        assert (began["price_cents"], began["left_today_cents"]) == (20, 2)
        ended = facts(await w.call(DRAW, FOUR))
        assert (ended["cost_cents"], ended["left_today_cents"]) == (20, 2)
        assert "price_cents" not in ended


async def test_of_two_processes_one_takes_the_last_cents_for_all_of_its_pictures(
    tmp_path: Path,
) -> None:
    path, limits = tmp_path / "ledger", Limits(per_day_cents=20)
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        world(ledger=first, limits=limits) as w,
        world(ledger=second, limits=limits, sandbox=w.sandbox) as other,
    ):
        found = await both(
            partial(w.call, DRAW, FOUR), partial(other.call, DRAW, FOUR | {"prompt": "an owl"})
        )
        assert sorted(result.is_error for result in found) == [False, True]
        assert (w.task_count, w.spent_cents) == (4, 20)


async def both(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What calls that are under way together return, in order of their end."""
    found: list[Any] = []

    async def keep(call: Callable[[], Awaitable[Any]]) -> None:
        found.append(await call())

    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(keep, call)
    return found


# One of several comes to nothing


SOME_FAILED = (
    "The same call gives the others again; for as many as are missing, call with the same "
    "arguments and count: 1."
)
IN_DOUBT = "Make the same call again: it asks about what is in doubt under its idempotency key"


@ERA
@pytest.mark.parametrize(
    ("trouble", "words", "advice"),
    [
        (fails, 'task {id}: RunAPI\'s sandbox says: "no foxes"', SOME_FAILED),
        (is_empty, "task {id}: RunAPI says completed but names no image.", SOME_FAILED),
        (is_refused, "not have enough credit for this call", SOME_FAILED),
        (is_torn, "RunAPI", IN_DOUBT),
        (is_forbidden, "RunAPI", IN_DOUBT),
        (hangs, "RunAPI did not answer", IN_DOUBT),
    ],
)
async def test_one_that_comes_to_nothing_is_named_and_the_others_are_given(
    trouble: Trouble, words: str, advice: str, era: str
) -> None:
    async with world(era=era) as w:
        trouble(w)
        drawn = await w.call(DRAW, FOUR)
        told = facts(drawn)
        assert not drawn.is_error
        assert (told["status"], len(told["image_urls"])) == ("completed", 3)
        assert anyio.current_time() <= 50
        [why] = told["failed"]
        assert why.startswith("Image 2: ")
        known = [*w.sandbox.accounts.of(KEY).tasks]
        assert words.format(id=known[1]) in why
        assert told["next"].startswith(advice) or told["next"].endswith(advice)
        assert not any(key.startswith("Traceback") for key in told)


@ERA
@pytest.mark.parametrize("trouble", [fails, is_empty, is_refused])
async def test_the_same_call_gives_the_finished_ones_again_and_count_the_rest(
    trouble: Trouble, era: str
) -> None:
    async with world(era=era) as w:
        trouble(w)
        first = facts(await w.call(DRAW, FOUR))
        paid = len(posts(w))
        again = facts(await w.call(DRAW, FOUR))
        assert again["joined"].startswith("These are the images of the identical call")
        assert again["image_urls"] == first["image_urls"]
        assert again["next"] == first["next"]
        assert [why[:9] for why in again["failed"]] == ["Image 2: "]
        assert len(posts(w)) == paid
        heal(w)
        rest = facts(await w.call(DRAW, FOUR | {"count": 1}))
        assert "joined" not in rest
        assert rest["status"] == "completed"


@pytest.mark.parametrize("trouble", [is_torn, is_forbidden, hangs])
async def test_the_same_call_asks_about_the_one_in_doubt_under_its_key(trouble: Trouble) -> None:
    async with world() as w:
        trouble(w)
        first = facts(await w.call(DRAW, FOUR))
        heal(w)
        again = facts(await w.call(DRAW, FOUR))
        assert set(again["image_urls"]) > set(first["image_urls"])
        assert len(again["image_urls"]) == 4
        assert "failed" not in again
        assert (w.task_count, w.spent_cents, len(w.wire.keys)) == (4, 20, 4)


async def test_a_failed_answer_that_names_the_task_of_one_loses_no_picture() -> None:
    async with world() as w:
        names_its_task(w)
        drawn = facts(await w.call(DRAW, FOUR))
        assert drawn["task_ids"] == [*w.sandbox.accounts.of(KEY).tasks]
        assert len(drawn["image_urls"]) == 4
        assert "failed" not in drawn


@ERA
@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a fox [[fail: no foxes]]", "no foxes"),
        ("a fox [[402]]", "Nothing was paid."),
        ("a fox [[created 403]]", "RunAPI may or may not have charged this."),
        ("a fox [[created torn]]", "RunAPI may or may not have charged this."),
    ],
)
async def test_all_that_come_to_nothing_are_an_error(prompt: str, words: str, era: str) -> None:
    async with world(era=era) as w:
        drawn = await w.call(DRAW, {"prompt": prompt, "count": 3})
        assert drawn.is_error
        assert words in said(drawn)
        assert w.spent_cents in (0, 15)


async def test_of_all_that_failed_each_says_why_and_the_same_call_draws_anew() -> None:
    call = {"prompt": "a fox [[fail: no foxes]]", "count": 2}
    async with world() as w:
        told = facts(await w.call(DRAW, call))
        assert told["status"] == "failed"
        assert told["failed"] == [
            f'Image {n}: task {task_id}: RunAPI\'s sandbox says: "no foxes"'
            for n, task_id in enumerate(told["task_ids"], 1)
        ]
        assert "joined" not in facts(await w.call(DRAW, call))
        assert w.task_count == 4


async def test_what_failed_beside_one_in_doubt_is_not_told_as_all() -> None:
    call = {"prompt": "a fox [[fail: no foxes]]", "count": 2}
    async with world() as w:
        is_forbidden(w)
        told = await w.call(DRAW, call)
        assert told.is_error
        assert facts(told)["next"].startswith(IN_DOUBT)
        assert "joined" in facts(await w.call(DRAW, call))


async def test_one_that_runapi_forgot_keeps_no_call_waiting() -> None:
    async with world() as w:
        first = facts(await w.call(DRAW, FOUR | {"wait_seconds": 0}))
        await anyio.sleep(61)
        del w.sandbox.accounts.of(KEY).tasks[first["task_ids"][1]]
        for _ in range(2):
            began = anyio.current_time()
            told = facts(await w.call(DRAW, FOUR))
            assert (told["status"], len(told["image_urls"])) == ("completed", 3)
            assert first["task_ids"][1] in told["failed"][0]
            assert told["next"].endswith(SOME_FAILED)
            assert anyio.current_time() - began < 20


# Joined, handed over, settled


@ERA
async def test_the_same_call_at_once_and_later_is_the_same_pictures(era: str) -> None:
    async with world(era=era) as w:
        at_once = await both(*[partial(w.call, DRAW, FOUR)] * 3)
        later = await w.call(DRAW, FOUR)
        told = [facts(result) for result in (*at_once, later)]
        assert len({tuple(each["image_urls"]) for each in told}) == 1
        assert sorted("joined" in each for each in told) == [False, True, True, True]
        assert told[-1]["joined"] == (
            f"These are the images of the identical call of {utc(NOON)}, given again and charged "
            "once. To draw and pay for new ones, make the same call with redraw: "
            f"{told[-1]['task_id']}"
        )
        assert len(posts(w)) == 4
        await anyio.sleep(15 * 60)
        assert "joined" not in facts(await w.call(DRAW, FOUR))
        assert w.task_count == 8


async def test_pictures_of_a_call_count_as_handed_over_when_all_are_in_an_answer() -> None:
    async with world() as w:
        one_slow(w)
        running = facts(await w.call(DRAW, FOUR | {"wait_seconds": 20}))
        assert (running["status"], len(running["image_urls"])) == ("processing", 3)
        assert not any(await delivered(w))
        for task_id in running["task_ids"]:
            await w.call("get_task", {"task_id": task_id})
        assert not any(await delivered(w))
        assert len(facts(await w.call(DRAW, FOUR))["image_urls"]) == 4
        assert all(await delivered(w))


def one_slow(w: World) -> None:
    async def slow(go_on: Pass) -> httpx.Response:
        answer = await go_on()
        tasks = w.sandbox.accounts.of(KEY).tasks
        task = tasks[json.loads(await answer.aread())["id"]]
        tasks[task.id] = replace(task, seconds=50)
        return answer

    meddle_with_second(w, slow)


async def delivered(w: World) -> list[bool]:
    return [row["delivered"] for row in facts(await w.call("list_tasks"))["tasks"]]


@pytest.mark.parametrize("member", [0, 1])
@pytest.mark.parametrize("word", ["task_ids", "image_paths", "image_urls", "redraw"])
async def test_using_any_of_its_pictures_settles_a_call(
    word: str, member: int, tmp_path: Path
) -> None:
    two = FOX | {"count": 2}
    folders = Folders(tmp_path, (tmp_path,)) if word == "image_paths" else None
    async with world(folders=folders) as w:
        first = facts(await w.call(DRAW, two))
        if word == "redraw":
            again = facts(await w.call(DRAW, two | {"redraw": first["task_ids"][member]}))
            assert "joined" not in again
            assert facts(await w.call(DRAW, two))["task_ids"] == again["task_ids"]
        else:
            source = first[word][member]
            remixed = await w.call(REMIX, {"prompt": "snow", "source_image_urls": [source]})
            assert not remixed.is_error
            again = facts(await w.call(DRAW, two))
            assert "joined" not in again
        assert not {*again["task_ids"]} & {*first["task_ids"]}


@ERA
async def test_get_task_answers_for_one_and_names_its_siblings(era: str) -> None:
    async with world(era=era) as w:
        first = facts(await w.call(DRAW, FOUR))
        for task_id in first["task_ids"]:
            got = facts(await w.call("get_task", {"task_id": task_id}))
            assert (got["task_id"], got["task_ids"]) == (task_id, first["task_ids"])
            assert got["image_urls"] == [f"{BASE_URL}/images/{task_id}.png"]
            assert got["cost_cents"] == 5


async def test_get_task_of_one_that_failed_is_an_error_though_the_others_are_drawn() -> None:
    async with world() as w:
        fails(w)
        ids = facts(await w.call(DRAW, FOUR))["task_ids"]
        got = await w.call("get_task", {"task_id": ids[1]})
        assert got.is_error
        assert facts(got)["error"] == 'RunAPI\'s sandbox says: "no foxes"'
        assert facts(got)["task_ids"] == ids


async def test_each_picture_is_a_row_of_the_list() -> None:
    async with world() as w:
        is_refused(w)
        ids = facts(await w.call(DRAW, FOUR))["task_ids"]
        for show in ("recent", "undelivered", "running"):
            rows = facts(await w.call("list_tasks", {"show": show}))["tasks"]
            assert [row["task_id"] for row in rows] == (ids if show == "recent" else [])
            assert all((row["prompt"], row["cost_cents"]) == ("a fox", 5) for row in rows)


async def test_a_running_set_is_listed_without_those_that_came_to_nothing() -> None:
    async with world() as w:
        is_refused(w)
        ids = facts(await w.call(DRAW, FOUR | {"wait_seconds": 0}))["task_ids"]
        for show in ("recent", "undelivered", "running"):
            rows = facts(await w.call("list_tasks", {"show": show}))["tasks"]
            assert [row["task_id"] for row in rows] == ids


async def test_what_is_begun_says_that_the_same_call_goes_on_with_all() -> None:
    async with world() as w:
        begun = facts(await w.call(DRAW, FOUR | {"wait_seconds": 0}))
        assert begun["next"].startswith("Make the same call again")
        assert len(begun["task_ids"]) == 4


# Ways to lose it


@ERA
async def test_cancelled_in_the_middle_nothing_is_lost_and_nothing_paid_twice(era: str) -> None:
    async with world(era=era) as w:

        async def slow(sent: Sent, go_on: Pass) -> httpx.Response:
            if is_paid(sent) and len(w.wire.keys) > 1:
                await anyio.sleep(10)
            return await go_on()

        w.wire.meddle = slow
        with anyio.move_on_after(3):
            await w.call(DRAW, FOX | {"count": 8})
        again = facts(await w.call(DRAW, FOX | {"count": 8}))
        assert "joined" in again
        assert len(again["task_ids"]) == w.task_count == len(w.wire.keys)
        assert w.task_count + len(again.get("failed", [])) == 8


async def test_cancelled_while_some_wait_for_their_turn_the_others_are_not_paid() -> None:
    async with world() as w:
        with anyio.move_on_after(0.2):
            await w.call(DRAW, FOX | {"count": 8})
        again = facts(await w.call(DRAW, FOX | {"count": 8}))
        made = len(again["task_ids"])
        assert 0 < made < 8
        assert again["failed"][-1] == "Image 8: It was not ordered. Nothing was paid for it."
        assert again["next"].endswith(f"count: {8 - made}.")
        assert w.task_count == made


async def test_the_deadline_of_the_host_holds_for_eight() -> None:
    async with world() as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox [[takes 80s]]", "count": 8}))
        assert (drawn["status"], len(drawn["task_ids"])) == ("processing", 8)
        assert anyio.current_time() <= 46
        again = facts(await w.call(DRAW, {"prompt": "a fox [[takes 80s]]", "count": 8}))
        assert len(again["image_urls"]) == 8
        assert w.task_count == 8


@pytest.mark.parametrize("seen", [2, 8])
async def test_what_a_killed_process_had_not_sent_of_a_call_is_sent_by_the_same_call(
    seen: int, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        world(ledger=first) as w,
        world(ledger=second, sandbox=w.sandbox) as other,
        anyio.create_task_group() as group,
    ):

        async def freeze(sent: Sent, go_on: Pass) -> httpx.Response:
            answer = await go_on()
            if is_paid(sent) and len(w.wire.keys) >= seen:
                await first.aclose()
                await anyio.sleep_forever()
            return answer

        w.wire.meddle = freeze
        group.start_soon(w.call, DRAW, FOX | {"count": 8})
        await anyio.sleep(1)
        again = facts(await other.call(DRAW, FOX | {"count": 8}))
        assert len(again["image_urls"]) == 8
        assert (w.task_count, w.spent_cents) == (8, 40)
        group.cancel_scope.cancel()


async def test_prompts_that_are_not_kept_cost_a_call_of_several_nothing() -> None:
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        world(ledger=ledger, keeps_prompts=False) as w,
        world(ledger=ledger, sandbox=w.sandbox, keeps_prompts=False) as other,
    ):
        is_torn(w)
        first = facts(await w.call(DRAW, FOUR))
        again = facts(await other.call(DRAW, FOUR))
        assert set(again["image_urls"]) > set(first["image_urls"])
        assert (w.task_count, w.spent_cents) == (4, 20)
        assert all(entry.request is None for entry in await ledger.entries(None))


async def test_all_completed_without_an_image_are_an_error_and_drawn_anew() -> None:
    async with world() as w:

        async def empty(sent: Sent, go_on: Pass) -> httpx.Response:
            answer = await go_on()
            if sent.method == "POST" or "price" in sent.path:
                return answer
            return httpx.Response(200, json=json.loads(await answer.aread()) | {"images": []})

        w.wire.meddle = empty
        for call in (FOX, FOX | {"count": 2}):
            drawn = await w.call(DRAW, call)
            assert drawn.is_error
            assert facts(drawn)["status"] == "completed"
            assert "The same call draws, and pays for, " in facts(drawn)["next"]
        heal(w)
        for call, count in ((FOX, 1), (FOX | {"count": 2}, 2)):
            anew = facts(await w.call(DRAW, call))
            assert "joined" not in anew
            assert len(anew["image_urls"]) == count


# Saved


@ERA
@pytest.mark.parametrize("save_as", [None, "foxes", "foxes.png", "sub/foxes"])
async def test_they_are_saved_under_one_name_and_their_numbers(
    save_as: str | None, era: str, tmp_path: Path
) -> None:
    async with saving(tmp_path, era=era) as w:
        named = FOUR if save_as is None else FOUR | {"save_as": save_as}
        paths = saved(await w.call(DRAW, named))
        stem = paths[0].stem.removesuffix("-1")
        assert [path.name for path in paths] == [f"{stem}-{n}.png" for n in range(1, 5)]
        assert ("fox" in stem) == (save_as is None) or stem == "foxes"
        assert len({path.read_bytes() for path in paths}) == len(paths)
        assert saved(await w.call(DRAW, named)) == paths
        assert sorted(path.name for path in paths[0].parent.glob("*.png")) == [
            path.name for path in paths
        ]


def saving(folder: Path, **more: Any) -> Any:  # Any: as `world` has them
    """A world whose server saves in this folder."""
    return world(folders=Folders(folder, (folder,)), saves=True, **more)


def saved(result: CallToolResult) -> list[Path]:
    return [Path(path) for path in facts(result)["image_paths"]]


async def test_where_one_name_is_taken_all_move(tmp_path: Path) -> None:
    (tmp_path / "foxes-3.png").write_bytes(b"mine")
    async with saving(tmp_path) as w:
        paths = saved(await w.call(DRAW, FOUR | {"save_as": "foxes"}))
        assert [path.name for path in paths] == [f"foxes-2-{n}.png" for n in range(1, 5)]


@pytest.mark.parametrize("save_as", [None, "foxes"])
async def test_one_that_comes_a_day_later_has_the_name_of_its_siblings(
    save_as: str | None, tmp_path: Path
) -> None:
    named = FOUR if save_as is None else FOUR | {"save_as": save_as}
    async with saving(tmp_path) as w:
        is_forbidden(w)
        first = saved(await w.call(DRAW, named))
        assert [path.stem[-2:] for path in first] == ["-1", "-3", "-4"]
        await anyio.sleep(86_400)
        heal(w)
        whole = saved(await w.call(DRAW, named))
        assert [first[0], *first[1:]] == [whole[0], *whole[2:]]
        assert whole[1].name == first[0].name.replace("-1.png", "-2.png")


@ERA
async def test_one_alone_that_get_task_fetches_has_the_name_of_the_set(
    era: str, tmp_path: Path
) -> None:
    async with saving(tmp_path, era=era) as w:
        begun = facts(await w.call(DRAW, FOUR | {"wait_seconds": 0, "save_as": "foxes"}))
        [third] = saved(await w.call("get_task", {"task_id": begun["task_ids"][2]}))
        assert third.name == "foxes-3.png"
        whole = saved(await w.call(DRAW, FOUR | {"save_as": "foxes"}))
        assert [path.name for path in whole] == [f"foxes-{n}.png" for n in range(1, 5)]


async def test_eight_previews_of_large_noisy_images_are_all_in_an_answer_of_200_kb(
    tmp_path: Path,
) -> None:
    picture = encoded(noise("RGB", (2048, 2048)), "JPEG", quality=80)
    async with saving(tmp_path) as w:

        async def noisy(sent: Sent, go_on: Pass) -> httpx.Response:
            is_image = sent.path.startswith("/images/")
            return httpx.Response(200, content=picture) if is_image else await go_on()

        w.wire.meddle = noisy
        drawn = await w.call(DRAW, FOX | {"count": 8, "output_resolution": "2k"})
        wire = json.dumps(drawn.model_dump(by_alias=True, mode="json", exclude_none=True))
        assert len(wire) <= 200_000
        sizes = [decoded(b64decode(preview.data)).size for preview in previews(drawn)]
        assert len(sizes) == 8
        assert min(min(sizes)) >= 64
        assert facts(drawn)["image_sizes"] == ["2048x2048"] * 8


async def test_a_task_with_two_images_beside_others_is_saved_whole(tmp_path: Path) -> None:
    """As RunAPI never said that it would."""
    async with saving(tmp_path) as w:

        async def double(sent: Sent, go_on: Pass) -> httpx.Response:
            answer = await go_on()
            if sent.method == "POST" or sent.path.startswith("/images/") or "price" in sent.path:
                return answer
            told = json.loads(await answer.aread())
            more = [{"url": f"{image['url']}?2"} for image in told["images"]]
            return httpx.Response(200, json=told | {"images": [*told["images"], *more]})

        w.wire.meddle = double
        drawn = await w.call(DRAW, FOX | {"count": 2, "save_as": "foxes"})
        assert len(saved(drawn)) == len(facts(drawn)["image_urls"]) == 4
        assert len(set(saved(drawn))) == 4
