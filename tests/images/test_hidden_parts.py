"""What no eye sees of a local image stays at home, also within what is part of the picture."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.images.test_stripping import uploaded
from tests.support.photos import PROFILE, SECRET, SIZE, jpeg, parts_of, picture
from tests.support.pictures import decoded, encoded

pytestmark = pytest.mark.anyio
HIDDEN = SECRET[:30]
TEXT = 348
"""Where the words of the profile's copyright begin."""


def with_profile(profile: bytes) -> bytes:
    return encoded(picture(), "PNG", icc_profile=profile)


def with_a_private_part() -> bytes:
    """The profile with one more row in its table, and its data at the end."""
    rows = bytearray(PROFILE[132 : 132 + 12 * PROFILE[131]])
    for place in range(4, len(rows), 12):
        rows[place : place + 4] = number(int.from_bytes(rows[place : place + 4], "big") + 12)
    rows += b"prVt" + number(len(PROFILE) + 12) + number(len(HIDDEN))
    rest = PROFILE[132 + 12 * PROFILE[131] :]
    content = PROFILE[4:128] + number(PROFILE[131] + 1) + rows + rest + HIDDEN
    return number(len(content) + 4) + content


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


PROFILES: dict[str, Callable[[], bytes]] = {
    "none at all": lambda: HIDDEN * 10,
    "a header alone": lambda: PROFILE[:128] + bytes(4) + HIDDEN * 10,
    "more behind its end": lambda: PROFILE + HIDDEN,
    "its words": lambda: PROFILE[:TEXT] + HIDDEN + PROFILE[TEXT + 30 :],
    "its header": lambda: PROFILE[:84] + HIDDEN + PROFILE[114:],
    "a private part": with_a_private_part,
}


@pytest.mark.parametrize("hidden", PROFILES)
async def test_a_profile_takes_nothing_along_but_what_colours_are_read_by(
    hidden: str, tmp_path: Path
) -> None:
    profile = PROFILES[hidden]()
    assert HIDDEN in decoded(with_profile(profile)).info["icc_profile"]
    held = decoded(await uploaded(tmp_path, with_profile(profile)))
    assert HIDDEN not in held.info.get("icc_profile", b"")
    assert ("icc_profile" in held.info) == (hidden not in ("none at all", "a header alone"))


async def test_a_profile_of_other_colours_than_the_pictures_is_none(tmp_path: Path) -> None:
    content = encoded(picture("L"), "PNG", icc_profile=PROFILE)
    assert "icc_profile" not in decoded(await uploaded(tmp_path, content)).info


def row_of(mode: str, pixel_bytes: int) -> Image.Image:
    """A picture that is clear, with the secret in its first row."""
    colours = Image.new(mode, SIZE)
    step = pixel_bytes - 1
    content = bytearray(colours.tobytes())
    for place in range(len(HIDDEN) // step):
        content[place * pixel_bytes : place * pixel_bytes + step] = HIDDEN[
            place * step : place * step + step
        ]
    content[-1] = 255
    return Image.frombytes(mode, SIZE, bytes(content))


def palette(used: int, opacities: bytes) -> bytes:
    """A picture of two colours, or of eleven with the secret, that has all of them."""
    indexes = bytes(index % used for index in range(SIZE[0] * SIZE[1]))
    image = Image.frombytes("P", SIZE, indexes)
    image.putpalette(b"\xc8\0\0" + HIDDEN + b"\0\0\xc8")
    return encoded(image, "PNG", transparency=opacities)


def with_an_unused_table() -> bytes:
    """A JPEG with a quantisation table that none of its colours has."""
    table = (HIDDEN * 3)[:64]
    plain = jpeg()
    return plain[:2] + b"\xff\xdb\x00\x43\x03" + table + plain[2:]


PIXELS: dict[str, Callable[[], bytes]] = {
    "colours of no pixel": lambda: palette(1, b"\xff"),
    "colours that are clear": lambda: palette(12, b"\xff" + bytes(11)),
    "how clear colours of no pixel are": lambda: palette(1, b"\xff" + HIDDEN[:11]),
    "under clear pixels": lambda: encoded(row_of("RGBA", 4)),
    "under clear grey": lambda: encoded(row_of("LA", 2)),
    "under clear WebP": lambda: encoded(row_of("RGBA", 4), "WEBP", lossless=True, exact=True),
    "a table of no colour": with_an_unused_table,
}


@pytest.mark.parametrize("hidden", PIXELS)
async def test_pixels_take_nothing_along_that_is_not_seen(hidden: str, tmp_path: Path) -> None:
    content = PIXELS[hidden]()
    assert HIDDEN[:10] in all_of(content)
    assert HIDDEN[:10] not in all_of(await uploaded(tmp_path, content))


def all_of(content: bytes) -> bytes:
    """All that a file says, packed or not."""
    image = decoded(content)
    bands = image.split()
    colours = b"".join(map(Image.Image.tobytes, bands))
    opaque = image.convert(image.mode.removesuffix("A")) if len(bands) > 1 else image
    return content + image.tobytes() + colours + opaque.tobytes()


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (1, 2, 3)), ("L", 7), ("P", 200)])
async def test_a_clear_colour_of_no_pixel_is_not_told(
    mode: str, colour: int | tuple[int, ...], tmp_path: Path
) -> None:
    held = await uploaded(tmp_path, encoded(picture(mode), "PNG", transparency=colour))
    assert "tRNS" not in parts_of(held)
