"""convert_image makes the file that a page needs, for nothing, of a picture that lies there."""

from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from PIL import Image, features

from runapi_mcp.images.folders import Folders
from runapi_mcp.images.workers import Workers
from tests.support.photos import PROFILE, SECRET, jpeg, of_a_phone
from tests.support.pictures import (
    DRAW,
    FOX,
    ORIGIN,
    TASK_ID,
    decoded,
    encoded,
    files_in,
    made_up,
    noise,
    path_of,
    png,
)
from tests.support.world import World, facts, said, world

pytestmark = pytest.mark.anyio
CONVERT = "convert_image"
WIDE, TALL = (400, 200), (200, 400)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server is started in a project of a user who has a home."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(root)
    return root


def kept(folder: Path, content: bytes, name: str = "photo") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


async def converted(content: bytes, save_as: str = "hero.png", **options: object) -> Image.Image:
    """The picture that the tool makes of this one, in the project."""
    path = kept(Path(), content)
    async with world(folders=Folders()) as w:
        result = await w.call(CONVERT, {"source": str(path), "save_as": save_as, **options})
        assert not result.is_error, said(result)
        assert w.wire.sent == []
    made = path_of(result)
    assert made == Path.cwd() / save_as
    image = decoded(made.read_bytes())
    assert facts(result)["image_sizes"] == [f"{image.width}x{image.height}"]
    assert facts(result)["image_bytes"] == [made.stat().st_size]
    return image


@pytest.mark.parametrize(
    ("size", "options", "made"),
    [
        (WIDE, {}, WIDE),
        (WIDE, {"width": 100}, (100, 50)),
        (WIDE, {"height": 100}, (200, 100)),
        (TALL, {"height": 100}, (50, 100)),
        (WIDE, {"width": 100, "height": 100}, (100, 100)),
        (WIDE, {"width": 100, "height": 100, "fit": "contain"}, (100, 50)),
        (TALL, {"width": 100, "height": 100, "fit": "contain"}, (50, 100)),
        (WIDE, {"width": 100, "fit": "contain"}, (100, 50)),
        (WIDE, {"width": 400, "height": 200}, WIDE),
        (WIDE, {"width": "100", "height": 50.0}, (100, 50)),
        ((401, 203), {"width": 16, "height": 16}, (16, 16)),
    ],
)
async def test_a_picture_is_shrunk_and_cropped(
    size: tuple[int, int], options: dict[str, Any], made: tuple[int, int]
) -> None:
    image = await converted(png(size=size), **options)
    assert image.size == made


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({"width": 800}, WIDE),
        ({"height": 16_384}, WIDE),
        ({"width": 800, "height": 800}, (200, 200)),
        ({"width": 1_600, "height": 200}, (400, 50)),
        ({"width": 300, "height": 300}, (200, 200)),
        ({"width": 800, "height": 800, "fit": "contain"}, WIDE),
    ],
)
async def test_nothing_is_enlarged_and_the_answer_says_so(
    options: dict[str, Any], made: tuple[int, int], project: Path
) -> None:
    path = kept(project, png(size=WIDE))
    async with world(folders=Folders()) as w:
        result = await w.call(CONVERT, {"source": path.name, "save_as": "hero.webp", **options})
    assert facts(result)["image_sizes"] == [f"{made[0]}x{made[1]}"]
    assert facts(result)["notice"] == (
        "It is smaller than asked, because the source is: nothing is enlarged."
    )


async def test_the_middle_is_what_a_crop_shows() -> None:
    striped = Image.new("RGB", (300, 100), "red")
    striped.paste((0, 0, 255), (100, 0, 200, 100))
    image = await converted(encoded(striped), width=100, height=100)
    assert {image.getpixel((x, 50)) for x in (1, 50, 98)} == {(0, 0, 255)}


MADE_OF = {
    "PNG": encoded(Image.new("RGB", WIDE, "red")),
    "PNG of a palette": encoded(Image.new("RGB", WIDE, "red").quantize(2)),
    "PNG of 16-bit grey": encoded(Image.new("I;16", WIDE, 40_000)),
    "PNG of bits": encoded(Image.new("1", WIDE, 1)),
    "JPEG": encoded(Image.new("RGB", WIDE, "red"), "JPEG"),
    "JPEG for print": encoded(Image.new("CMYK", WIDE), "JPEG"),
    "WebP": encoded(Image.new("RGB", WIDE, "red"), "WEBP"),
    "BMP": encoded(Image.new("RGB", WIDE, "red"), "BMP"),
    "GIF": encoded(Image.new("RGB", WIDE, "red"), "GIF"),
    "TIFF": encoded(Image.new("RGB", WIDE, "red"), "TIFF"),
    "TIFF for print": encoded(Image.new("CMYK", WIDE), "TIFF"),
    "TIFF of numbers": encoded(Image.new("F", WIDE, 90.0), "TIFF"),
    **({"AVIF": encoded(Image.new("RGB", WIDE), "AVIF")} if features.check("avif") else {}),
}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp"])
@pytest.mark.parametrize("kind", MADE_OF)
async def test_every_format_is_made_of_every_one_that_can_be_read(kind: str, suffix: str) -> None:
    image = await converted(MADE_OF[kind], f"hero{suffix}", width=100)
    form = {".png": "PNG", ".webp": "WEBP"}.get(suffix, "JPEG")
    assert (image.format, image.size) == (form, (100, 50))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
async def test_what_is_made_is_upright_and_has_pixels_and_colours_alone(suffix: str) -> None:
    image = await converted(of_a_phone(), f"hero{suffix}")
    assert not image.getexif()
    assert {"comment", "xmp", "exif"}.isdisjoint(image.info)
    assert SECRET not in (Path.cwd() / f"hero{suffix}").read_bytes()
    turned = await converted(jpeg(orientation=6, icc_profile=PROFILE), f"turned{suffix}")
    assert turned.width < turned.height
    assert "icc_profile" in turned.info


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
async def test_what_one_sees_through_is_white_in_a_jpeg_alone(suffix: str) -> None:
    clear = Image.new("RGBA", WIDE, (255, 0, 0, 0))
    image = await converted(encoded(clear), f"hero{suffix}", width=100)
    pixel = image.convert("RGBA").getpixel((9, 9))
    assert pixel == ((255, 255, 255, 255) if suffix == ".jpg" else (0, 0, 0, 0))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
async def test_a_lower_quality_is_a_smaller_file(suffix: str, project: Path) -> None:
    path, sizes = kept(project, encoded(noise("RGB", WIDE))), list[int]()
    async with world(folders=Folders()) as w:
        for more in ({"quality": 1}, {"quality": 50}, {}, {"quality": 100}):
            result = await w.call(
                CONVERT, {"source": path.name, "save_as": f"{len(sizes)}{suffix}", **more}
            )
            sizes += facts(result)["image_bytes"]
    assert sizes == sorted(set(sizes))


async def test_nothing_is_written_over_and_the_same_again_is_the_same_file(project: Path) -> None:
    path = kept(project, png(size=WIDE))
    (project / "hero.webp").write_text("mine")
    async with world(folders=Folders()) as w:
        question = {"source": path.name, "save_as": "hero.webp", "width": 100}
        for _ in range(2):
            assert path_of(await w.call(CONVERT, question)) == project / "hero-2.webp"
        other = await w.call(CONVERT, {**question, "width": 50})
        assert path_of(other) == project / "hero-3.webp"
    assert (project / "hero.webp").read_text() == "mine"
    assert files_in(project) == ["hero-2.webp", "hero-3.webp", "hero.webp", "photo"]


async def test_other_formats_of_a_picture_have_its_name(project: Path) -> None:
    kept(project, png(size=WIDE), "hero.png")
    suffixes = [".webp", ".jpg", ".jpeg"]
    async with world(folders=Folders()) as w:
        for suffix in suffixes:
            question = {"source": "hero.png", "save_as": f"hero{suffix}"}
            for _ in range(2):
                assert path_of(await w.call(CONVERT, question)) == project / f"hero{suffix}"
    assert files_in(project) == sorted(["hero.png", *(f"hero{suffix}" for suffix in suffixes)])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an address": ({"source": f"{ORIGIN}/fox.png"}, "source must be the path of an image, or the"),
    "data": ({"source": "data:image/png;base64,AAAA"}, "source must be the path of an image, or"),
    "nothing": ({"source": " "}, "source must be the path of an image, or the task_id of an"),
    "another folder": ({"source": "/etc/hostname"}, "is not in a folder that images may be taken"),
    "a link to elsewhere": ({"source": "link.png"}, "is not in a folder that images may be taken"),
    "no file": ({"source": "none.png"}, "none.png is not there. Did you mean"),
    "a text": ({"source": "text.png"}, "text.png: The file is not a whole PNG, JPEG or WebP"),
    "an SVG": ({"source": "logo.svg"}, "logo.svg: The file is SVG. Save the image as PNG, JPEG or"),
    "an unknown task": ({"source": TASK_ID}, f"No saved image of task {TASK_ID} was found."),
    "no suffix": ({"save_as": "hero"}, "save_as must end in .png, .jpg, .jpeg or .webp"),
    "another suffix": ({"save_as": "hero.gif"}, "must end in .png, .jpg, .jpeg or .webp, not"),
    "an absolute name": ({"save_as": "/hero.png"}, "save_as must be relative to the output folder"),
    "a way out": ({"save_as": "../hero.png"}, "save_as must stay in the output folder"),
    "a hidden name": ({"save_as": ".git/hero.png"}, "save_as must not be hidden"),
    "narrow": ({"width": 15}, "width must be a whole number, 16-16384 px, not 15."),
    "wide": ({"width": 16_385}, "width must be a whole number, 16-16384 px, not 16385."),
    "high": ({"height": 0}, "height must be a whole number, 16-16384 px, not 0."),
    "fit": ({"fit": "fill"}, "fit must be one of cover, contain, not 'fill'."),
    "quality": ({"quality": 101}, "quality must be a whole number, 1-100, of JPEG and WebP, not"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_converted_is_said_and_nothing_is_written(
    case: str, project: Path
) -> None:
    kept(project, png(), "photo.png")
    (project / "text.png").write_text("a fox")
    (project / "logo.svg").write_text("<svg/>")
    (project / "link.png").symlink_to("/etc/hostname")
    before = files_in(project)
    given, words = REFUSED[case]
    async with world(folders=Folders()) as w:
        refused = await w.call(CONVERT, {"source": "photo.png", "save_as": "hero.webp", **given})
    assert refused.is_error
    assert words in said(refused)
    assert files_in(project) == before


async def test_a_worker_that_comes_to_no_end_is_said(project: Path) -> None:
    kept(project, png(), "photo.png")
    async with world(folders=Folders(), workers=Workers(["no such program"])) as w:
        refused = await w.call(CONVERT, {"source": "photo.png", "save_as": "hero.webp"})
    assert refused.is_error
    assert "What looks at images cannot be started. Try again in a minute." in said(refused)
    assert files_in(project) == ["photo.png"]


@pytest.mark.parametrize("save_as", ["owl", "owl.webp"])
async def test_a_task_names_its_first_picture_as_it_came(save_as: str, project: Path) -> None:
    urls = [f"{ORIGIN}/{n}.png" for n in range(2)]
    async with made_up(png(), Folders(), urls) as client:
        await client.call_tool(DRAW, {**FOX, "save_as": save_as})
        question = {"source": TASK_ID.upper(), "save_as": "web/hero.png", "width": 300}
        made = path_of(await client.call_tool(CONVERT, question))
        assert made == project / "web" / "hero.png"
        if save_as == "owl":
            (project / "owl-1.png").write_bytes(png(size=WIDE))
            refused = await client.call_tool(CONVERT, question)
            assert said(refused) == (
                f"No saved image of task {TASK_ID} was found. Call get_task with it, which saves "
                "it, and then call again."
            )


@pytest.mark.parametrize("named", ["path", "task_id", "original"])
async def test_a_picture_that_was_converted_was_used(named: str) -> None:
    async with world(folders=Folders()) as w:
        drawn = facts(await w.call(DRAW, {**FOX, "save_as": "hero.webp"}))
        again = facts(await w.call(DRAW, {**FOX, "save_as": "hero.webp"}))
        assert (again["task_id"], w.spent_cents) == (drawn["task_id"], 5)
        source = {
            "path": drawn["image_paths"][0],
            "task_id": drawn["task_id"],
            "original": drawn["original_paths"][0],
        }[named]
        made = await w.call(CONVERT, {"source": source, "save_as": "small.webp", "width": 64})
        assert facts(made)["image_sizes"] == ["64x64"]
        anew = facts(await w.call(DRAW, {**FOX, "save_as": "hero.webp"}))
        assert anew["task_id"] != drawn["task_id"]
        assert w.spent_cents == 10


async def test_without_a_key_a_file_is_converted_all_the_same(project: Path) -> None:
    kept(project, png(), "photo.png")
    async with world(folders=Folders(), key=None) as w:
        made = await w.call(CONVERT, {"source": "photo.png", "save_as": "hero.webp"})
    assert path_of(made) == project / "hero.webp"


async def names_of_tools(w: World) -> list[str]:
    return [tool.name for tool in (await w.client.list_tools()).tools]


@pytest.mark.parametrize(("saves", "offered"), [(None, True), (True, True), (False, False)])
async def test_it_is_offered_where_pictures_are_saved(
    *, saves: bool | None, offered: bool, project: Path
) -> None:
    kept(project, png(), "photo.png")
    question = {"source": "photo.png", "save_as": "hero.webp"}
    async with world(folders=Folders(), saves=saves) as w:
        assert (CONVERT in await names_of_tools(w)) == offered
        if not offered:
            with pytest.raises(MCPError, match="There is no tool 'convert_image'"):
                await w.call(CONVERT, question)
