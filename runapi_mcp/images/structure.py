"""Of what parts an image file is made, read without decoding it: its kind, its size, its end.

Content decides what a file is, never its name or what a server called it. A file of more parts than
any program writes is refused here: decoders take seconds for megabytes of empty ones.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from runapi_mcp.base.errors import Failure
from runapi_mcp.images.other_formats import HEAD_BYTES, other_format

MOST_PIXELS: Final = 50_000_000
"""What the largest cameras make; a decoder of more would take the memory of the machine."""
MOST_SCANS: Final = 200
"""A progressive JPEG has some ten, and each is a way through all of its pixels."""
MOST_PARTS: Final = 100_000
"""A PNG of the largest size that is written in the smallest usual pieces has some ten thousand."""

_BLOCK_BYTES: Final = 65_536
# Within pixels an FF is followed by 00, and D0 to D7 are theirs too.
_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_START, _END, _SCAN, _TEMPORARY = 0xD8, 0xD9, 0xDA, 0x01
_FRAMES: Final = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


class NotAnImage(Failure):
    """A file that is no PNG, JPEG or WebP, or not a whole one, or one that nobody should decode."""


@dataclass(frozen=True, slots=True)
class ImageFormat:
    media_type: str
    suffix: str
    decoder: bytes
    """What Pillow calls it."""


PNG: Final = ImageFormat("image/png", ".png", b"PNG")
JPEG: Final = ImageFormat("image/jpeg", ".jpg", b"JPEG")
WEBP: Final = ImageFormat("image/webp", ".webp", b"WEBP")


@dataclass(frozen=True, slots=True)
class Structure:
    """What an image's file says of itself."""

    format: ImageFormat
    width: int
    height: int
    has_end: bool
    """Whether all of its parts are there, the last one too."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_structure(file: IO[bytes]) -> Structure:
    """The structure of an image that may be decoded. Blocks.

    Raises:
        NotAnImage: it is no PNG, JPEG or WebP, or has too many pixels or parts.
    """
    window = _Window(file)
    for image_format, begins, measure in _FORMATS:
        if begins.match(window.at(0, 16)):
            width, height, has_end = measure(window)
            structure = Structure(image_format, width, height, has_end)
            if structure.pixels > MOST_PIXELS:
                most = f"At most {MOST_PIXELS // 1_000_000} million are read."
                raise NotAnImage(f"The image has {width} x {height} pixels.", most)
            return structure
    raise _not_taken(window.at(0, HEAD_BYTES))


def not_whole(kind: str = "PNG, JPEG or WebP") -> NotAnImage:
    return NotAnImage(f"The file is not a whole {kind} image.", "Look at what it is.")


def _not_taken(head: bytes) -> NotAnImage:
    other = other_format(head)
    if other is None:
        return not_whole()
    return NotAnImage(f"The file is {other.name}.", "Save the image as PNG, JPEG or WebP.")


def too_large(size_bytes: int, most_bytes: int) -> NotAnImage:
    most = f"At most {most_bytes // 1_000_000} are taken; make it smaller."
    return NotAnImage(f"The image has {size_bytes / 1e6:.0f} MB.", most)


class _Window:
    """Bytes of a file, of which a block is held."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._place = 0
        self._block = b""

    def at(self, place: int, count: int) -> bytes:
        """So many bytes from this place on, less where the file ends."""
        begin = place - self._place
        if not 0 <= begin <= begin + count <= len(self._block):
            self._file.seek(place)
            self._place, self._block, begin = place, self._file.read(_BLOCK_BYTES), 0
        return self._block[begin : begin + count]

    def number(self, place: int, count: int) -> int:
        return int.from_bytes(self.at(place, count), "big")

    def find(self, pattern: re.Pattern[bytes], place: int) -> int | None:
        """Where the next two bytes of a pattern are."""
        while len(self.at(place, 2)) == 2:
            if found := pattern.search(self._block, place - self._place):
                return self._place + found.start()
            place = self._place + len(self._block) - 1
        return None


_Measured = tuple[int, int, bool]


def _measure_png(window: _Window) -> _Measured:
    width, height = window.number(16, 4), window.number(20, 4)
    place = 8
    for _ in range(MOST_PARTS):
        head = window.at(place, 12)
        if len(head) < 12 or head[4:8] == b"IEND":
            return width, height, len(head) == 12
        place += 12 + int.from_bytes(head[:4], "big")
    raise _of_too_many("parts")


def _measure_jpeg(window: _Window) -> _Measured:
    # As decoders do: what is between two parts is passed over, as pixels are.
    width = height = scans = place = 0
    for _ in range(MOST_PARTS):
        found = window.find(_MARKER, place)
        kind = _END if found is None else window.number(found + 1, 1)
        if found is None or kind == _END:
            return width, height, found is not None
        place = found + 2
        if kind in (_START, _TEMPORARY):
            continue
        if kind in _FRAMES and not width:
            height, width = window.number(place + 3, 2), window.number(place + 5, 2)
        scans += kind == _SCAN
        if scans > MOST_SCANS:
            raise _of_too_many("scans")
        place += window.number(place, 2)
    raise _of_too_many("parts")


def _measure_webp(window: _Window) -> _Measured:
    width, height = _webp_size(window)
    place, end = 12, 8 + int.from_bytes(window.at(4, 4), "little")
    for _ in range(MOST_PARTS):
        head = window.at(place, 8)
        if len(head) < 8 or place >= end:
            return width, height, place >= end and window.at(end - 1, 1) != b""
        size = int.from_bytes(head[4:], "little")
        place += 8 + size + size % 2
    raise _of_too_many("parts")


def _webp_size(window: _Window) -> tuple[int, int]:
    kind, body = window.at(12, 4), window.at(20, 10)
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(body[4:7], "little"),
            1 + int.from_bytes(body[7:10], "little"),
        )
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF


def _of_too_many(what: str) -> NotAnImage:
    most = MOST_SCANS if what == "scans" else MOST_PARTS
    return NotAnImage(f"The image has more than {most:,} {what}.", "No program writes such.")


_FORMATS: Final[
    tuple[tuple[ImageFormat, re.Pattern[bytes], Callable[[_Window], _Measured]], ...]
] = (
    (PNG, re.compile(rb"\x89PNG\r\n\x1a\n"), _measure_png),
    (JPEG, re.compile(rb"\xff\xd8\xff"), _measure_jpeg),
    (WEBP, re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL), _measure_webp),
)
