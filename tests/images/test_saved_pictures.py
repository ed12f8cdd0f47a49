"""A saved picture is found again without being fetched, and fetched again where it is gone."""

from pathlib import Path

import anyio
import httpx
import pytest

from runapi_mcp.images.folders import Folders
from tests.support.ledgers import contents, ledger_at
from tests.support.pictures import (
    DRAW,
    FOX,
    LATER,
    ORIGIN,
    TASK_ID,
    again,
    fetches,
    files_in,
    made_up,
    path_of,
    png,
    previews,
    story_of,
)
from tests.support.world import KEY, facts, said, world

pytestmark = pytest.mark.anyio


async def test_a_saved_picture_is_found_again_without_being_fetched(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, FOX)
        second = await again(w, first)
        assert path_of(second) == path_of(first)
        assert previews(second) == previews(first)
        assert len(fetches(w)) == 1


@pytest.mark.parametrize("damage", ["deleted", "folder deleted", "emptied", "cut", "a folder now"])
async def test_a_picture_that_is_gone_is_fetched_again(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    async with world(folders=Folders(folder)) as w:
        first = await w.call(DRAW, FOX)
        whole, path = path_of(first).read_bytes(), path_of(first)
        match damage:
            case "deleted":
                path.unlink()
            case "folder deleted":
                folder.rename(tmp_path / "trash")
            case "emptied":
                path.write_bytes(b"")
            case "cut":
                path.write_bytes(whole[:-100])
            case _:
                path.unlink()
                path.mkdir()
        second = await again(w, first)
        assert path_of(second).read_bytes() == whole
        assert len(fetches(w)) == 2
        assert path_of(await again(w, first)) == path_of(second)
        assert len(fetches(w)) == 2


@pytest.mark.parametrize("key", [KEY, "sandbox-another"])
async def test_another_server_finds_a_saved_picture_by_the_ledger(key: str, tmp_path: Path) -> None:
    folders, where = Folders(tmp_path / "pictures"), tmp_path / "ledger.sqlite3"
    async with ledger_at(where) as ledger, world(folders=folders, ledger=ledger) as w:
        first = await w.call(DRAW, FOX)
        async with (
            ledger_at(where) as theirs,
            world(folders=folders, ledger=theirs, sandbox=w.sandbox, key=key) as other,
        ):
            found = await again(other, first)
            assert fetches(other) == []
        if key == KEY:
            assert path_of(found) == path_of(first)
        else:
            assert found.is_error
            assert str(tmp_path) not in said(found)


async def test_a_task_that_no_ledger_knows_is_saved_all_the_same(tmp_path: Path) -> None:
    async with world() as w, world(folders=Folders(tmp_path), sandbox=w.sandbox) as other:
        first = await w.call(DRAW, FOX)
        paths = [path_of(await again(other, first)) for _ in range(2)]
        assert paths[0] == paths[1]
        assert paths[0].name == f"2026-11-20-picture-{facts(first)['task_id'][:4]}.png"
        assert len(files_in(tmp_path)) == 2


async def test_a_picture_keeps_its_day_and_its_expiry_however_late_it_is_asked_for(
    tmp_path: Path,
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, LATER)
        seen = await again(w, first)
        path, story = path_of(seen), story_of(path_of(seen))
        for left in files_in(tmp_path):
            (tmp_path / left).unlink()
        await anyio.sleep(86_400)
        later = await again(w, first)
        assert path_of(later) == path
        assert facts(later)["expires"] == facts(seen)["expires"]
        assert story_of(path_of(later)) == story


async def test_a_saved_picture_is_known_also_when_runapi_signs_its_address_anew(
    tmp_path: Path,
) -> None:
    urls, asked = [f"{ORIGIN}/fox.png?signature=1"], list[str]()

    def keeper(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=png())

    async with made_up(keeper, Folders(tmp_path), urls) as client:
        first = await client.call_tool(DRAW, FOX)
        urls[:] = [f"{ORIGIN}/fox.png?signature=2"]
        await anyio.sleep(86_400)
        second = await client.call_tool("get_task", {"task_id": TASK_ID})
        assert asked == [f"{ORIGIN}/fox.png?signature=1"]
        urls[:] = [f"{ORIGIN}/fox.png?signature=3"]
        for left in files_in(tmp_path):
            (tmp_path / left).unlink()
        third = await client.call_tool("get_task", {"task_id": TASK_ID})
        assert asked[1:] == urls == facts(third)["image_urls"]
        assert path_of(first) == path_of(second) == path_of(third)
        assert facts(first)["expires"] == facts(third)["expires"]


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_ledger_without_prompts_holds_no_word_of_one(
    *, keeps: bool, tmp_path: Path
) -> None:
    where, folders = tmp_path / "ledger/l.sqlite3", Folders(tmp_path / "pictures")
    async with (
        ledger_at(where) as ledger,
        made_up(png(), folders, ledger=ledger, keeps_prompts=keeps) as client,
    ):
        drawn = path_of(await client.call_tool(DRAW, FOX))
        assert path_of(await client.call_tool("get_task", {"task_id": TASK_ID})) == drawn
        words = contents(where.parent)
        assert str(drawn.parent).encode() in words
        assert (b"snow" in words) == keeps
