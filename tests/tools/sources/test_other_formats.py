"""A picture in a format that RunAPI does not take goes up as PNG, if it can be read here."""

import zlib
from pathlib import Path

import pytest
from PIL import Image, features

from tests.support.photos import (
    CORNER,
    PROFILE,
    REMIX,
    SECRET,
    SIZE,
    asking,
    decoded,
    encoded,
    exif,
    picture,
    png,
    remixing,
    uploaded,
)
from tests.support.world import said

pytestmark = pytest.mark.anyio
RED, BLUE = (200, 0, 0), (0, 0, 200)
ICC = {"icc_profile": PROFILE}
READ = {
    "BMP": encoded(picture(), "BMP"),
    "BMP of a palette": encoded(picture().quantize(2), "BMP"),
    "GIF": encoded(picture(), "GIF", comment=SECRET),
    "TIFF": encoded(picture(), "TIFF", exif=exif(), **ICC),
    "TIFF on its side": encoded(picture(), "TIFF", exif=exif(orientation=6)),
    "TIFF of LZW": encoded(picture(), "TIFF", compression="tiff_lzw"),
    "TIFF for print": encoded(picture("CMYK"), "TIFF"),
    "TIFF of 16-bit grey": encoded(Image.new("I;16", SIZE, 40_000), "TIFF"),
    "TIFF of numbers": encoded(picture("F"), "TIFF"),
    "TIFF with transparency": encoded(picture("RGBA"), "TIFF"),
}
if features.check("avif"):
    READ["AVIF"] = encoded(picture(), "AVIF", quality=100, subsampling="4:4:4", exif=exif(), **ICC)


@pytest.mark.parametrize("kind", READ)
async def test_a_still_picture_of_another_format_goes_up_as_png(kind: str, tmp_path: Path) -> None:
    sent = await uploaded(tmp_path, READ[kind])
    image = decoded(sent)
    assert image.format == "PNG"
    assert SECRET not in sent
    assert not image.getexif()
    if "grey" in kind or "numbers" in kind:
        assert image.size == SIZE
        return
    on_side = kind.endswith("side")
    assert image.size == (SIZE[::-1] if on_side else SIZE)
    corner = (image.width - CORNER // 2, CORNER // 2) if on_side else (CORNER // 2, CORNER // 2)
    near = 3 if kind == "AVIF" else 0
    for place, colour in ((corner, RED), ((image.width // 2, image.height - 1), BLUE)):
        pixel = image.convert("RGB").getpixel(place)
        assert isinstance(pixel, tuple)
        assert all(abs(a - b) <= near for a, b in zip(pixel, colour, strict=True)), pixel


def with_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk before its pixels."""
    plain = png()
    begin = plain.index(b"IDAT") - 4
    body = kind + content
    chunk = len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return plain[:begin] + chunk + plain[begin:]


LARGE = 5_000_000
PACKED = zlib.compress(SECRET * (LARGE // len(SECRET)))
LARGE_CHUNKS = {
    "tEXt": b"workflow\0" + SECRET * (LARGE // len(SECRET)),
    "zTXt": b"workflow\0\0" + PACKED,
    "iTXt": b"workflow\0\1\0\0\0" + PACKED,
    "iCCP": b"profile\0\0" + zlib.compress(PROFILE + bytes(LARGE)),
}


@pytest.mark.parametrize("kind", LARGE_CHUNKS)
async def test_a_png_with_a_large_text_or_profile_is_taken_without_it(
    kind: str, tmp_path: Path
) -> None:
    sent = await uploaded(tmp_path, with_chunk(kind.encode(), LARGE_CHUNKS[kind]))
    assert decoded(sent).convert("RGB").getpixel((0, 0)) == RED
    assert len(sent) < 10_000
    assert SECRET not in sent


@pytest.mark.parametrize("kind", ["zTXt", "iCCP"])
async def test_a_png_whose_text_or_profile_would_fill_the_memory_is_refused(
    kind: str, tmp_path: Path
) -> None:
    photo = tmp_path / "photos" / "photo"
    photo.parent.mkdir()
    photo.write_bytes(with_chunk(kind.encode(), b"a\0\0" + zlib.compress(bytes(80_000_000))))
    async with remixing(tmp_path) as w:
        assert "is not a whole PNG" in said(await w.call(REMIX, asking(photo)))
