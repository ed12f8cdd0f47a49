"""The sandbox's pictures: the size that was paid for, the prompt and the sources in them."""

from base64 import b64encode
from dataclasses import replace
from io import BytesIO
from typing import get_args

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from runapi_mcp.base.catalog.fields import Ratio
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.pictures import Scene, draw, size
from tests.support.world import BASE_URL

pytestmark = pytest.mark.anyio

DRAW = "text_to_image"
REMIX = "remix_image"
FOREIGN = "https://example.com/a.png"
SMALL = Scene("a red fox", "flux-2-pro-remix-image", "one", 256, 256)


@pytest.fixture
def sandbox() -> Sandbox:
    """It draws at once."""
    return Sandbox(draw_seconds=0)


def encoded(width: int, height: int, colour: str = "blue") -> bytes:
    """A PNG of one colour."""
    out = BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def opened(png: bytes) -> PngImageFile:
    image = Image.open(BytesIO(png))
    assert isinstance(image, PngImageFile)
    image.load()
    return image


def pixels(png: bytes) -> bytes:
    return opened(png).tobytes()


async def created(client: httpx.AsyncClient, action: str, **fields: object) -> str:
    """The address of a new task's picture."""
    body = {"model": f"flux-2-pro-{action.replace('_', '-')}", "prompt": "a red fox", **fields}
    response = await client.post(f"/api/v1/flux_2/{action}", json=body)
    return f"{BASE_URL}/images/{response.json()['id']}.png"


def task_id_of(url: str) -> str:
    return url.removeprefix(f"{BASE_URL}/images/").removesuffix(".png")


async def drawn(client: httpx.AsyncClient, url: str) -> bytes:
    response = await client.get(url)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert response.headers["x-runapi-sandbox"] == "1"
    return response.content


async def held(client: httpx.AsyncClient, content: bytes) -> str:
    """The address of a file that the sandbox holds."""
    source = {"type": "base64", "data": b64encode(content).decode()}
    return (await client.post("/api/v1/files", json={"source": source})).json()["url"]


@pytest.mark.parametrize(("resolution", "pixels"), [("1k", 1024**2), ("2k", 2048**2)])
@pytest.mark.parametrize("ratio", get_args(Ratio))
def test_every_ratio_has_its_proportion_its_megapixels_and_sides_of_whole_blocks(
    ratio: str, resolution: str, pixels: int
) -> None:
    width, height = size(ratio, resolution)
    across, down = map(int, ratio.split(":"))
    assert (width % 16, height % 16) == (0, 0)
    assert width * height == pytest.approx(pixels, rel=0.02)
    assert width / height == pytest.approx(across / down, rel=0.02)


async def test_a_picture_has_the_size_that_was_paid_for_and_carries_what_it_was_made_from(
    client: httpx.AsyncClient,
) -> None:
    url = await created(
        client,
        DRAW,
        prompt="a red [[poll-after 2s]] fox, [[429 x0]]señor",
        aspect_ratio="3:2",
        output_resolution="2k",
    )
    image = opened(await drawn(client, url))
    assert image.size == (2512, 1680)
    assert image.text == {
        "Software": "runapi-mcp sandbox",
        "prompt": "a red fox, señor",
        "model": "flux-2-pro-text-to-image",
        "seed": task_id_of(url),
    }


async def test_there_is_no_picture_of_a_task_that_is_unknown_or_failed(
    client: httpx.AsyncClient,
) -> None:
    failed = await created(client, DRAW, prompt="a fox [[fail]]")
    never = await created(client, DRAW, prompt="a fox [[never]]")
    for url in (failed, never, "/images/unknown.png"):
        missing = await client.get(url)
        assert (missing.status_code, missing.json()["error"]) == (404, "Image not found")


async def test_a_task_has_one_picture_and_every_task_its_own(client: httpx.AsyncClient) -> None:
    one, other = [await created(client, DRAW) for _ in range(2)]
    assert await drawn(client, one) == await drawn(client, one)
    assert pixels(await drawn(client, one)) != pixels(await drawn(client, other))


def test_equal_pictures_are_equal_bytes_and_another_task_or_prompt_is_another_picture() -> None:
    assert draw(SMALL) == draw(SMALL)
    changed = [replace(SMALL, seed="two"), replace(SMALL, prompt="a blue fox")]
    assert len({pixels(draw(picture)) for picture in (SMALL, *changed)}) == 3


@pytest.mark.parametrize(
    ("prompt", "sun"),
    [
        ("a red fox in the snow", (226, 71, 47)),
        ("pink boats on the sea", (232, 112, 143)),
        ("a golden tree at night", (244, 162, 60)),
        ("the sea at dawn", (245, 255, 246)),
        ("a red fox", (255, 227, 176)),
    ],
)
def test_the_sun_has_the_colour_that_is_named_before_the_lands(
    prompt: str, sun: tuple[int, int, int]
) -> None:
    image = opened(draw(replace(SMALL, prompt=prompt)))
    counts = {colour: count for count, colour in image.getcolors(256 * 256) or ()}
    assert counts[sun] > 1000


async def test_a_remix_of_a_remix_still_shows_the_uploaded_file_in_its_middle(
    client: httpx.AsyncClient,
) -> None:
    file = await held(client, encoded(60, 60, "blue"))
    remix = await created(client, REMIX, source_image_urls=[file])
    again = await created(client, REMIX, source_image_urls=[remix])
    plain = await created(client, DRAW)
    blueness = [is_blue(await drawn(client, url)) for url in (remix, again, plain)]
    assert blueness == [True, True, False]


def is_blue(png: bytes) -> bool:
    """Whether the middle of a picture is: the landscape of a red fox has no blue at all."""
    image = opened(png)
    pixel = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return pixel[2] > 2 * pixel[0]


async def test_a_remix_says_of_each_source_it_cannot_show_why(client: httpx.AsyncClient) -> None:
    corrupt = encoded(60, 60)[:50]
    urls = [
        FOREIGN,
        f"{BASE_URL}/images/unknown.png",
        f"{BASE_URL}/files/unknown",
        await held(client, corrupt),
    ]
    remix = await created(client, REMIX, source_image_urls=urls)
    words = ("Not fetched: example.com", "Not here any more", "Not here any more", corrupt)
    large = replace(SMALL, width=1024, height=1024)
    picture = replace(large, seed=task_id_of(remix), sources=words)
    assert await drawn(client, remix) == draw(picture)


def test_every_kind_of_source_changes_the_picture() -> None:
    sources = (encoded(60, 60), encoded(60, 60, "green"), b"no image", "Not fetched: example.com")
    pictures = [SMALL, *(replace(SMALL, sources=(source,)) for source in sources)]
    pictures.append(replace(SMALL, sources=sources * 2))
    assert len({pixels(draw(picture)) for picture in pictures}) == len(pictures)


def test_a_source_that_cannot_be_read_is_shown_as_words() -> None:
    words = replace(SMALL, sources=("Not a readable image",))
    for content in (b"", b"no image", encoded(60, 60)[:50]):
        assert draw(replace(SMALL, sources=(content,))) == draw(words)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (encoded(300, 200), (1248, 832)),
        (encoded(200, 300), (832, 1248)),
        (encoded(20, 900), (720, 1456)),
        (b"no image", (1024, 1024)),
        (None, (1024, 1024)),
    ],
    ids=["landscape", "portrait", "strip", "corrupt", "foreign"],
)
async def test_auto_follows_the_source_as_far_as_there_is_one_to_read(
    client: httpx.AsyncClient, source: bytes | None, expected: tuple[int, int]
) -> None:
    urls = [FOREIGN] if source is None else [await held(client, source)]
    remix = await created(client, REMIX, source_image_urls=urls, aspect_ratio="auto")
    assert opened(await drawn(client, remix)).size == expected


@pytest.mark.parametrize(
    ("prompt", "carried"),
    [
        ("🦊🦊🦊 \u200d", "🦊🦊🦊 \u200d"),
        ("a\0b\a\x1b[31m\u202e fox", "a b\a\x1b[31m\u202e fox"),
        ("狐 " * 1666, ("狐 " * 1666).strip()),
        ("W" * 5000, "W" * 5000),
        ("." * 5000, "." * 5000),
        ("[[takes 0s]]", "untitled"),
    ],
    ids=["emoji", "controls", "script", "word", "dots", "nothing"],
)
async def test_any_prompt_is_drawn_and_carried_whole(
    client: httpx.AsyncClient, prompt: str, carried: str
) -> None:
    image = opened(await drawn(client, await created(client, DRAW, prompt=prompt)))
    assert (image.size, image.text["prompt"]) == ((1024, 1024), carried)
