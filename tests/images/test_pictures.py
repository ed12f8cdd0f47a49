"""Every finished picture is on the disk, as it came, and whoever asked knows where."""

import hashlib
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from PIL import Image

from runapi_mcp import __version__
from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.tools.facts import utc
from tests.server.test_tasks_extension import SPEAKS, followed, ordered
from tests.support.pictures import (
    DRAW,
    FOX,
    ORIGIN,
    again,
    encoded,
    fetches,
    files_in,
    held,
    made_up,
    path_of,
    png,
    previews,
    story_of,
)
from tests.support.world import ERAS, NOON, clock, facts, said, world

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("era", ERAS)
async def test_a_picture_is_saved_as_it_came_and_its_path_is_the_first_fact(
    era: str, tmp_path: Path
) -> None:
    async with world(era=era, folders=Folders(tmp_path)) as w:
        result = await w.call(DRAW, FOX)
        task_id, path = facts(result)["task_id"], path_of(result)
        assert path == tmp_path / f"2026-11-20-red-fox-in-the-snow-{task_id[:4]}.png"
        assert path.read_bytes() == await held(w, f"/images/{task_id}.png")
        assert files_in(tmp_path) == [path.name, f"{path.name}.json"]
        assert said(result).startswith(f"image_paths:\n- {path}\nstatus: completed\n")
        assert facts(result) == {
            "image_paths": [str(path)],
            "status": "completed",
            "task_id": task_id,
            "model": "flux-2-pro-text-to-image",
            "image_sizes": ["1024x1024"],
            "image_bytes": [path.stat().st_size],
            "image_seconds": facts(result)["image_seconds"],
            "image_urls": [f"http://127.0.0.1/images/{task_id}.png"],
            "expires": facts(result)["expires"],
            "cost_cents": 5,
            "spent_today_cents": 5,
            "next": "Tell the user the path. To change the image, give its path or task_id as "
            "source_image_urls to a remix tool.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        assert next(iter(facts(result))) == "image_paths"


async def test_the_json_beside_a_picture_says_how_it_came_to_be(tmp_path: Path) -> None:
    sources = ["https://example.com/a.png", "https://example.com/b.png"]
    async with world(folders=Folders(tmp_path)) as w:
        result = await w.call(
            "flux_2_pro_remix_image",
            {**FOX, "source_image_urls": sources, "output_resolution": "1k", "save_as": "fox"},
        )
        picture = path_of(result).read_bytes()
        told = story_of(path_of(result))
        assert told == {
            "task_id": facts(result)["task_id"],
            "model": "flux-2-pro-remix-image",
            "cost_cents": facts(result)["cost_cents"],
            "prompt": "A red fox in the snow",
            "arguments": {"output_resolution": "1k"},
            "made_from": [{"url": url} for url in sources],
            "drawn": told["drawn"],
            "source_expires": facts(result)["expires"],
            "sandbox": True,
            "software": f"runapi-mcp {__version__}",
            "source_url": facts(result)["image_urls"][0],
            "media_type": "image/png",
            "width": 1024,
            "height": 1024,
            "byte_size": len(picture),
            "sha256": hashlib.sha256(picture).hexdigest(),
        }
        assert told["drawn"].startswith(utc(NOON)[:11])


async def test_several_images_of_one_task_are_numbered(tmp_path: Path) -> None:
    urls = [f"{ORIGIN}/{n}.png?signature=a%2Fb" for n in range(4)]
    async with made_up(png(), Folders(tmp_path), urls) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "fox"})
    assert facts(result)["image_paths"] == [str(tmp_path / f"fox-{n}.png") for n in range(1, 5)]
    told = [story_of(path) for path in facts(result)["image_paths"]]
    assert [story["source_url"] for story in told] == urls


@pytest.mark.parametrize(("form", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp"), ("PNG", ".png")])
async def test_without_a_suffix_it_gets_that_of_the_content_whatever_it_was_called(
    form: str, suffix: str, tmp_path: Path
) -> None:
    content = encoded(Image.new("RGB", (300, 200)), form)
    lying = httpx.Response(200, content=content, headers={"Content-Type": "text/html"})
    async with made_up(lambda _: lying, Folders(tmp_path), [f"{ORIGIN}/fox.gif"]) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "fox"})
    assert path_of(result) == tmp_path / f"fox{suffix}"
    assert path_of(result).read_bytes() == content


async def test_a_task_of_the_extension_ends_with_the_picture(tmp_path: Path) -> None:
    async with world(client=SPEAKS, folders=Folders(tmp_path)) as w:
        task = await ordered(w, **FOX, save_as="fox")
        assert files_in(tmp_path) == []
        result = (await followed(w, task))["result"]
        path = tmp_path / "fox.png"
        assert result["structuredContent"]["image_paths"] == [str(path)]
        assert [block["type"] for block in result["content"]] == ["text", "image"]
        assert result["content"][0]["text"].startswith(f"image_paths:\n- {path}\n")
        assert path.read_bytes() == await held(w, fetches(w)[0])
        assert (await followed(w, task))["result"] == result
        assert len(fetches(w)) == 1


async def test_a_task_of_the_extension_keeps_to_the_preview_its_call_asked_for(
    tmp_path: Path,
) -> None:
    async with world(client=SPEAKS, folders=Folders(tmp_path)) as w:
        result = (await followed(w, await ordered(w, **FOX, preview_px=0)))["result"]
        assert [block["type"] for block in result["content"]] == ["text"]


async def test_a_task_of_the_extension_whose_download_fails_is_completed_all_the_same(
    tmp_path: Path,
) -> None:
    async with world(client=SPEAKS, folders=Folders(tmp_path)) as w:
        w.sandbox.faults.inject("image", "404", times=None)
        task = await ordered(w, **FOX)
        ended = await followed(w, task)
        assert ended["status"] == "completed"
        assert "HTTP 404" in ended["result"]["structuredContent"]["not_saved"]
        w.sandbox.faults.injected.clear()
        saved = (await followed(w, task))["result"]["structuredContent"]
        assert len(saved["image_paths"]) == 1


async def test_nothing_is_saved_where_saving_is_off(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path), saves=False) as w:
        result = await w.call(DRAW, FOX)
        assert {"image_paths", "not_saved"}.isdisjoint(facts(result))
        assert "expire about 7 days after drawing" in facts(result)["next"]
        assert len(previews(result)) == 1
        assert len(facts(result)["image_urls"]) == 1
        paid = w.wire.paths("POST")
        refused = await w.call(DRAW, {**FOX, "save_as": "fox"})
        assert said(refused).startswith("save_as cannot be honoured: this server saves no pictures")
        assert (w.wire.paths("POST"), files_in(tmp_path)) == (paid, [])


async def test_where_saving_and_previews_are_off_nothing_is_fetched(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path), saves=False, previews=False) as w:
        result = await w.call(DRAW, {**FOX, "preview_px": 512})
        assert fetches(w) == []
        assert len(facts(result)["image_urls"]) == 1


async def test_saving_off_hides_where_an_earlier_server_saved(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        world(folders=folders, ledger=ledger) as w,
        world(folders=folders, ledger=ledger, sandbox=w.sandbox, saves=False) as off,
    ):
        first = await w.call(DRAW, FOX)
        assert "image_paths" not in facts(await again(off, first))
        assert path_of(await again(w, first)) == path_of(first)
        assert len(fetches(w)) == 1


async def test_a_picture_that_is_not_drawn_yet_or_never_is_has_no_file(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        for prompt in ("a fox [[never]]", "a fox [[fail: no foxes]]"):
            result = await w.call(DRAW, {"prompt": prompt, "wait_seconds": 20})
            assert {"image_paths", "not_saved", "expires"}.isdisjoint(facts(result))
            assert [block.type for block in result.content] == ["text"]
        assert (fetches(w), files_in(tmp_path)) == ([], [])
