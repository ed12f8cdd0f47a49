"""Every finished picture is on the disk, as it came, and whoever asked knows where."""

import hashlib
import json
import os
import sys
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult
from PIL import Image
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp import __version__
from runapi_mcp.images.places import Places
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.tasks.desk import Desk
from runapi_mcp.tasks.ledger import Ledger
from runapi_mcp.tools.delivery import KEPT_SECONDS
from runapi_mcp.tools.facts import utc
from tests.ledgers import contents, ledger_at
from tests.pictures import (
    DRAW,
    ORIGIN,
    TASK_ID,
    dripping,
    encoded,
    fetches,
    links,
    made_up,
    matches,
    png,
    previews,
    served,
)
from tests.processes import QUICK, draw, finished, host, network, program, stdio_server
from tests.test_tasks_extension import SPEAKS, followed, ordered
from tests.world import ERAS, KEY, NOON, World, clock, facts, said, world

pytestmark = pytest.mark.anyio

FOX = {"prompt": "A red fox in the snow"}
LATER = {**FOX, "wait_seconds": 0}
EXPIRES = utc(NOON + KEPT_SECONDS)
AGAIN = (
    "Download the image from image_urls before it expires, or call get_task with this task_id: "
    "that tries to save it again and costs nothing."
)
NO_TIME = "It did not arrive in time."
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


def path_of(result: CallToolResult) -> Path:
    [path] = facts(result)["image_paths"]
    return Path(path)


def story_of(result: CallToolResult) -> dict[str, Any]:
    """What the JSON beside a picture says."""
    story: dict[str, Any] = json.loads(Path(f"{path_of(result)}.json").read_text())
    return story


def files_in(folder: Path) -> list[str]:
    """All files below the folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


async def again(w: World, result: CallToolResult) -> CallToolResult:
    return await w.call("get_task", {"task_id": facts(result)["task_id"]})


# --- where and how ------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_a_picture_is_saved_as_it_came_and_its_path_is_the_first_fact(
    era: str, tmp_path: Path
) -> None:
    async with world(era=era, places=Places(tmp_path)) as w:
        result = await w.call(DRAW, FOX)
        task_id, path = facts(result)["task_id"], path_of(result)
        assert path == tmp_path / f"2026-11-20-red-fox-in-the-snow-{task_id[:4]}.png"
        assert path.read_bytes() == await served(w, f"/images/{task_id}.png")
        assert files_in(tmp_path) == [path.name, f"{path.name}.json"]
        assert said(result).startswith(f"image_paths:\n- {path}\nstatus: completed\n")
        assert facts(result) == {
            "image_paths": [str(path)],
            "status": "completed",
            "task_id": task_id,
            "model": "flux-2-pro-text-to-image",
            "image_sizes": ["1024x1024"],
            "image_urls": [f"http://127.0.0.1/images/{task_id}.png"],
            "expires": facts(result)["expires"],
            "cost_cents": 5,
            "next": "Tell the user the path. To change the image, give its path or task_id as "
            "source_image_urls to a remix tool.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        assert next(iter(facts(result))) == "image_paths"


async def test_the_json_beside_a_picture_says_how_it_came_to_be(tmp_path: Path) -> None:
    sources = ["https://example.com/a.png", "https://example.com/b.png"]
    async with world(places=Places(tmp_path)) as w:
        result = await w.call(
            "flux_2_pro_remix_image",
            {**FOX, "source_image_urls": sources, "output_resolution": "1k", "save_as": "fox"},
        )
        picture = path_of(result).read_bytes()
        told = story_of(result)
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


@pytest.mark.parametrize(
    ("save_as", "file"),
    [
        ("hero", "hero.png"),
        ("assets/img/hero", "assets/img/hero.png"),
        ("assets\\hero.png", "assets/hero.png"),
        ("hero.png", "hero.png"),
        ("hero.PNG", "hero.png"),
        ("hero.jpg", "hero.png"),
        ("hero.webp.png", "hero.png"),
        ("hero.svg", "hero.svg.png"),
        ("v1.2", "v1.2.png"),
        ("雪の狐", "雪の狐.png"),
    ],
)
async def test_a_picture_is_saved_under_the_name_it_is_given(
    save_as: str, file: str, tmp_path: Path
) -> None:
    async with world(places=Places(tmp_path)) as w:
        assert path_of(await w.call(DRAW, {**FOX, "save_as": save_as})) == tmp_path / file
        assert files_in(tmp_path) == [file, f"{file}.json"]


@pytest.mark.parametrize(
    "save_as",
    ["", " ", ".", "..", "../fox", "a/../../fox", "a/./fox", "/etc/fox", "//host/fox", "\\fox",
     "C:\\fox", "c:fox", "~/fox", "~root/fox", ".git/hooks/fox", "a/.hidden", "fox/", "a//b",
     "fox\0", "fo\nx", "fox\u202egnp", "NUL", "aux.png", "a/COM1", "fox.", "a /b", "fox:stream",
     "fo*x", "x" * 121, "雪" * 81, "a/" * 8 + "fox", ".png", "file:///etc/fox",
     7, True, ["fox"], {"name": "fox"}],
)  # fmt: skip
async def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_paid(
    save_as: object, tmp_path: Path
) -> None:
    async with world(places=Places(tmp_path / "pictures")) as w:
        refused = await w.call(DRAW, {**FOX, "save_as": save_as})
        assert refused.is_error
        assert said(refused).startswith("save_as must ")
        assert "Nothing was sent or paid" in said(refused)
        assert (w.spent_cents, w.wire.sent, files_in(tmp_path)) == (0, [], [])


async def test_a_name_that_is_null_is_none(tmp_path: Path) -> None:
    async with world(places=Places(tmp_path)) as w:
        assert path_of(await w.call(DRAW, {**FOX, "save_as": None})).name.startswith("2026-11-20-")


@pytest.mark.parametrize(
    "prompt", ["../../etc/passwd", "CON", "$(rm -rf ~)", "a\nb\0c", "🦊🦊🦊", "..."]
)
async def test_no_prompt_leads_a_picture_out_of_its_folder(prompt: str, tmp_path: Path) -> None:
    async with world(places=Places(tmp_path)) as w:
        path = path_of(await w.call(DRAW, {"prompt": prompt}))
        assert path.parent == tmp_path
        assert matches(r"2026-11-20-[a-z-]+-[0-9a-f]{4}\.png", path.name)


async def test_a_link_among_the_folders_is_not_followed_out(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pictures/assets").symlink_to(tmp_path / "elsewhere")
    async with world(places=Places(tmp_path / "pictures")) as w:
        result = await w.call(DRAW, {**FOX, "save_as": "assets/fox"})
        assert_not_saved(result, "assets is a link, or not a folder")
        assert files_in(tmp_path) == []


async def test_pictures_of_one_name_never_overwrite_each_other(tmp_path: Path) -> None:
    (tmp_path / "fox-2.jpg").write_bytes(b"somebody's own")
    async with world(places=Places(tmp_path)) as w:
        results = [await w.call(DRAW, {**FOX, "save_as": "fox"}) for _ in range(3)]
        assert [path_of(result).name for result in results] == ["fox.png", "fox-3.png", "fox-4.png"]
        for result in results:
            image = await served(w, f"/images/{facts(result)['task_id']}.png")
            assert path_of(result).read_bytes() == image
        assert (tmp_path / "fox-2.jpg").read_bytes() == b"somebody's own"


async def test_several_images_of_one_task_are_numbered(tmp_path: Path) -> None:
    urls = [f"{ORIGIN}/{n}.png?signature=a%2Fb" for n in range(4)]
    async with made_up(png(), Places(tmp_path), urls) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "fox"})
    assert facts(result)["image_paths"] == [str(tmp_path / f"fox-{n}.png") for n in range(1, 5)]
    told = [json.loads((tmp_path / f"fox-{n}.png.json").read_text()) for n in range(1, 5)]
    assert [story["source_url"] for story in told] == urls


@pytest.mark.parametrize(("form", "suffix"), [("JPEG", ".jpg"), ("WEBP", ".webp"), ("PNG", ".png")])
async def test_the_suffix_is_that_of_the_content_whatever_it_was_called(
    form: str, suffix: str, tmp_path: Path
) -> None:
    content = encoded(Image.new("RGB", (300, 200)), form)
    lying = httpx.Response(200, content=content, headers={"Content-Type": "text/html"})
    async with made_up(lambda _: lying, Places(tmp_path), [f"{ORIGIN}/fox.gif"]) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "fox.png"})
    assert path_of(result) == tmp_path / f"fox{suffix}"
    assert path_of(result).read_bytes() == content


# --- found again --------------------------------------------------------------------------------


async def test_a_saved_picture_is_found_again_without_being_fetched(tmp_path: Path) -> None:
    async with world(places=Places(tmp_path)) as w:
        first = await w.call(DRAW, FOX)
        second = await again(w, first)
        assert path_of(second) == path_of(first)
        assert links(second) == links(first)
        assert previews(second) == previews(first)
        assert len(fetches(w)) == 1


@pytest.mark.parametrize("damage", ["deleted", "folder deleted", "emptied", "cut", "a folder now"])
async def test_a_picture_that_is_gone_is_fetched_again(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    async with world(places=Places(folder)) as w:
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
    places, where = Places(tmp_path / "pictures"), tmp_path / "ledger.sqlite3"
    async with ledger_at(where) as ledger, world(places=places, ledger=ledger) as w:
        first = await w.call(DRAW, FOX)
        async with (
            ledger_at(where) as theirs,
            world(places=places, ledger=theirs, sandbox=w.sandbox, key=key) as other,
        ):
            found = await again(other, first)
            assert fetches(other) == []
        if key == KEY:
            assert path_of(found) == path_of(first)
        else:
            assert found.is_error
            assert str(tmp_path) not in said(found)


async def test_two_servers_that_save_one_task_at_once_leave_one_picture(tmp_path: Path) -> None:
    places, where = Places(tmp_path / "pictures"), tmp_path / "ledger.sqlite3"
    paths: list[Path] = []

    async def get(w: World, first: CallToolResult) -> None:
        paths.append(path_of(await again(w, first)))

    async with (
        ledger_at(where) as ledger,
        ledger_at(where) as theirs,
        world(places=places, ledger=ledger) as w,
        world(places=places, ledger=theirs, sandbox=w.sandbox) as other,
    ):
        first = await w.call(DRAW, LATER)
        async with anyio.create_task_group() as group:
            group.start_soon(get, w, first)
            group.start_soon(get, other, first)
    assert len(set(paths)) == 1
    assert len(files_in(tmp_path / "pictures")) == 2


async def test_calls_that_wait_for_one_task_fetch_and_save_it_once(tmp_path: Path) -> None:
    paths: list[Path] = []

    async def get(w: World, first: CallToolResult) -> None:
        paths.append(path_of(await again(w, first)))

    async with world(places=Places(tmp_path)) as w:
        w.sandbox.faults.inject("image", "slow", seconds=3)
        first = await w.call(DRAW, LATER)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(get, w, first)
        assert len(fetches(w)) == 1
        assert len(set(paths)) == 1
        assert len(files_in(tmp_path)) == 2


async def test_a_task_that_no_ledger_knows_is_saved_all_the_same(tmp_path: Path) -> None:
    async with world() as w, world(places=Places(tmp_path), sandbox=w.sandbox) as other:
        first = await w.call(DRAW, FOX)
        paths = [path_of(await again(other, first)) for _ in range(2)]
        assert paths[0] == paths[1]
        assert paths[0].name == f"2026-11-20-picture-{facts(first)['task_id'][:4]}.png"
        assert len(files_in(tmp_path)) == 2


async def test_a_picture_keeps_its_day_and_its_expiry_however_late_it_is_asked_for(
    tmp_path: Path,
) -> None:
    async with world(places=Places(tmp_path)) as w:
        first = await w.call(DRAW, LATER)
        seen = await again(w, first)
        path, story = path_of(seen), story_of(seen)
        for left in files_in(tmp_path):
            (tmp_path / left).unlink()
        await anyio.sleep(86_400)
        later = await again(w, first)
        assert path_of(later) == path
        assert facts(later)["expires"] == facts(seen)["expires"]
        assert story_of(later) == story


async def test_a_saved_picture_is_known_also_when_runapi_signs_its_address_anew(
    tmp_path: Path,
) -> None:
    urls, asked = [f"{ORIGIN}/fox.png?signature=1"], list[str]()

    def keeper(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=png())

    async with made_up(keeper, Places(tmp_path), urls) as client:
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


# --- calls that continue others -----------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_the_same_name_continues_a_call_and_another_name_is_another_picture(
    era: str, tmp_path: Path
) -> None:
    async with world(era=era, places=Places(tmp_path)) as w:
        lost = await w.call(DRAW, {**LATER, "save_as": "fox"})
        other = await w.call(DRAW, {**FOX, "save_as": "other"})
        unnamed = await w.call(DRAW, FOX)
        joined = await w.call(DRAW, {**FOX, "save_as": "fox.jpg"})
        assert facts(joined)["task_id"] == facts(lost)["task_id"]
        assert "joined" in facts(joined)
        assert path_of(joined) == tmp_path / "fox.png"
        assert "joined" not in facts(other)
        assert path_of(other) == tmp_path / "other.png"
        assert "joined" not in facts(unnamed)
        assert w.task_count == 3


async def test_get_task_saves_under_the_name_that_the_call_asked_for(tmp_path: Path) -> None:
    async with world(places=Places(tmp_path)) as w:
        lost = await w.call(DRAW, {**LATER, "save_as": "img/fox"})
        assert path_of(await again(w, lost)) == tmp_path / "img/fox.png"


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_ledger_without_prompts_holds_no_word_of_one(
    *, keeps: bool, tmp_path: Path
) -> None:
    where, places = tmp_path / "ledger/l.sqlite3", Places(tmp_path / "pictures")
    async with (
        ledger_at(where) as ledger,
        made_up(png(), places, desk=Desk(ledger, keeps_prompts=keeps)) as client,
    ):
        drawn = path_of(await client.call_tool(DRAW, FOX))
        assert path_of(await client.call_tool("get_task", {"task_id": TASK_ID})) == drawn
        words = contents(where.parent)
        assert str(drawn.parent).encode() in words
        assert (b"snow" in words) == keeps


# --- what goes wrong ----------------------------------------------------------------------------


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
    assert links(result)[0].uri == url
    for words in (url, facts(result)["not_saved"], facts(result)["expires"], AGAIN):
        assert words in said(result)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("404", "could not be fetched from 127.0.0.1: HTTP 404, so its address has probably"),
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
    async with world(era=era, places=Places(tmp_path)) as w:
        w.sandbox.faults.inject("image", kind, seconds=100)
        failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, why)
        assert previews(failed) == []
        assert files_in(tmp_path) == []
        saved = await again(w, failed)
        assert path_of(saved).read_bytes() == await served(w, fetches(w)[-1])
        assert "not_saved" not in facts(saved)
        assert w.spent_cents == 5


BOMB = png("L", (8_000, 8_000))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>Access denied</html>", "The file is not a whole PNG, JPEG or WebP image."),
        (
            encoded(Image.new("RGB", (30, 20)), "GIF"),
            "The file is not a whole PNG, JPEG or WebP image.",
        ),
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
    answers = [content, png()]

    def keeper(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=answers.pop(0), headers={"Content-Type": "image/png"})

    async with made_up(keeper, Places(tmp_path)) as client:
        failed = await client.call_tool(DRAW, {**FOX, "preview_px": preview_px})
        assert_not_saved(failed, why)
        assert previews(failed) == []
        assert files_in(tmp_path) == []
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

    async with made_up(keeper, Places(tmp_path), [url]) as client:
        assert_not_saved(await client.call_tool(DRAW, FOX), "No image is fetched from ")
    assert (asked, files_in(tmp_path)) == ([], [])


@contextmanager
def no_more_than(byte_size: int) -> Generator[None]:
    """As on a full disk, no file grows beyond this size."""
    import resource

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte_size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


@POSIX
@pytest.mark.parametrize("byte_size", [0, 1_000, 20_000])
async def test_a_full_disk_costs_the_file_and_not_the_task(byte_size: int, tmp_path: Path) -> None:
    async with world(places=Places(tmp_path)) as w:
        with no_more_than(byte_size):
            failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, f"The picture was not saved in {tmp_path}: File too large.")
        assert files_in(tmp_path) == []
        assert path_of(await again(w, failed)).parent == tmp_path


async def test_a_folder_that_is_a_file_costs_the_file_and_not_the_preview(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_bytes(b"somebody's own")
    async with world(places=Places(tmp_path / "pictures")) as w:
        failed = await w.call(DRAW, FOX)
        assert_not_saved(failed, f"not saved in {tmp_path}/pictures: Not a directory.")
        assert len(previews(failed)) == 1
        assert facts(failed)["image_sizes"] == ["1024x1024"]
        (tmp_path / "pictures").unlink()
        assert path_of(await again(w, failed)).parent == tmp_path / "pictures"


@POSIX
@pytest.mark.parametrize("preview_px", [0, 512])
async def test_a_folder_that_cannot_be_made_costs_the_file(preview_px: int, tmp_path: Path) -> None:
    async with world(places=Places(Path("/dev/null/pictures"))) as w:
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
    async with world(places=Places(tmp_path)) as w:
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
    async with world(places=Places(folder)) as w:
        result = await w.call(DRAW, FOX)
        assert facts(result)["status"] == "completed"
        assert w.spent_cents == 5


async def test_of_two_images_one_may_be_saved(tmp_path: Path) -> None:
    def keeper(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(200, content=png()) if "1" in request.url.path else httpx.Response(410)
        )

    urls = [f"{ORIGIN}/0.png", f"{ORIGIN}/1.png"]
    async with made_up(keeper, Places(tmp_path), urls) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "fox"})
        assert path_of(result) == tmp_path / "fox-2.png"
        assert facts(result)["image_urls"] == urls
        assert "HTTP 410" in facts(result)["not_saved"]
        assert facts(result)["next"] == AGAIN
        assert [link.uri for link in links(result)] == [urls[0], path_of(result).as_uri()]
        assert len(previews(result)) == 1


@pytest.mark.parametrize("count", [1, 20])
async def test_images_that_never_come_cost_no_more_time_than_the_host_has(
    count: int, tmp_path: Path
) -> None:
    def keeper(_: httpx.Request) -> httpx.Response:
        return dripping(png(), 10, pause_seconds=1_000)

    urls = [f"{ORIGIN}/{n}.png" for n in range(count)]
    async with made_up(keeper, Places(tmp_path), urls) as client:
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

    async with world(places=Places(tmp_path)) as w:
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

    async with world(places=Places(tmp_path)) as w:
        w.sandbox.faults.inject("image", "slow", seconds=1_000, times=None)
        first = await w.call(DRAW, LATER)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(get, w, first)
    assert max(ended) < 60


# --- not saved on purpose -----------------------------------------------------------------------


async def test_nothing_is_saved_where_saving_is_off(tmp_path: Path) -> None:
    async with world(places=Places(tmp_path), saves=False) as w:
        result = await w.call(DRAW, FOX)
        assert {"image_paths", "not_saved"}.isdisjoint(facts(result))
        assert "expire about 7 days after drawing" in facts(result)["next"]
        assert len(previews(result)) == 1
        assert links(result)[0].uri == facts(result)["image_urls"][0]
        paid = w.wire.paths("POST")
        refused = await w.call(DRAW, {**FOX, "save_as": "fox"})
        assert said(refused).startswith("save_as cannot be honoured: this server saves no pictures")
        assert (w.wire.paths("POST"), files_in(tmp_path)) == (paid, [])


async def test_where_saving_and_previews_are_off_nothing_is_fetched(tmp_path: Path) -> None:
    async with world(places=Places(tmp_path), saves=False, previews=False) as w:
        result = await w.call(DRAW, {**FOX, "preview_px": 512})
        assert fetches(w) == []
        assert len(links(result)) == 1


async def test_saving_off_hides_where_an_earlier_server_saved(tmp_path: Path) -> None:
    places = Places(tmp_path)
    async with (
        aclosing(Ledger.in_memory(clock)) as ledger,
        world(places=places, ledger=ledger) as w,
        world(places=places, ledger=ledger, sandbox=w.sandbox, saves=False) as off,
    ):
        first = await w.call(DRAW, FOX)
        assert "image_paths" not in facts(await again(off, first))
        assert path_of(await again(w, first)) == path_of(first)
        assert len(fetches(w)) == 1


async def test_a_picture_that_is_not_drawn_yet_or_never_is_has_no_file(tmp_path: Path) -> None:
    async with world(places=Places(tmp_path)) as w:
        for prompt in ("a fox [[never]]", "a fox [[fail: no foxes]]"):
            result = await w.call(DRAW, {"prompt": prompt, "wait_seconds": 20})
            assert {"image_paths", "not_saved", "expires"}.isdisjoint(facts(result))
            assert [block.type for block in result.content] == ["text"]
        assert (fetches(w), files_in(tmp_path)) == ([], [])


# --- while it downloads -------------------------------------------------------------------------


async def test_a_download_is_told_as_it_goes_on(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        told.append((progress, message or ""))

    content = png("RGB", (1000, 1000), compress_level=0)
    async with made_up(lambda _: dripping(content, 10, 1.0), Places(tmp_path)) as client:
        await client.call_tool(DRAW, FOX, progress_callback=on_progress)
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    words = [message for _, message in told]
    assert words[0] == "fetching the image"
    percents = [int(message.split()[1]) for message in words if "%" in message]
    assert len(percents) >= 3
    assert percents == sorted(set(percents))
    assert percents[-1] < 100


async def test_a_download_of_no_known_length_is_told_in_megabytes(tmp_path: Path) -> None:
    told: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    def keeper(_: httpx.Request) -> httpx.Response:
        response = dripping(png("RGB", (1000, 1000), compress_level=0), 10, 1.0)
        del response.headers["Content-Length"]
        return response

    async with made_up(keeper, Places(tmp_path)) as client:
        await client.call_tool(DRAW, FOX, progress_callback=on_progress)
    assert "downloading, 0.9 MB" in told


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("after_seconds", [0.5, 2.5])
async def test_a_caller_who_leaves_during_a_download_leaves_nothing_and_can_come_back(
    era: str, after_seconds: float, tmp_path: Path
) -> None:
    content = png("RGB", (1500, 1500), compress_level=0)
    client = {"mode": era}
    async with made_up(
        lambda _: dripping(content, 10, 1.0), Places(tmp_path), client=client
    ) as connected:
        async with anyio.create_task_group() as group:
            group.start_soon(connected.call_tool, DRAW, {**FOX, "save_as": "fox"})
            await anyio.sleep(after_seconds)
            [part] = files_in(tmp_path)
            assert matches(r"\.runapi-[0-9a-f]+\.part", part)
            group.cancel_scope.cancel()
        await anyio.sleep(0.1)
        assert files_in(tmp_path) == []
        joined = await connected.call_tool(DRAW, {**FOX, "save_as": "fox"})
        assert "joined" in facts(joined)
        assert path_of(joined) == tmp_path / "fox.png"
        assert path_of(joined).read_bytes() == content
        assert files_in(tmp_path) == ["fox.png", "fox.png.json"]


# --- the Tasks extension ------------------------------------------------------------------------


async def test_a_task_of_the_extension_ends_with_the_picture(tmp_path: Path) -> None:
    async with world(client=SPEAKS, places=Places(tmp_path)) as w:
        task = await ordered(w, **FOX, save_as="fox")
        assert files_in(tmp_path) == []
        result = (await followed(w, task))["result"]
        path = tmp_path / "fox.png"
        assert result["structuredContent"]["image_paths"] == [str(path)]
        assert [block["type"] for block in result["content"]] == ["text", "image", "resource_link"]
        assert result["content"][0]["text"].startswith(f"image_paths:\n- {path}\n")
        assert result["content"][2]["uri"] == path.as_uri()
        assert path.read_bytes() == await served(w, fetches(w)[0])
        assert (await followed(w, task))["result"] == result
        assert len(fetches(w)) == 1


async def test_a_task_of_the_extension_keeps_to_the_preview_its_call_asked_for(
    tmp_path: Path,
) -> None:
    async with world(client=SPEAKS, places=Places(tmp_path)) as w:
        result = (await followed(w, await ordered(w, **FOX, preview_px=0)))["result"]
        assert [block["type"] for block in result["content"]] == ["text", "resource_link"]


async def test_a_task_of_the_extension_whose_download_fails_is_completed_all_the_same(
    tmp_path: Path,
) -> None:
    async with world(client=SPEAKS, places=Places(tmp_path)) as w:
        w.sandbox.faults.inject("image", "404")
        task = await ordered(w, **FOX)
        ended = await followed(w, task)
        assert ended["status"] == "completed"
        assert "HTTP 404" in ended["result"]["structuredContent"]["not_saved"]
        saved = (await followed(w, task))["result"]["structuredContent"]
        assert len(saved["image_paths"]) == 1


# --- which folder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "started_in", "folder"),
    [
        ("home/code/shop", "home/code/shop", "home/code/shop"),
        ("home/code/shop", "home/code/shop/src/deep", "home/code/shop"),
        ("home/code/shop", "home/code", "home/Pictures/runapi"),
        ("home", "home/code/shop", "home/Pictures/runapi"),
        ("home", "home", "home/Pictures/runapi"),
        (".", "home/code/shop", "home/Pictures/runapi"),
        (".", ".", "home/Pictures/runapi"),
        ("srv/shop", "srv/shop/src", "srv/shop"),
        (None, "home/code/shop", "home/Pictures/runapi"),
    ],
)
async def test_a_name_means_a_place_in_the_project_the_server_was_started_in(
    repository: str | None,
    started_in: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for made in ("home", started_in, *([f"{repository}/.git"] if repository else [])):
        (tmp_path / made).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / started_in)
    async with world(places=Places()) as w:
        named = await w.call(DRAW, {**FOX, "save_as": "assets/fox"})
        unnamed = await w.call(DRAW, FOX)
    assert path_of(named) == tmp_path / folder / "assets/fox.png"
    assert path_of(unnamed).parent == tmp_path / "home/Pictures/runapi"


@pytest.mark.parametrize("mark", [".git", ".hg", ".jj", ".svn"])
async def test_a_project_is_what_is_under_version_control(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worktree's .git is a file.
    (tmp_path / mark).touch()
    monkeypatch.chdir(tmp_path)
    async with world(places=Places()) as w:
        assert path_of(await w.call(DRAW, {**FOX, "save_as": "fox"})).parent == tmp_path


async def test_the_users_own_folder_comes_before_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop/.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shop")
    async with world(places=Places(tmp_path / "pictures")) as w:
        path = path_of(await w.call(DRAW, {**FOX, "save_as": "fox"}))
    assert path == tmp_path / "pictures/fox.png"


async def test_a_server_whose_folder_was_removed_under_it_saves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    async with world(places=Places()) as w:
        path = path_of(await w.call(DRAW, {**FOX, "save_as": "fox"}))
    assert path == Path.home() / "Pictures/runapi/fox.png"


# --- as a host starts it ------------------------------------------------------------------------

IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@IN_REAL_TIME
async def test_as_a_host_starts_it_in_a_project(tmp_path: Path) -> None:
    (tmp_path / "shop/.git").mkdir(parents=True)
    async with network() as net:
        environment = {**net.environment(), "HOME": str(tmp_path), "RUNAPI_SAVE": "on"}
        started = replace_environment(stdio_server(net), tmp_path / "shop", environment)
        async with Client(started) as client:
            named = await client.call_tool(DRAW, {"prompt": QUICK, "save_as": "img/fox"})
            unnamed = await draw(client)
            assert path_of(named) == tmp_path / "shop/img/fox.png"
            assert path_of(unnamed).parent == tmp_path / "Pictures/runapi"
        [first, _] = net.account().tasks
        images = [path for _, path in net.asked if path.startswith("/images/")]
        async with Client(started) as client:
            found = await client.call_tool("get_task", {"task_id": first})
            assert path_of(found) == path_of(named)
        assert [path for _, path in net.asked if path.startswith("/images/")] == images


def replace_environment(
    server: StdioServerParameters, cwd: Path, environment: dict[str, str]
) -> StdioServerParameters:
    return server.model_copy(update={"cwd": cwd, "env": environment})


@IN_REAL_TIME
@pytest.mark.parametrize(
    ("path", "save"), [("/mcp", None), ("/mcp", "on"), ("/mcp", "off"), ("/sse", None)]
)
async def test_over_http_pictures_are_saved_only_where_the_operator_says_so(
    path: str, save: str | None, tmp_path: Path
) -> None:
    command = ("serve", "--http", "--port", "0")
    settings = {"RUNAPI_OUTPUT_DIR": str(tmp_path), **({"RUNAPI_SAVE": save} if save else {})}
    async with (
        network() as net,
        program(*command, environment={**net.environment(), **settings}) as running,
    ):
        url = (await running.stderr.holding("runapi-mcp serves ")).split()[2]
        async with host(url.removesuffix("/mcp"), path, "auto", KEY) as client:
            result = await draw(client)
            paid = net.paid_requests()
            named = await client.call_tool(DRAW, {"prompt": QUICK, "save_as": "fox"})
    assert len(previews(result)) == 1
    if save == "on":
        assert path_of(result).parent == tmp_path
        assert path_of(named) == tmp_path / "fox.png"
    else:
        assert {"image_paths", "not_saved"}.isdisjoint(facts(result))
        assert links(result)[0].uri == facts(result)["image_urls"][0]
        assert said(named).startswith("save_as cannot be honoured")
        assert (net.paid_requests(), files_in(tmp_path)) == (paid, [])


@IN_REAL_TIME
async def test_in_a_terminal_a_task_is_saved_and_its_path_told(tmp_path: Path) -> None:
    async with network() as net:
        environment = {
            **net.environment(),
            "RUNAPI_OUTPUT_DIR": str(tmp_path / "pictures"),
            "RUNAPI_LEDGER": str(tmp_path / "ledger.sqlite3"),
        }
        started = stdio_server(net).model_copy(update={"env": environment})
        async with Client(started) as client:
            lost = await client.call_tool(
                DRAW, {"prompt": QUICK, "wait_seconds": 0, "save_as": "fox"}
            )
        for _ in range(2):
            told = await anyio.to_thread.run_sync(
                partial(finished, "tasks", facts(lost)["task_id"], environment=environment)
            )
            assert told.stdout.startswith(f"image_paths:\n- {tmp_path}/pictures/fox.png\n")
        assert files_in(tmp_path / "pictures") == ["fox.png", "fox.png.json"]


class _SlowImages:
    """The sandbox, which takes ten seconds to hand out an image."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").startswith("/images/"):
            await anyio.sleep(10)
        await self._app(scope, receive, send)


async def test_an_identical_call_while_the_first_ones_image_is_fetched_is_another_picture(
    tmp_path: Path,
) -> None:
    sandbox = Sandbox(1)
    sandbox.app.add_middleware(_SlowImages)
    async with world(sandbox=sandbox, places=Places(tmp_path)) as w:
        async with anyio.create_task_group() as calls:
            for started in (0, 6):
                await anyio.sleep(started)
                calls.start_soon(w.call, DRAW, FOX)
        assert w.task_count == 2
        assert len(files_in(tmp_path)) == 4
