"""A file is uploaded once an hour, after all that may refuse it, before the request that pays."""

import os
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from tests.support.ledgers import ledger_at
from tests.support.photos import (
    PAID,
    REMIX,
    UPLOADING,
    asking,
    bodies,
    photo,
    remixing,
    seed_of,
    sources_of,
    uploads,
    way,
)
from tests.support.world import ERAS, KEY, clock, facts, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
MINUTE = 60


@ERA
async def test_the_three_steps_of_an_upload_come_before_the_request_that_pays(
    era: str, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era) as w:
        result = await w.call(REMIX, asking(fox))
        assert facts(result)["status"] == "completed"
        assert way(w) == [*UPLOADING, PAID]
        assert [seed_of(each) for each in await sources_of(w)] == [50]
        assert w.spent_cents == 5


async def test_the_key_and_the_files_name_never_go_to_the_upload_address(
    tmp_path: Path,
) -> None:
    path = photo(tmp_path / "photos" / "Ada at home, 3 Elm Street.png")
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(path))
        [put] = [each for each in w.wire.sent if each.method == "PUT"]
        assert KEY not in str(put)
        assert {"authorization", "cookie", "idempotency-key"} & set(put.headers) == set()
        assert all(b"Ada" not in each.body for each in w.wire.sent)
        assert all("Ada" not in str(each.headers) + each.path for each in w.wire.sent)
        prepared = next(each for each in w.wire.sent if each.path.endswith("/prepare"))
        assert prepared.headers["authorization"] == f"Bearer {KEY}"


async def test_a_file_is_uploaded_once_within_its_hour(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path) as w:
        for minutes, expected in ((0, 1), (30, 1), (24, 1), (2, 2), (54, 2), (2, 3)):
            await anyio.sleep(minutes * MINUTE)
            drawn = await w.call(REMIX, asking(fox, prompt=f"after {minutes} and {expected}"))
            assert not drawn.is_error
            assert uploads(w) == expected
            assert [seed_of(each) for each in await sources_of(w)] == [50]
        assert w.spent_cents == 6 * 5


async def test_two_calls_at_once_upload_a_file_once(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("upload", "slow", seconds=5)
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(fox))
            group.start_soon(w.call, REMIX, asking(fox, prompt="an owl"))
        assert uploads(w) == 1
        assert w.spent_cents == 10
        first, second = (body["source_image_urls"] for body in bodies(w))
        assert first == second


async def test_two_calls_at_once_upload_a_file_again_after_the_first_failed(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("upload", "slow", seconds=5)
        w.sandbox.faults.inject("confirm", "503")
        results: list[bool] = []

        async def call(prompt: str) -> None:
            results.append(bool((await w.call(REMIX, asking(fox, prompt=prompt))).is_error))

        async with anyio.create_task_group() as group:
            group.start_soon(call, "a fox")
            group.start_soon(call, "an owl")
        assert sorted(results) == [False, True]
        assert w.spent_cents == 5


async def test_two_servers_of_one_ledger_upload_a_file_once(tmp_path: Path, fox: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    async with (
        ledger_at(path) as mine,
        ledger_at(path) as yours,
        remixing(tmp_path, ledger=mine) as first,
        remixing(tmp_path, ledger=yours, sandbox=first.sandbox) as second,
    ):
        await first.call(REMIX, asking(fox))
        await second.call(REMIX, asking(fox, prompt="an owl"))
        assert uploads(first, second) == 1
        assert bodies(first)[0]["source_image_urls"] == bodies(second)[0]["source_image_urls"]


async def test_another_key_uploads_for_itself(tmp_path: Path, fox: Path) -> None:
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        remixing(tmp_path, ledger=ledger) as w,
        remixing(tmp_path, ledger=ledger, sandbox=w.sandbox, key="sandbox-key-of-another") as other,
    ):
        await w.call(REMIX, asking(fox))
        await other.call(REMIX, asking(fox))
        assert (uploads(w), uploads(other)) == (1, 1)


async def test_a_file_that_changed_is_uploaded_anew_and_one_that_was_touched_is_not(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(fox))
        os.utime(fox, (1, 1))
        await w.call(REMIX, asking(fox))
        await w.call(REMIX, asking(photo(tmp_path / "photos" / "copy.png", seed=50)))
        assert uploads(w) == 1
        photo(fox, seed=90)
        os.utime(fox, (1, 1))
        await w.call(REMIX, asking(fox))
        assert uploads(w) == 2
        assert [seed_of(each) for each in await sources_of(w)] == [90]


async def test_a_file_replaced_while_it_is_read_is_sent_as_it_was(
    tmp_path: Path, fox: Path
) -> None:
    other = photo(tmp_path / "photos" / "other.png", seed=90)
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("prepare", "slow", seconds=5)
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(fox))
            await anyio.sleep(2)
            other.replace(fox)
        [source] = await sources_of(w)
        assert seed_of(source) == 50


@ERA
async def test_several_files_are_uploaded_side_by_side_with_progress(
    era: str, tmp_path: Path
) -> None:
    photos = [photo(tmp_path / f"photos/{seed}.png", seed=seed) for seed in range(10, 90, 10)]
    async with remixing(tmp_path, era=era) as w:
        w.sandbox.faults.inject("upload", "slow", seconds=30)
        async with anyio.create_task_group() as group:
            group.start_soon(w.call, REMIX, asking(*photos))
            await anyio.sleep(10)
            assert way(w).count("PUT /uploads") == 8
            assert way(w).count(UPLOADING[2]) == 7
            assert way(w).count(PAID) == 0
        assert anyio.current_time() < 45
        assert [seed_of(each) for each in await sources_of(w)] == [*range(10, 90, 10)]
        words = [message for _, message in w.progress]
        assert words[0] == "checking the images"
        assert "uploading 7 of 8" in words


@ERA
@pytest.mark.parametrize("limits", [Limits(per_call_cents=4), Limits(per_day_cents=4)])
async def test_a_limit_refuses_before_anything_is_uploaded(
    era: str, limits: Limits, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era, limits=limits) as w:
        refused = await w.call(REMIX, asking(fox))
        assert refused.is_error
        assert "Nothing was paid." in said(refused)
        assert way(w) == []


@ERA
@pytest.mark.parametrize("pays", [True, False])
async def test_a_person_is_asked_before_anything_is_uploaded(
    era: str,
    pays: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    fox: Path,
) -> None:
    uploaded_when_asked: list[int] = []

    async def person(context: ClientRequestContext, asked: ElicitRequestParams) -> ElicitResult:
        uploaded_when_asked.append(len(way(w)))
        return ElicitResult(action="accept", content={"pay": "Yes, pay $0.05" if pays else "No"})

    limits = Limits(confirm_over_cents=4)
    client = {"elicitation_callback": person}
    async with remixing(tmp_path, era=era, limits=limits, client=client) as w:
        result = await w.call(REMIX, asking(fox, fox))
        assert uploaded_when_asked == ([0] if result.is_error is False or not pays else [])
        assert way(w) == ([*UPLOADING, PAID] if pays else [])
