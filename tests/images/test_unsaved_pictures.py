"""A picture that cannot be fetched or saved costs its file, and neither the task nor the time."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp_types import CallToolResult
from PIL import Image

from runapi_mcp.images.folders import Folders
from tests.support.pictures import (
    DRAW,
    FOX,
    LATER,
    ORIGIN,
    TASK_ID,
    again,
    dripping,
    encoded,
    fetches,
    files_in,
    held,
    made_up,
    matches,
    no_more_than,
    path_of,
    png,
    previews,
)
from tests.support.world import ERAS, World, facts, said, world

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
AGAIN = (
    "Download the image from image_urls before it expires, or call get_task with this task_id: "
    "that tries to save it again and costs nothing."
)
NO_TIME = "It did not arrive in time."


def assert_not_saved(result: CallToolResult, why: str) -> None:
    """The task is none the worse for it: the answer has all it takes to get the picture."""
    assert not result.is_error
    assert "image_paths" not in facts(result)
    assert facts(result)["status"] == "completed"
    assert facts(result)["cost_cents"] == 5
    assert why in facts(result)["not_saved"]
    assert matches(r"2026-11-27 \d\d:\d\d UTC", facts(result)["expires"])
    assert facts(result)["next"] == AGAIN
    [url] = facts(result)["image_urls"]
    for words in (url, facts(result)["not_saved"], facts(result)["expires"], AGAIN):
        assert words in said(result)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("404", "could not be fetched from 127.0.0.1: HTTP 404."),
        ("503", "HTTP 503."),
        ("429", "HTTP 429."),
        ("html", "HTTP 502."),
        ("torn", "the answer broke off"),
        ("broken-json", "not a whole PNG, JPEG or WebP"),
        ("slow", NO_TIME),
    ],
)
async def test_a_failed_download_fails_no_task_and_get_task_tries_again(
    kind: Any, why: str, era: str, tmp_path: Path
) -> None:
    async with world(era=era, folders=Folders(tmp_path)) as w:
        w.sandbox.faults.inject("image", kind, seconds=100, times=None)
        failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, why)
        assert previews(failed) == []
        assert files_in(tmp_path) == []
        w.sandbox.faults.injected.clear()
        saved = await again(w, failed)
        assert path_of(saved).read_bytes() == await held(w, fetches(w)[-1])
        assert "not_saved" not in facts(saved)
        assert w.spent_cents == 5


BOMB = png("L", (8_000, 8_000))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>Access denied</html>", "The file is not a whole PNG, JPEG or WebP image."),
        (encoded(Image.new("RGB", (30, 20)), "GIF"), "The file is GIF."),
        (png()[: len(png()) // 2], "The file is not a whole PNG, JPEG or WebP image."),
        (png()[:30], "The file is not a whole PNG, JPEG or WebP image."),
        (bytes(1_000), "The file is not a whole PNG, JPEG or WebP image."),
        (b"", "the answer is empty or incomplete"),
        (BOMB, "The image has 8000 x 8000 pixels."),
    ],
    ids=["html", "gif", "cut", "header", "zeros", "empty", "bomb"],
)
@pytest.mark.parametrize("preview_px", [0, 512])
async def test_what_is_no_image_is_not_saved(
    content: bytes, why: str, preview_px: int, tmp_path: Path
) -> None:
    answers = [content]

    def keeper(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=answers[-1], headers={"Content-Type": "image/png"})

    async with made_up(keeper, Folders(tmp_path)) as client:
        failed = await client.call_tool(DRAW, {**FOX, "preview_px": preview_px})
        assert_not_saved(failed, why)
        assert previews(failed) == []
        assert files_in(tmp_path) == []
        answers.append(png())
        saved = await client.call_tool("get_task", {"task_id": TASK_ID})
        assert path_of(saved).read_bytes() == png()


@pytest.mark.parametrize(
    "url",
    ["http://93.184.215.14/fox.png", "https://127.0.0.1/fox.png", "https://169.254.169.254/latest",
     "https://[::1]/fox.png", "https://user:pw@93.184.215.14/fox.png", "https://localhost/fox.png"],
)  # fmt: skip
async def test_an_address_within_a_network_is_not_gone_to(url: str, tmp_path: Path) -> None:
    asked: list[httpx.URL] = []

    def keeper(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, content=png())

    async with made_up(keeper, Folders(tmp_path), [url]) as client:
        told = facts(await client.call_tool(DRAW, FOX))
    assert told["not_saved"].startswith("No image is fetched from ")
    assert (asked, files_in(tmp_path)) == ([], [])


@POSIX
@pytest.mark.parametrize("byte_size", [0, 1_000, 20_000])
async def test_a_full_disk_costs_the_file_and_not_the_task(byte_size: int, tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        with no_more_than(byte_size):
            failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, f"The picture was not saved in {tmp_path}: File too large.")
        assert files_in(tmp_path) == []
        assert path_of(await again(w, failed)).parent == tmp_path


async def test_a_folder_that_is_a_file_costs_the_file_and_not_the_preview(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_bytes(b"somebody's own")
    async with world(folders=Folders(tmp_path / "pictures")) as w:
        failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, f"not saved in {tmp_path}/pictures: Not a directory.")
        assert len(previews(failed)) == 1
        assert facts(failed)["image_sizes"] == ["1024x1024"]
        (tmp_path / "pictures").unlink()
        assert path_of(await again(w, failed)).parent == tmp_path / "pictures"


async def test_a_link_among_the_folders_is_not_followed_out(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pictures/assets").symlink_to(tmp_path / "elsewhere")
    async with world(folders=Folders(tmp_path / "pictures")) as w:
        result = await w.call(DRAW, {**FOX, "save_as": "assets/fox"})
        assert_not_saved(result, "assets is a link, or not a folder")
        assert files_in(tmp_path) == []


@POSIX
@pytest.mark.parametrize("preview_px", [0, 512])
async def test_a_folder_that_cannot_be_made_costs_the_file(preview_px: int, tmp_path: Path) -> None:
    async with world(folders=Folders(Path("/dev/null/pictures"))) as w:
        failed = await w.call(DRAW, {**FOX, "preview_px": preview_px})
        assert_not_saved(failed, "The picture was not saved in /dev/null/pictures: ")
        assert len(previews(failed)) == (1 if preview_px else 0)
        assert len(fetches(w)) == (1 if preview_px else 0)


@contextmanager
def read_only(folder: Path) -> Generator[None]:
    """A folder that this process may not write; a root may, and is somebody else meanwhile."""
    user = os.geteuid()
    folder.chmod(0o500)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


@POSIX
async def test_a_folder_that_cannot_be_written_costs_the_file(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        await w.call(DRAW, FOX)  # imports what somebody else may not read
        before = files_in(tmp_path)
        with read_only(tmp_path):
            failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, f"The picture was not saved in {tmp_path}: Permission denied.")
        assert len(previews(failed)) == 1
        assert files_in(tmp_path) == before
        assert path_of(await again(w, failed)).parent == tmp_path


async def test_a_folder_whose_name_is_no_unicode_costs_no_task(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    async with world(folders=Folders(folder)) as w:
        result = await w.call(DRAW, FOX)
        assert facts(result)["status"] == "completed"
        assert w.spent_cents == 5


async def test_of_two_images_one_may_be_saved(tmp_path: Path) -> None:
    def keeper(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, content=png()) if "1" in request.url.path else httpx.Response(410)
        )

    urls = [f"{ORIGIN}/0.png", f"{ORIGIN}/1.png"]
    async with made_up(keeper, Folders(tmp_path), urls) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "fox"})
        assert path_of(result) == tmp_path / "fox-2.png"
        assert facts(result)["image_urls"] == urls
        assert "HTTP 410" in facts(result)["not_saved"]
        assert facts(result)["next"] == AGAIN
        assert len(previews(result)) == 1


@pytest.mark.parametrize("count", [1, 20])
async def test_images_that_never_come_cost_no_more_time_than_the_host_has(
    count: int, tmp_path: Path
) -> None:
    def keeper(_: httpx.Request) -> httpx.Response:
        return dripping(png(), 10, pause_seconds=1_000)

    urls = [f"{ORIGIN}/{n}.png" for n in range(count)]
    async with made_up(keeper, Folders(tmp_path), urls) as client:
        result = await client.call_tool(DRAW, FOX)
        assert not result.is_error
        assert NO_TIME in facts(result)["not_saved"]
        assert anyio.current_time() < 60
        assert files_in(tmp_path) == []


async def test_calls_that_wait_for_slow_downloads_of_others_keep_to_their_own_time(
    tmp_path: Path,
) -> None:
    ended: list[float] = []

    async def draw(w: World, number: int) -> None:
        await w.call(DRAW, {"prompt": f"a fox {number}"})
        ended.append(anyio.current_time())

    async with world(folders=Folders(tmp_path)) as w:
        w.sandbox.faults.inject("image", "slow", seconds=1_000, times=None)
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(draw, w, number)
    assert max(ended) < 60


async def test_whoever_waits_for_the_download_of_another_keeps_to_their_own_time(
    tmp_path: Path,
) -> None:
    ended: list[float] = []

    async def get(w: World, first: CallToolResult) -> None:
        assert NO_TIME in facts(await again(w, first))["not_saved"]
        ended.append(anyio.current_time())

    async with world(folders=Folders(tmp_path)) as w:
        w.sandbox.faults.inject("image", "slow", seconds=1_000, times=None)
        first = await w.call(DRAW, LATER)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(get, w, first)
    assert max(ended) < 60
