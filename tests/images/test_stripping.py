"""A local image reaches RunAPI as its pixels, upright and in their colours, and as nothing else."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from tests.support.photos import (
    CORNER,
    PICTURE_PARTS,
    PROFILE,
    REMIX,
    SECRET,
    SIZE,
    asking,
    decoded,
    encoded,
    jpeg,
    moving,
    of_a_phone,
    parts_of,
    picture,
    png,
    remixing,
    seed_of,
    sources_of,
    uploaded,
    webp,
    with_exif,
)

pytestmark = pytest.mark.anyio
MAKERS = {"JPEG": jpeg, "PNG": png, "WEBP": webp}
KIND = pytest.mark.parametrize("kind", MAKERS)
ORIENTATION = pytest.mark.parametrize("orientation", range(1, 9))
RIGHT, BOTTOM = "right", "bottom"
WHERE_THE_CORNER_IS_SEEN: dict[int, set[str]] = {
    1: set(),
    2: {RIGHT},
    3: {RIGHT, BOTTOM},
    4: {BOTTOM},
    5: set(),
    6: {RIGHT},
    7: {RIGHT, BOTTOM},
    8: {BOTTOM},
}
"""By EXIF's orientation: 1 to 4 are seen as they are wide, 5 to 8 lie on their side."""


def is_red(image: Image.Image, seen: set[str]) -> bool:
    half = CORNER // 2
    x = image.width - half if RIGHT in seen else half
    y = image.height - half if BOTTOM in seen else half
    pixel = image.convert("RGB").getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel[0] > 150 and pixel[2] < 80


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("JPEG", jpeg()),
        ("JPEG", jpeg(orientation=6)),
        ("JPEG", jpeg(progressive=True)),
        ("JPEG", jpeg(icc_profile=PROFILE)),
        ("JPEG", jpeg(mode="CMYK")),
        ("JPEG", jpeg(mode="L")),
        ("JPEG", of_a_phone()),
        ("PNG", png()),
        ("PNG", png(orientation=3)),
        ("PNG", png(mode="P")),
        ("PNG", png(icc_profile=PROFILE)),
        ("WEBP", webp()),
        ("WEBP", webp(orientation=8)),
        ("WEBP", webp(icc_profile=PROFILE)),
        ("PNG", moving("PNG")),
        ("WEBP", moving("WEBP")),
    ],
)
async def test_only_the_parts_that_are_the_picture_leave_the_machine(
    kind: str, content: bytes, tmp_path: Path
) -> None:
    held = await uploaded(tmp_path, content)
    assert decoded(held).format == kind
    assert set(parts_of(held)) <= PICTURE_PARTS[kind]
    assert SECRET not in held


async def test_of_a_phones_two_pictures_the_second_stays_at_home(tmp_path: Path) -> None:
    content = of_a_phone()
    assert content.count(b"\xff\xd8\xff") == 2
    held = await uploaded(tmp_path, content)
    assert held.count(b"\xff\xd8\xff") == 1
    assert seed_of(held) == pytest.approx(seed_of(content), abs=2)


@KIND
@ORIENTATION
async def test_a_picture_is_sent_as_it_is_meant_to_be_seen(
    kind: str, orientation: int, tmp_path: Path
) -> None:
    held = decoded(await uploaded(tmp_path, MAKERS[kind](orientation)))
    assert held.size == (SIZE if orientation < 5 else SIZE[::-1])
    assert is_red(held, WHERE_THE_CORNER_IS_SEEN[orientation])
    assert 0x0112 not in held.getexif()


@KIND
@pytest.mark.parametrize("orientation", [1, 6])
async def test_the_colour_profile_is_kept(kind: str, orientation: int, tmp_path: Path) -> None:
    content = MAKERS[kind](orientation, icc_profile=PROFILE)
    kept = decoded(await uploaded(tmp_path, content)).info["icc_profile"]
    assert colours_by(kept) == colours_by(PROFILE)


def colours_by(profile: bytes) -> bytes:
    """A picture's colours as they are read by a profile, which knows no screen."""
    lab = ImageCms.createProfile("LAB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped in Pillow
    read = ImageCms.buildTransform(ImageCms.ImageCmsProfile(BytesIO(profile)), lab, "RGB", "LAB")  # pyright: ignore[reportUnknownArgumentType] - as above
    seen = ImageCms.applyTransform(picture(), read)
    assert seen is not None
    return seen.tobytes()


def paletted() -> Image.Image:
    image = picture().quantize(8)
    image.info["transparency"] = bytes([0, 128, 255])
    return image


def see_through(mode: str) -> Image.Image:
    image = picture("RGBA")
    image.putalpha(Image.linear_gradient("L").crop((0, 100, SIZE[0], 100 + SIZE[1])))
    return image.convert(mode)


def with_one_colour_see_through(mode: str, colour: int | tuple[int, int, int]) -> Image.Image:
    image = picture(mode)
    image.info["transparency"] = colour
    return image


def sixteen_bits() -> Image.Image:
    image = Image.new("I;16", SIZE)
    for x in range(SIZE[0]):
        for y in range(SIZE[1]):
            image.putpixel((x, y), 1_000 * x + 7 * y)
    return image


PIXELS: dict[str, Callable[[], Image.Image]] = {
    "RGB": lambda: picture("RGB"),
    "RGBA": lambda: see_through("RGBA"),
    "grey": lambda: picture("L"),
    "grey, see-through": lambda: see_through("LA"),
    "black and white": lambda: picture("1"),
    "palette": lambda: picture().quantize(8),
    "palette, see-through": paletted,
    "one colour see-through": lambda: with_one_colour_see_through("RGB", (200, 0, 0)),
    "one grey see-through": lambda: with_one_colour_see_through("L", 60),
    "16 bits of grey": sixteen_bits,
}


def as_seen(image: Image.Image) -> bytes:
    """Its pixels, where what cannot be seen has no colour."""
    return image.convert("RGBA").convert("RGBa").tobytes()


@pytest.mark.parametrize("pixels", PIXELS)
async def test_the_pixels_of_a_png_are_unchanged(pixels: str, tmp_path: Path) -> None:
    image = PIXELS[pixels]()
    content = encoded(image)
    held = decoded(await uploaded(tmp_path, content))
    assert held.mode == decoded(content).mode
    assert held.tobytes() == decoded(content).tobytes()
    if image.mode not in ("1", "I;16"):
        assert as_seen(held) == as_seen(decoded(content))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
async def test_a_jpeg_that_stands_upright_is_compressed_no_further(
    mode: str, tmp_path: Path
) -> None:
    content = jpeg(mode=mode, quality=61)
    held = await uploaded(tmp_path, content)
    assert decoded(held).mode == mode
    assert tables_of(held) == tables_of(content)
    assert difference(decoded(held), decoded(content)) < 3


@pytest.mark.parametrize("orientation", [1, 6])
async def test_a_webp_stays_see_through_and_close_to_what_it_was(
    orientation: int, tmp_path: Path
) -> None:
    content = encoded(see_through("RGBA"), "WEBP", lossless=True)
    held = decoded(await uploaded(tmp_path, content))
    assert held.mode == "RGBA"
    assert held.getchannel("A").tobytes() == decoded(content).getchannel("A").tobytes()


def tables_of(content: bytes) -> object:
    """How strongly a JPEG is compressed."""
    image = decoded(content)
    assert isinstance(image, JpegImageFile)
    return image.quantization, image.layer


def difference(one: Image.Image, other: Image.Image) -> float:
    """By how much the values of two images differ on the average."""
    pairs = list(zip(one.tobytes(), other.tobytes(), strict=True))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
async def test_of_a_moving_picture_the_first_frame_is_sent(kind: str, tmp_path: Path) -> None:
    held = decoded(await uploaded(tmp_path, moving(kind)))
    assert getattr(held, "n_frames", 1) == 1
    assert seed_of(encoded(held)) == pytest.approx(20, abs=3)


BROKEN_EXIF = {
    "no TIFF": b"no TIFF at all",
    "nothing": b"",
    "cut": b"II*\0\x08\0\0\0\xff\xff",
    "beyond its end": b"MM\0*\xff\xff\xff\xff",
    "orientation and rubbish": (
        b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f\x01\x02\0\xff\xff\xff\xff"
        b"\xf0\xff\xff\xff\0\0\0\0"
    ),
    "orientation 99": (b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0"),
    "orientation in words": (b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0"),
}


@KIND
@pytest.mark.parametrize("broken", BROKEN_EXIF)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Tag data larger")  # Pillow's words
async def test_a_picture_with_broken_exif_is_a_picture_all_the_same(
    kind: str, broken: str, tmp_path: Path
) -> None:
    held = await uploaded(tmp_path, with_exif(kind, BROKEN_EXIF[broken]))
    assert set(parts_of(held)) <= PICTURE_PARTS[kind]


async def test_the_same_pixels_with_other_metadata_are_the_same_upload(tmp_path: Path) -> None:
    here = tmp_path / "photos"
    here.mkdir()
    (here / "told.png").write_bytes(png())
    (here / "silent.png").write_bytes(encoded(picture()))
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(here / "told.png", here / "silent.png"))
        told, silent = await sources_of(w)
        assert told == silent
        assert w.wire.paths("POST").count("/api/v1/files/prepare") == 1
