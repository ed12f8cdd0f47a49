"""A picture's colour profile (ICC), of which only what colours are read by is kept.

A profile is a small file of its own: with texts, the screen's name and serial number, private parts
and room between them. Imports Pillow: for the decoder's process alone.
"""

from io import BytesIO
from typing import Final

from PIL import Image, ImageCms

_MODES: Final = {
    b"RGB ": ("RGB", ("P", "RGB", "RGBA")),
    b"GRAY": ("L", ("1", "L", "LA", "I;16")),
    b"CMYK": ("CMYK", ("CMYK",)),
}
"""Of a profile's colour space: the mode it is read as, and those of the pictures that have it."""
_NEEDED: Final = frozenset(
    {b"wtpt", b"bkpt", b"chad", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC"}
    | {b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2"}
)
_HEADER_BYTES: Final = 128
_OF_NO_COLOUR: Final = (slice(4, 8), slice(24, 36), slice(40, 64), slice(80, 128))
"""Of the header: programs, the date, platform, device, and an id of the whole."""


def colours_of(profile: bytes, mode: str) -> bytes | None:
    """What says of a profile how colours are read; None where no picture of the mode can be."""
    read_as, modes = _MODES.get(profile[16:20], ("", ()))
    if mode not in modes:
        return None
    try:
        needed = _rebuild(profile)
        srgb = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped in Pillow
        # Raises where nothing can be read by it.
        ImageCms.buildTransform(ImageCms.ImageCmsProfile(BytesIO(needed)), srgb, read_as, "RGB")  # pyright: ignore[reportUnknownArgumentType] - as above
    except Exception:  # noqa: BLE001 - a profile that nothing can be read by is none
        return None
    return needed


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The colours that its profile says, as a screen shows them; roughly, where it says none."""
    try:
        srgb = ImageCms.createProfile("sRGB")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped in Pillow
        read = ImageCms.ImageCmsProfile(BytesIO(profile))
        seen = ImageCms.profileToProfile(image, read, srgb, outputMode="RGB")  # pyright: ignore[reportUnknownArgumentType] - as above
    except Exception:  # noqa: BLE001 - a profile that nothing can be read by is none
        seen = None
    seen = seen or image.convert("RGB")
    seen.info.clear()
    return seen


def _rebuild(profile: bytes) -> bytes:
    tags = [(name, data) for name, data in _tags(profile) if name in _NEEDED]
    data_begins = _HEADER_BYTES + 4 + 12 * len(tags)
    table, body, places = b"", b"", dict[bytes, int]()
    for name, data in tags:
        # Curves that are alike stand there once.
        if data not in places:
            places[data] = data_begins + len(body)
            body += data + bytes(-len(data) % 4)
        table += name + _number(places[data]) + _number(len(data))
    header = bytearray(profile[:_HEADER_BYTES])
    for part in _OF_NO_COLOUR:
        header[part] = bytes(part.stop - part.start)
    header[:4] = _number(data_begins + len(body))
    return bytes(header) + _number(len(tags)) + table + body


def _tags(profile: bytes) -> list[tuple[bytes, bytes]]:
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4], "big")
    table = profile[_HEADER_BYTES + 4 :][: 12 * min(count, 100)]
    rows = [table[at : at + 12] for at in range(0, len(table), 12)]
    return [(row[:4], _slice(profile, row)) for row in rows]


def _slice(profile: bytes, row: bytes) -> bytes:
    begin, size = int.from_bytes(row[4:8], "big"), int.from_bytes(row[8:], "big")
    return profile[begin : begin + size]


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")
