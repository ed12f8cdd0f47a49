"""A model sees a small picture, never the whole one, and the text alone tells everything."""

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult, Implementation
from PIL import Image

from runapi_mcp.images.folders import Folders
from runapi_mcp.images.inspection import ImageInfo, Preview
from runapi_mcp.images.picture import LARGEST_PREVIEWS_BYTES, Picture
from runapi_mcp.images.structure import PNG
from runapi_mcp.server.content import blocks
from tests.support.pictures import (
    DRAW,
    FOX,
    LINKED,
    ORIGIN,
    TASK_ID,
    decoded,
    encoded,
    fetches,
    held,
    kinds,
    links,
    made_up,
    noise,
    png,
    previews,
)
from tests.support.world import ERAS, facts, said, world

pytestmark = pytest.mark.anyio
LARGEST_ANSWER_BYTES = 200_000


def shown(result: CallToolResult) -> Image.Image:
    """The only preview."""
    [block] = previews(result)
    image = decoded(b64decode(block.data, validate=True))
    assert block.mime_type == f"image/{str(image.format).lower()}"
    return image


def wire(result: CallToolResult) -> str:
    """The result as it stands in JSON-RPC; what is not ASCII, as some write it."""
    return json.dumps(result.model_dump(by_alias=True, mode="json", exclude_none=True))


def with_palette() -> Image.Image:
    """All of it of the second of two colours."""
    image = Image.new("P", (600, 400), 1)
    image.putpalette([0, 0, 0, 200, 10, 10])
    return image


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("saves", [True, False])
async def test_a_picture_is_shown_small_and_linked_where_links_do_no_harm(
    era: str,
    saves: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    async with world(era=era, folders=Folders(tmp_path), saves=saves, client=LINKED) as w:
        result = await w.call(DRAW, {**FOX, "output_resolution": "2k"})
        original = await held(w, fetches(w)[0])
    assert kinds(result.content) == ["text", "image", "resource_link"]
    assert (shown(result).format, shown(result).size) == ("JPEG", (512, 512))
    assert len(b64decode(previews(result)[0].data)) <= LARGEST_PREVIEWS_BYTES
    [link] = links(result)
    [url] = facts(result)["image_urls"]
    assert link.mime_type == "image/png"
    if saves:
        [path] = facts(result)["image_paths"]
        assert (link.uri, link.name) == (Path(path).as_uri(), Path(path).name)
    else:
        assert (link.uri, link.name) == (url, url.rpartition("/")[2])
    assert b64encode(original[:60]).decode() not in wire(result)
    assert len(wire(result)) < LARGEST_ANSWER_BYTES


@pytest.mark.parametrize(
    ("preview_px", "size"),
    [(0, None), (1, (1, 1)), (100, (100, 100)), (512, (512, 512)), ("256", (256, 256)),
     (64.0, (64, 64)), (None, (512, 512)), ("0", None)],
)  # fmt: skip
@pytest.mark.parametrize("tool", ["draw", "get_task"])
async def test_a_preview_is_as_large_as_it_is_asked_for(
    tool: str, preview_px: object, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        asked = {"preview_px": preview_px}
        result = await w.call(DRAW, {**FOX, **(asked if tool == "draw" else {})})
        if tool == "get_task":
            result = await w.call(tool, {"task_id": facts(result)["task_id"], **asked})
        assert (shown(result).size if previews(result) else None) == size
        assert facts(result)["image_sizes"] == ["1024x1024"]


@pytest.mark.parametrize("preview_px", [513, -1, True, False, "true", "big", 1.5, [256], {}, 1e9])
async def test_a_preview_of_no_possible_size_is_refused_before_anything_is_paid(
    preview_px: object, tmp_path: Path
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        refused = await w.call(DRAW, {**FOX, "preview_px": preview_px})
        assert refused.is_error
        assert said(refused).startswith("preview_px must ")
        assert (w.spent_cents, w.wire.sent) == (0, [])


async def test_where_previews_are_off_no_call_gets_one(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path), previews=False) as w:
        for arguments in (FOX, {**FOX, "preview_px": 512}):
            result = await w.call(DRAW, arguments)
            assert kinds(result.content) == ["text"]
            off = "An image has no preview: RUNAPI_PREVIEW=off turns previews off on this server."
            assert (off in facts(result).get("notice", "")) == ("preview_px" in arguments)
            assert Path(facts(result)["image_paths"][0]).is_file()  # noqa: ASYNC240 - on the disk


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("host", "usual"), [("Cline", False), ("cline", False), ("claude-code", True), ("other", True)]
)
async def test_a_host_that_prints_base64_gets_a_preview_only_when_it_asks(
    era: str,
    host: str,
    usual: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    client = {"client_info": Implementation(name=host, version="1")}
    async with world(era=era, client=client, folders=Folders(tmp_path)) as w:
        assert bool(previews(await w.call(DRAW, FOX))) == usual
        assert previews(await w.call(DRAW, {**FOX, "preview_px": 256}))
        assert not previews(await w.call(DRAW, {**FOX, "preview_px": 0}))


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (png("RGB"), "JPEG"),
        (png("RGBA"), "PNG"),
        (encoded(Image.new("RGBA", (600, 400), (1, 2, 3, 255)), "PNG"), "JPEG"),
        (encoded(Image.new("RGB", (600, 400)), "WEBP"), "JPEG"),
        (encoded(Image.new("RGBA", (600, 400), (1, 2, 3, 9)), "WEBP"), "PNG"),
        (encoded(Image.new("CMYK", (600, 400)), "JPEG"), "JPEG"),
        (encoded(with_palette(), "PNG", transparency=1), "PNG"),
        (png("L", transparency=90), "PNG"),
        (png("I;16"), "JPEG"),
        (png("1"), "JPEG"),
    ],
    ids=["rgb", "alpha", "opaque", "webp", "webp-alpha", "cmyk", "palette", "grey", "deep", "bits"],
)
async def test_a_preview_is_a_jpeg_or_where_there_is_alpha_a_png_and_never_webp(
    content: bytes, form: str, tmp_path: Path
) -> None:
    async with made_up(content, Folders(tmp_path)) as client:
        result = await client.call_tool(DRAW, FOX)
    assert (shown(result).format, shown(result).size) == (form, (512, 341))
    assert facts(result)["image_sizes"] == ["600x400"]


async def test_one_link_stands_for_each_image_and_its_address_in_the_text(tmp_path: Path) -> None:
    urls = [f"{ORIGIN}/{n}.png?X-Signature=a%2Fb+c&n={n}" for n in range(4)]
    async with made_up(png(), Folders(tmp_path), urls, saves=False, client=LINKED) as client:
        result = await client.call_tool(DRAW, FOX)
    assert kinds(result.content) == ["text", *["image"] * 4, *["resource_link"] * 4]
    assert [link.uri for link in links(result)] == urls
    assert [link.name for link in links(result)] == [f"{n}.png" for n in range(4)]
    for url in urls:
        assert f"\n- {url}\n" in said(result)


@pytest.mark.parametrize("name", ["mcp", "langchain-mcp-adapters", "", "opencode", "copilot-cli"])
async def test_who_was_not_seen_to_take_links_gets_text_structure_and_previews(
    name: str, tmp_path: Path
) -> None:
    client = {"client_info": Implementation(name=name, version="1")}
    async with world(folders=Folders(tmp_path), client=client) as w:
        result = await w.call(DRAW, FOX)
    assert kinds(result.content) == ["text", "image"]
    assert facts(result)["image_paths"]


async def test_the_text_tells_all_that_the_structured_form_does(tmp_path: Path) -> None:
    async with made_up(png(), Folders(tmp_path)) as client:
        result = await client.call_tool(DRAW, FOX)
    told = facts(result)
    assert {"image_paths", "image_sizes", "image_urls", "expires", "cost_cents"} <= told.keys()
    for name, value in told.items():
        assert f"{name}:" in said(result)
        assert str(value).strip("[]'") in said(result)


@pytest.mark.parametrize(
    "letter",
    ["a", "%C3%A9", "é", "雪", "🦊", '"', "\\", "\u2028"],
    ids=ascii,
)
@pytest.mark.parametrize("saves", [True, False])
async def test_no_answer_is_larger_than_200_kb(
    letter: str,
    saves: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    content = encoded(noise("RGB", (700, 700)), "PNG")
    urls = [f"{ORIGIN}/{n}?{letter * 4_000}"[:4_000] for n in range(100)]
    async with made_up(content, Folders(tmp_path), urls, saves=saves) as client:
        results = [
            await client.call_tool(DRAW, FOX),
            await client.call_tool("get_task", {"task_id": TASK_ID}),
        ]
    for result in results:
        assert len(wire(result)) <= LARGEST_ANSWER_BYTES
        assert TASK_ID in said(result)
        assert facts(result)["task_id"] == TASK_ID


@pytest.mark.parametrize("address_characters", [30, 2_000])
@pytest.mark.parametrize("saves", [True, False])
async def test_eight_pictures_that_compress_worst_are_all_shown_smaller(
    address_characters: int,
    saves: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    content = encoded(noise("RGB", (2048, 2048)), "JPEG")
    urls = [f"{ORIGIN}/{n}?{'%C3%A9' * 400}"[:address_characters] for n in range(8)]
    async with made_up(content, Folders(tmp_path), urls, saves=saves, client=LINKED) as client:
        result = await client.call_tool(DRAW, FOX)
    assert kinds(result.content) == ["text", *["image"] * 8, *["resource_link"] * 8]
    assert all(decoded(b64decode(block.data)).width >= 60 for block in previews(result))
    assert len(wire(result)) <= LARGEST_ANSWER_BYTES


@pytest.mark.parametrize(
    ("text_bytes", "shown", "linked"),
    [(1_000, 8, 8), (60_000, 8, 4), (100_000, 6, 0), (200_000, 0, 0)],
)
def test_where_the_words_are_long_links_are_left_out_before_previews(
    text_bytes: int, shown: int, linked: int
) -> None:
    info = ImageInfo(PNG, 9, 9, 99, Preview(b"\x89PNG".ljust(12_000)))
    pictures = [Picture(f"{ORIGIN}/{n}?{'a' * 2_000}", info=info) for n in range(8)]
    content = kinds(blocks("x" * text_bytes, 0, pictures, with_links=True))
    assert content == ["text", *["image"] * shown, *["resource_link"] * linked]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_what_compresses_worst_is_shown_within_100_kb(mode: str, tmp_path: Path) -> None:
    content = encoded(noise(mode, (1500, 1500)), "PNG", compress_level=1)
    async with made_up(content, Folders(tmp_path)) as client:
        result = await client.call_tool(DRAW, FOX)
    assert len(b64decode(previews(result)[0].data)) <= LARGEST_PREVIEWS_BYTES
    assert 100 <= shown(result).width <= 512


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        (DRAW, {"prompt": "a fox [[fail]]"}),
        (DRAW, {"prompt": "a fox [[402]]"}),
        (DRAW, {"prompt": "a fox", "colour": "red"}),
        ("get_task", {"task_id": TASK_ID}),
    ],
)
async def test_an_error_carries_text_alone(
    tool: str, arguments: Mapping[str, Any], tmp_path: Path
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        result = await w.call(tool, arguments)
        assert result.is_error
        assert kinds(result.content) == ["text"]


@pytest.mark.parametrize(
    "content",
    [
        png("RGBA", icc_profile=os.urandom(300_000)),
        png("RGB", icc_profile=os.urandom(300_000)),
        encoded(Image.new("RGB", (600, 400)), "JPEG", comment=os.urandom(65_000)),
        encoded(Image.new("RGB", (600, 400)), "JPEG", exif=b"Exif\0\0" + os.urandom(60_000)),
        encoded(Image.new("RGBA", (600, 400), 1), "WEBP", exif=b"Exif\0\0MM" + os.urandom(60_000)),
        png("I;16", transparency=90),
    ],
    ids=["icc", "opaque-icc", "comment", "exif", "webp-exif", "deep-transparent"],
)
async def test_what_comes_along_with_an_image_is_left_out_of_its_preview(
    content: bytes, tmp_path: Path
) -> None:
    async with made_up(content, Folders(tmp_path)) as client:
        result = await client.call_tool(DRAW, FOX)
    assert shown(result).size == (512, 341)
    assert len(previews(result)[0].data) < 10_000
    assert {"icc_profile", "exif", "comment"}.isdisjoint(shown(result).info)


async def test_a_picture_that_lies_on_its_side_is_shown_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("RGB", (600, 300)), "JPEG", exif=exif)
    async with made_up(content, Folders(tmp_path)) as client:
        result = await client.call_tool(DRAW, FOX)
    assert shown(result).size == (256, 512)


async def test_deep_greys_are_shown_as_they_are(tmp_path: Path) -> None:
    content = encoded(Image.new("I;16", (600, 400), 20_000), "PNG")
    async with made_up(content, Folders(tmp_path)) as client:
        result = await client.call_tool(DRAW, FOX)
    assert shown(result).convert("L").getpixel((5, 5)) == pytest.approx(20_000 / 257, abs=2)
