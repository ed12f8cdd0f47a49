"""The suffix of a wanted name says the file's format; what came is kept as it came."""

import hashlib
from pathlib import Path

import httpx
import pytest
from mcp import Client
from mcp_types import CallToolResult
from PIL import Image

from runapi_mcp.images.folders import Folders
from runapi_mcp.images.workers import Workers
from tests.support.ledgers import ledger_at
from tests.support.pictures import (
    DRAW,
    FOX,
    LINKED,
    ORIGIN,
    TASK_ID,
    decoded,
    encoded,
    files_in,
    links,
    made_up,
    path_of,
    png,
    story_of,
)
from tests.support.world import facts, said, world

pytestmark = pytest.mark.anyio
FORMS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
USUAL = "2026-11-20-red-fox-in-the-snow-3f2a"
NO_WORKERS = Workers(["no such program"])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server is started in a project, and this is where the user's pictures go."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path / "home" / "Pictures" / "runapi"


def told(result: CallToolResult, name: str) -> list[Path]:
    return [Path(path) for path in facts(result)[name]]


async def get(client: Client) -> CallToolResult:
    return await client.call_tool("get_task", {"task_id": TASK_ID})


@pytest.mark.parametrize("came", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("suffix", FORMS)
async def test_the_suffix_says_the_format_and_what_came_is_kept(
    came: str, suffix: str, project: Path, pictures: Path
) -> None:
    content = encoded(Image.new("RGB", (300, 200), "red"), came)
    async with made_up(content, Folders(), client=LINKED) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": f"img/hero{suffix}"})
        again = await get(client)
    path = path_of(result)
    assert path == project / "img" / f"hero{suffix}" == path_of(again)
    assert decoded(path.read_bytes()).format == FORMS[suffix]
    assert facts(result)["image_bytes"] == [path.stat().st_size]
    assert [link.uri for link in links(result)] == [path.as_uri()]
    assert links(result)[0].mime_type == f"image/{FORMS[suffix].lower()}"
    assert files_in(project) == [f"img/hero{suffix}"]
    if came == FORMS[suffix]:
        assert path.read_bytes() == content
        assert "original_paths" not in facts(result)
        return
    [original] = told(result, "original_paths")
    assert original.parent == pictures
    assert original.stem == USUAL
    assert original.read_bytes() == content
    assert told(again, "original_paths") == [original]
    assert said(result).startswith(f"image_paths:\n- {path}\noriginal_paths:\n- {original}\n")
    assert story_of(original)["sha256"] == hashlib.sha256(content).hexdigest()


async def test_the_ledger_keeps_both_with_their_hashes(tmp_path: Path) -> None:
    where = tmp_path / "ledger.sqlite3"
    async with (
        ledger_at(where) as ledger,
        made_up(png(), Folders(), ledger=ledger, saves=True) as client,
    ):
        result = await client.call_tool(DRAW, {**FOX, "save_as": "hero.webp"})
        [entry] = await ledger.entries(None)
    [path], [original] = told(result, "image_paths"), told(result, "original_paths")
    assert (entry.files, entry.file_hashes) == ((str(path),), (digest(path),))
    assert entry.originals == ((str(original), digest(original)),)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_a_set_is_converted_as_a_set(project: Path, pictures: Path) -> None:
    urls = [f"{ORIGIN}/{n}.png" for n in range(3)]

    def keeper(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path[1])
        return httpx.Response(200, content=png(size=(100 + number, 50)))

    async with made_up(keeper, Folders(), urls) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "hero.webp"})
    assert told(result, "image_paths") == [project / f"hero-{n}.webp" for n in (1, 2, 3)]
    assert told(result, "original_paths") == [pictures / f"{USUAL}-{n}.png" for n in (1, 2, 3)]
    widths = [decoded(path.read_bytes()).width for path in told(result, "image_paths")]
    assert widths == [100, 101, 102]
    assert files_in(project) == ["hero-1.webp", "hero-2.webp", "hero-3.webp"]


@pytest.mark.parametrize("count", [1, 3])
async def test_a_picture_that_comes_later_gets_its_format_too(count: int, project: Path) -> None:
    named = {**FOX, "save_as": "hero.jpg", "count": count}
    async with world(folders=Folders()) as w:
        await w.call(DRAW, {**named, "wait_seconds": 0})
        result = await w.call(DRAW, named)
        for task_id in w.task_ids:
            await w.call("get_task", {"task_id": task_id})
    assert len(told(result, "image_paths")) == count
    names = ["hero.jpg"] if count == 1 else [f"hero-{n}.jpg" for n in range(1, count + 1)]
    assert files_in(project) == names
    assert w.spent_cents == 5 * count


async def test_in_the_pictures_folder_both_lie_with_their_jsons(pictures: Path) -> None:
    async with made_up(png(), Folders(pictures)) as client:
        path = path_of(await client.call_tool(DRAW, {**FOX, "save_as": "web/hero.webp"}))
    original = pictures / f"{USUAL}.png"
    lying = ["web/hero.webp", "web/hero.webp.json", original.name, f"{original.name}.json"]
    assert files_in(pictures) == sorted(lying)
    story = story_of(path)
    assert (story["media_type"], story["sha256"]) == ("image/webp", digest(path))
    assert story["original"] == str(original)
    assert story["byte_size"] == path.stat().st_size


async def test_a_conversion_that_fails_leaves_the_original_and_says_so(
    project: Path, pictures: Path
) -> None:
    async with made_up(png(), Folders(), workers=NO_WORKERS) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "a/b/hero.webp"})
        again = await get(client)
    path = path_of(result)
    assert path == pictures / f"{USUAL}.png" == path_of(again)
    assert path.read_bytes() == png()
    assert "original_paths" not in facts(result)
    assert facts(result)["notice"].startswith(
        "It is saved in the format it came in, not as .webp: What looks at images cannot be "
        "started. convert_image can make that of it."
    )
    assert files_in(project) == []


async def test_where_the_original_cannot_be_kept_the_picture_is_saved_as_it_came(
    project: Path, pictures: Path
) -> None:
    pictures.parent.touch()
    async with made_up(png(), Folders()) as client:
        result = await client.call_tool(DRAW, {**FOX, "save_as": "hero.webp"})
    assert path_of(result) == project / "hero.png"
    assert "not as .webp: The picture was not saved in" in facts(result)["notice"]


@pytest.mark.parametrize("lost", ["hero.webp", "the original"])
async def test_what_is_lost_of_the_two_comes_back_or_is_not_told(
    lost: str, project: Path, pictures: Path
) -> None:
    async with made_up(png(), Folders()) as client:
        first = await client.call_tool(DRAW, {**FOX, "save_as": "hero.webp"})
        [path], [original] = told(first, "image_paths"), told(first, "original_paths")
        (path if lost == "hero.webp" else original).unlink()
        second = await get(client)
    assert path_of(second) == path
    assert facts(second).get("original_paths", []) == (
        [str(original)] if lost == "hero.webp" else []
    )
    assert files_in(project) == ["hero.webp"]


async def test_what_is_there_is_not_written_over(project: Path) -> None:
    (project / "hero.png").write_text("mine")
    async with made_up(png(), Folders()) as client:
        path = path_of(await client.call_tool(DRAW, {**FOX, "save_as": "hero.webp"}))
    assert path == project / "hero-2.webp"
    assert (project / "hero.png").read_text() == "mine"


async def test_another_suffix_alone_is_no_other_call(project: Path) -> None:
    async with world(folders=Folders()) as w:
        first = await w.call(DRAW, {**FOX, "save_as": "hero.png"})
        second = await w.call(DRAW, {**FOX, "save_as": "hero.webp"})
        assert w.spent_cents == 5
    assert path_of(first) == path_of(second) == project / "hero.png"
    assert "joined" in facts(second)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
async def test_what_one_sees_through_stays_so_or_is_white(suffix: str) -> None:
    clear = Image.new("RGBA", (300, 200), (255, 0, 0, 0))
    form = "WEBP" if suffix == ".png" else "PNG"
    async with made_up(encoded(clear, form), Folders()) as client:
        path = path_of(await client.call_tool(DRAW, {**FOX, "save_as": f"hero{suffix}"}))
    pixel = decoded(path.read_bytes()).convert("RGBA").getpixel((9, 9))
    assert pixel == ((255, 255, 255, 255) if suffix == ".jpg" else (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("setting", "named", "has_json"),
    [
        (None, True, False),
        (None, False, True),
        (True, True, True),
        (False, False, False),
        (False, True, False),
    ],
)
async def test_a_json_is_beside_a_picture_as_it_is_set_and_else_not_in_a_project(
    *, setting: bool | None, named: bool, has_json: bool
) -> None:
    where = {"save_as": "hero"} if named else {}
    async with made_up(png(), Folders(sidecars=setting)) as client:
        result = await client.call_tool(DRAW, {**FOX, **where})
        path = path_of(result)
        assert path_of(await get(client)) == path
        assert (f"{path.name}.json" in files_in(path.parent)) == has_json
        path.unlink()
        assert path_of(await get(client)) == path
        path.write_bytes(b"edited")
        assert path_of(await get(client)) == path.with_stem(f"{path.stem}-2")


async def test_the_jsons_of_a_set_in_a_project_go_once_it_is_whole(project: Path) -> None:
    urls, there = [f"{ORIGIN}/{n}.png" for n in range(3)], ["0", "1"]

    def keeper(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200 if request.url.path[1] in there else 404, content=png())

    async with made_up(keeper, Folders(), urls) as client:
        named = {**FOX, "save_as": "hero", "wait_seconds": 5}
        await client.call_tool(DRAW, named)
        assert files_in(project) == sorted(
            f"hero-{n}.png{more}" for n in (1, 2) for more in ("", ".json")
        )
        there.append("2")
        result = await get(client)
    assert told(result, "image_paths") == [project / f"hero-{n}.png" for n in (1, 2, 3)]
    assert files_in(project) == [f"hero-{n}.png" for n in (1, 2, 3)]


async def test_a_json_that_somebody_else_wrote_is_not_removed(project: Path) -> None:
    theirs = project / "hero.png.json"
    theirs.write_text('{"mine": true}')
    (project / "hero.png").write_bytes(png())
    async with made_up(png(), Folders()) as client:
        path = path_of(await client.call_tool(DRAW, {**FOX, "save_as": "hero"}))
    assert path == project / "hero.png"
    assert theirs.read_text() == '{"mine": true}'
