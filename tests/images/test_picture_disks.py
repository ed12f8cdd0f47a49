"""A disk that fills up while a picture comes in costs its file, and neither preview nor size."""

import sys
from pathlib import Path

import httpx
import pytest

from runapi_mcp.images.folders import Folders
from tests.support.pictures import (
    DRAW,
    FOX,
    again,
    fetches,
    files_in,
    made_up,
    no_more_than,
    path_of,
    png,
    previews,
)
from tests.support.world import facts, world

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits"),
]


@pytest.mark.parametrize("byte_size", [0, 1_000, 15_000])
async def test_a_full_disk_leaves_the_preview_and_the_size(byte_size: int, tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        with no_more_than(byte_size):
            failed = await w.call(DRAW, FOX)
        assert facts(failed)["not_saved"].startswith(f"The picture was not saved in {tmp_path}: ")
        assert facts(failed)["image_sizes"] == ["1024x1024"]
        assert len(previews(failed)) == 1
        assert files_in(tmp_path) == []
        assert path_of(await again(w, failed)).parent == tmp_path


async def test_who_wants_no_preview_has_it_fetched_once(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        with no_more_than(1_000):
            failed = await w.call(DRAW, {**FOX, "preview_px": 0})
        assert "The picture was not saved" in facts(failed)["not_saved"]
        assert len(fetches(w)) == 1


async def test_where_it_cannot_be_fetched_anew_the_disk_is_the_reason(tmp_path: Path) -> None:
    answers = [httpx.Response(200, content=png(compress_level=0)), httpx.Response(410)]
    async with made_up(lambda _: answers.pop(0), Folders(tmp_path)) as client:
        with no_more_than(1_000):
            failed = await client.call_tool(DRAW, FOX)
    assert answers == []
    assert facts(failed)["not_saved"].startswith(f"The picture was not saved in {tmp_path}: ")
    assert "image_sizes" not in facts(failed)
