"""A saved file that was changed since is not taken for the picture that was saved there."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from mcp_types import CallToolResult

from runapi_mcp.images.folders import Folders
from tests.support.photos import REMIX, asking, bodies, photo, picture, remixing, uploads
from tests.support.pictures import DRAW, FOX, again, encoded, fetches, path_of, png, story_of
from tests.support.world import World, facts, said, world

pytestmark = pytest.mark.anyio
HOUR = 3600
IN_DOUBT = 6.5 * 24 * HOUR
"""So old, RunAPI may have a picture or not."""
TOO_OLD = 8 * 24 * HOUR


@pytest.mark.parametrize("change", ["overwritten", "one byte", "another task's"])
async def test_a_file_that_was_changed_is_not_told_to_be_the_picture(
    change: str, tmp_path: Path
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, {**FOX, "save_as": "fox"})
        path, whole = path_of(first), path_of(first).read_bytes()
        match change:
            case "overwritten":
                path.write_bytes(png(size=(50, 50)))
            case "one byte":
                path.write_bytes(whole + b"\0")
            case _:
                await overwritten_with_another(w, first)
        changed = path.read_bytes()
        second = await again(w, first)
        assert facts(second)["image_sizes"] == ["1024x1024"]
        assert path_of(second) != path
        assert path_of(second).read_bytes() == whole
        assert path.read_bytes() == changed
        fetched = len(fetches(w))
        assert path_of(await again(w, first)) == path_of(second)
        assert len(fetches(w)) == fetched


async def overwritten_with_another(w: World, first: CallToolResult) -> None:
    """As who likes the second one better, and moves it over the first with its JSON."""
    path, redrawn = path_of(first), {"redraw": facts(first)["task_id"]}
    better = path_of(await w.call(DRAW, {**FOX, "save_as": "fox", **redrawn}))
    better.rename(path)
    beside(better).rename(beside(path))


def beside(path: Path) -> Path:
    """The JSON of a picture."""
    return path.with_name(f"{path.name}.json")


async def test_a_change_that_keeps_the_size_is_a_change_too(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, {**FOX, "save_as": "fox"})
        path, whole = path_of(first), path_of(first).read_bytes()
        path.write_bytes(whole[:-1] + b"\0")
        second = await again(w, first)
        assert path_of(second) == tmp_path / "fox-2.png"
        assert path_of(second).read_bytes() == whole


async def test_where_the_picture_cannot_be_fetched_again_the_change_is_told(
    tmp_path: Path,
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, FOX)
        path_of(first).write_bytes(png(size=(50, 50)))
        w.sandbox.faults.inject("image", "404", times=None)
        told = facts(await again(w, first))
        assert {"image_paths", "image_sizes"}.isdisjoint(told)
        assert told["not_saved"].startswith(f"{path_of(first)} was changed since it was saved. ")
        assert "HTTP 404" in told["not_saved"]


async def test_a_picture_without_its_json_is_taken_as_it_is(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, FOX)
        beside(path_of(first)).unlink()
        assert path_of(await again(w, first)) == path_of(first)
        assert len(fetches(w)) == 1


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.png"))


def edited(path: Path) -> None:
    path.write_bytes(encoded(picture(seed=70)))


CHANGES = pytest.mark.parametrize("change", [moved, edited])


@CHANGES
async def test_a_task_as_source_is_runapis_own_where_its_file_was_changed(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = await w.call(DRAW, FOX)
        await anyio.sleep(IN_DOUBT)
        change(path_of(drawn))
        made = await w.call(REMIX, asking(facts(drawn)["task_id"]))
        assert not made.is_error, said(made)
        assert bodies(w)[0]["source_image_urls"] == facts(drawn)["image_urls"]
        assert uploads(w) == 0
        assert story_of(path_of(made))["made_from"] == [{"task_id": facts(drawn)["task_id"]}]


@CHANGES
async def test_once_runapi_has_it_no_longer_a_changed_file_is_no_source_for_its_task(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = await w.call(DRAW, FOX)
        path, task_id = path_of(drawn), facts(drawn)["task_id"]
        await anyio.sleep(TOO_OLD)
        change(path)
        refused = await w.call(REMIX, asking(task_id))
        why = "was changed since it was saved" if path.exists() else "cannot be read"
        assert said(refused).startswith(f"{path} {why}")
        assert f"The image of task {task_id} was saved there, and RunAPI no lon" in said(refused)
        assert "This call uploaded and paid nothing." in said(refused)
        assert (bodies(w), uploads(w)) == ([], 0)
        taken = await w.call(REMIX, asking(photo(path, seed=70)))
        assert not taken.is_error
