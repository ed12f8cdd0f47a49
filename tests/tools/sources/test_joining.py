"""The same call with the same files continues what reached nobody, with the very same body."""

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest
from mcp_types import Implementation

from tests.support.ledgers import ledger_at
from tests.support.photos import (
    PAID,
    PAYING,
    REMIX,
    UPLOADING,
    URL,
    asking,
    photo,
    remixing,
    uploads,
    way,
)
from tests.support.pictures import DRAW
from tests.support.world import ERAS, Pass, Sent, World, facts, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
MINUTE = 60


@ERA
async def test_the_same_call_with_the_same_file_continues_what_reached_nobody(
    era: str, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era) as w:
        first = facts(await w.call(REMIX, asking(fox) | {"wait_seconds": 0}))
        await anyio.sleep(2 * 3600)
        os.utime(fox, (1, 1))
        again = facts(await w.call(REMIX, asking(fox.as_uri())))
        assert again["task_id"] == first["task_id"]
        assert "joined" in again
        assert way(w) == [*UPLOADING, PAID]
        new = facts(await w.call(REMIX, asking(fox) | {"redraw": first["task_id"]}))
        assert "joined" not in new
        assert w.spent_cents == 10


async def test_after_a_restart_the_same_call_is_continued_whatever_the_upload_is_called_now(
    tmp_path: Path, fox: Path
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as before, remixing(tmp_path, ledger=before) as w:
        first = facts(await w.call(REMIX, asking(fox) | {"wait_seconds": 0}))
    await anyio.sleep(2 * 3600)
    async with (
        ledger_at(path) as after,
        remixing(tmp_path, ledger=after, sandbox=w.sandbox) as again,
    ):
        # Another prompt, so that the file has another address by now.
        await again.call(REMIX, asking(fox, prompt="an owl"))
        continued = facts(await again.call(REMIX, asking(fox)))
        assert continued["task_id"] == first["task_id"]
        assert "joined" in continued
        assert w.task_count == 2


async def test_another_file_another_order_and_another_name_are_other_calls(
    tmp_path: Path, fox: Path
) -> None:
    owl = photo(tmp_path / "photos" / "owl.png", seed=90)
    at_once = {"wait_seconds": 0}
    async with remixing(tmp_path, saves=True) as w:
        await w.call(REMIX, asking(fox, owl) | at_once)
        await w.call(REMIX, asking(owl, fox) | at_once)
        await w.call(REMIX, asking(fox) | at_once)
        await w.call(REMIX, asking(fox, owl) | at_once | {"save_as": "hero"})
        assert w.task_count == 4
        photo(fox, seed=60)
        assert "joined" not in facts(await w.call(REMIX, asking(fox) | at_once))


@pytest.mark.parametrize("minutes", [0, 90])
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_doubt_is_settled_with_the_very_same_body_under_the_same_key(
    minutes: int,
    restarts: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    fox: Path,
) -> None:
    path = tmp_path / "ledger"
    arguments = asking(fox, URL, prompt="a fox [[created torn x1]]")
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        remixing(tmp_path, ledger=first) as w,
        remixing(tmp_path, ledger=second, sandbox=w.sandbox) as other,
    ):
        w.wire.down_after_posts = 3
        doubtful = await w.call(REMIX, arguments)
        assert "RunAPI may or may not have charged this." in said(doubtful)
        w.wire.down_after_posts = None
        await anyio.sleep(minutes * MINUTE)
        os.utime(fox, (1, 1))
        if restarts:
            await first.aclose()
        again = await (other if restarts else w).call(REMIX, arguments)
        assert facts(again)["status"] == "completed", said(again)
        assert "joined" in facts(again)
        paid = [each for each in [*w.wire.sent, *other.wire.sent] if each.path == PAYING]
        assert len({(each.body, each.headers["idempotency-key"]) for each in paid}) == 1
        assert len(paid) > 1
        assert uploads(w, other) == 1
        assert (w.task_count, w.spent_cents) == (1, 5)


async def test_a_doubt_keeps_its_body_though_the_upload_it_names_is_over_by_now(
    tmp_path: Path, fox: Path
) -> None:
    arguments = asking(fox, prompt="an owl [[created torn x1]]")
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(fox))
        await anyio.sleep(3_270)
        w.wire.down_after_posts = 4
        assert "may or may not have charged" in said(await w.call(REMIX, arguments))
        w.wire.down_after_posts = None
        await anyio.sleep(3_320 - anyio.current_time())
        again = await w.call(REMIX, arguments)
        assert "joined" in facts(again), said(again)
        assert uploads(w) == 1
        assert w.task_count == 2


async def test_a_remix_of_a_task_is_continued_when_its_picture_is_to_come_from_the_disk(
    tmp_path: Path,
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await anyio.sleep(143 * 3600)
        made = facts(await w.call(REMIX, asking(drawn["task_id"]) | {"wait_seconds": 0}))
        await anyio.sleep(2 * 3600)
        again = facts(await w.call(REMIX, asking(drawn["task_id"])))
        assert again["task_id"] == made["task_id"]
        assert uploads(w) == 0


def lose_file(w: World, fox: Path) -> None:
    fox.unlink()


def lose_network(w: World, fox: Path) -> None:
    w.wire.down = True


def slow_down(w: World, fox: Path) -> None:
    async def wait(sent: Sent, go_on: Pass) -> httpx.Response:
        await anyio.sleep(14)
        return await go_on()

    w.wire.meddle = wait


@pytest.mark.parametrize(
    ("starts_from_file", "spoil", "refusal"),
    [
        (True, lose_file, "This call uploaded and paid nothing."),
        (False, lose_network, "This call uploaded and paid nothing."),
        (False, slow_down, "This call paid nothing."),
    ],
)
async def test_who_cannot_look_at_a_source_does_not_speak_of_the_earlier_call(
    starts_from_file: bool,  # noqa: FBT001 - a parameter
    spoil: Callable[[World, Path], None],
    refusal: str,
    tmp_path: Path,
    fox: Path,
) -> None:
    async with (
        remixing(tmp_path) as w,
        remixing(tmp_path, sandbox=w.sandbox) as elsewhere,
    ):
        drawn = facts(await elsewhere.call(DRAW, {"prompt": "a fox"}))["task_id"]
        sources = [fox] if starts_from_file else [drawn] * 3
        made = facts(await w.call(REMIX, asking(*sources) | {"wait_seconds": 0}))
        charged = w.spent_cents
        spoil(w, fox)
        refused = await w.call(REMIX, asking(*sources))
        assert refused.is_error
        assert refusal in said(refused)
        assert "Nothing was" not in said(refused)
        assert w.task_ids[-1] == made["task_id"]
        assert w.spent_cents == charged


async def test_who_came_while_its_like_was_open_joins_it_however_long_a_source_is_looked_at(
    tmp_path: Path,
) -> None:
    claude = {"client_info": Implementation(name="claude-code", version="2")}
    async with (
        remixing(tmp_path, client=claude) as w,
        remixing(tmp_path, sandbox=w.sandbox) as elsewhere,
    ):
        source = facts(await elsewhere.call(DRAW, {"prompt": "a fox"}))["task_id"]

        async def look_slowly(sent: Sent, go_on: Pass) -> httpx.Response:
            await anyio.sleep(10 if source in sent.path else 0)
            return await go_on()

        w.wire.meddle = look_slowly
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(source))
            await anyio.sleep(5)
            assert "joined" in facts(await w.call(REMIX, asking(source)))
        assert "joined" not in facts(await w.call(REMIX, asking(source)))


async def test_who_leaves_what_another_one_ordered_takes_nothing_back(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w, anyio.create_task_group() as group:
        slow_down(w, fox)
        group.start_soon(w.call, REMIX, asking(fox))
        await anyio.sleep(20)
        with anyio.move_on_after(1):
            await w.call(REMIX, asking(fox))
        [row] = facts(await w.call("list_tasks"))["tasks"]
        assert row["status"] == "intended"
        group.cancel_scope.cancel()


async def test_who_is_too_slow_to_upload_does_not_speak_of_who_was_faster(
    tmp_path: Path, fox: Path
) -> None:
    path, answers = tmp_path / "ledger", list[str]()
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        remixing(tmp_path, ledger=first) as slow,
        remixing(tmp_path, ledger=second, sandbox=slow.sandbox) as quick,
    ):
        slow_down(slow, fox)

        async def call() -> None:
            answers.append(said(await slow.call(REMIX, asking(fox))))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.sleep(5)
            assert facts(await quick.call(REMIX, asking(fox)))["status"] == "completed"
        assert "could not be checked and uploaded in the time" in answers[0]
        assert "Nothing was paid" not in answers[0]
        assert (slow.task_count, slow.spent_cents) == (1, 5)
