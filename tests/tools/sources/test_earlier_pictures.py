"""An earlier picture is a source by its task id or its path, also when RunAPI has it no longer."""

from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from tests.support.photos import REMIX, asking, bodies, remixing, sources_of, uploads, way
from tests.support.pictures import DRAW, decoded, path_of, story_of
from tests.support.world import ERAS, clock, facts, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
DAY = 86_400


@ERA
async def test_an_earlier_picture_is_a_source_by_its_task_id_and_by_its_path(
    era: str, tmp_path: Path
) -> None:
    async with remixing(tmp_path, era=era, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await w.call(REMIX, asking(drawn["task_id"]))
        assert bodies(w)[0]["source_image_urls"] == drawn["image_urls"]
        assert uploads(w) == 0
        await w.call(REMIX, asking(drawn["image_paths"][0]))
        assert uploads(w) == 1
        assert len(await sources_of(w)) == 1


@pytest.mark.parametrize("prompt", ["a fox [[never]]", "a fox [[fail: no cats]]"])
async def test_a_task_without_an_image_is_no_source(prompt: str, tmp_path: Path) -> None:
    async with remixing(tmp_path) as w:
        task_id = facts(await w.call(DRAW, {"prompt": prompt, "wait_seconds": 0}))["task_id"]
        await anyio.sleep(5)
        before = w.spent_cents
        refused = await w.call(REMIX, asking(task_id))
        status = "failed" if "fail" in prompt else "processing"
        assert f"Task {task_id} has no image to start from: it is {status}." in said(refused)
        assert "This call uploaded and paid nothing." in said(refused)
        assert (bodies(w), w.spent_cents) == ([], before)


async def test_a_task_of_another_key_is_no_source(tmp_path: Path) -> None:
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        remixing(tmp_path, ledger=ledger, saves=True) as w,
        remixing(tmp_path, ledger=ledger, sandbox=w.sandbox, key="sandbox-key-of-another") as other,
    ):
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        for days in (0, 7):
            await anyio.sleep(days * DAY)
            refused = await other.call(REMIX, asking(drawn["task_id"]))
            assert "no task with this id for this API key" in said(refused)
        assert way(other) == []


@pytest.mark.parametrize(("hours", "is_uploaded"), [(143, False), (145, True)])
async def test_a_picture_that_runapi_may_have_no_longer_is_taken_from_the_disk(
    hours: int,
    is_uploaded: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        await anyio.sleep(hours * 3600)
        made = facts(await w.call(REMIX, asking(drawn["task_id"])))
        assert uploads(w) == is_uploaded
        [source] = await sources_of(w)
        assert decoded(source).tobytes() == decoded_at(drawn["image_paths"][0])
        story = story_of(made["image_paths"][0])
        assert story["made_from"] == [{"task_id": drawn["task_id"]}]


def decoded_at(path: str) -> bytes:
    return decoded(Path(path).read_bytes()).tobytes()


@pytest.mark.parametrize("lost", [False, True])
async def test_an_old_picture_that_was_converted_is_taken_as_it_came_if_that_is_there(
    *, lost: bool, tmp_path: Path
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox", "save_as": "fox.jpg"}))
        await anyio.sleep(145 * 3600)
        gone = drawn["original_paths" if lost else "image_paths"][0]
        (tmp_path / "pictures" / gone).unlink()
        result = await w.call(REMIX, asking(drawn["task_id"]))
        assert not result.is_error, said(result)
        [source] = await sources_of(w)
        assert decoded(source).format == ("JPEG" if lost else "PNG")


async def test_an_old_picture_whose_file_is_gone_is_said_to_be_so(tmp_path: Path) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = await w.call(DRAW, {"prompt": "a fox"})
        await anyio.sleep(8 * DAY)
        path_of(drawn).unlink()
        refused = await w.call(REMIX, asking(facts(drawn)["task_id"]))
        assert "cannot be read: No such file or directory." in said(refused)
        assert "This call uploaded and paid nothing." in said(refused)
        assert bodies(w) == []
