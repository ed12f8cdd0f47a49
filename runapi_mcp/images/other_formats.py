"""Image formats that RunAPI does not take: by what they are known, and which can be read here."""

import re
from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 1_024
"""So much of a file tells what it is: an SVG may begin with comments."""


@dataclass(frozen=True, slots=True)
class OtherFormat:
    name: str
    begins: re.Pattern[bytes]
    is_read: bool = False
    """Whether a still picture of it is read, by a decoder that Pillow calls by this name."""


def other_format(head: bytes) -> OtherFormat | None:
    """What a file is that begins so, if it is an image all the same."""
    return next((each for each in _OTHER_FORMATS if each.begins.match(head)), None)


def _pattern(regex: bytes) -> re.Pattern[bytes]:
    return re.compile(regex, re.DOTALL)


_OTHER_FORMATS: Final = (
    OtherFormat("GIF", _pattern(rb"GIF8[79]a"), is_read=True),
    OtherFormat("BMP", _pattern(rb"BM.{4}\0\0\0\0"), is_read=True),
    OtherFormat("TIFF", _pattern(rb"II[*+]\0|MM\0[*+]"), is_read=True),
    OtherFormat("AVIF", _pattern(rb".{4}ftyp(?:.{4}){0,8}avi[fs]"), is_read=True),
    OtherFormat("HEIC", _pattern(rb".{4}ftyp(?:he[iv][cmsx]|mif1|msf1)")),
    OtherFormat("JPEG XL", _pattern(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    OtherFormat("JPEG 2000", _pattern(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ")),
    OtherFormat("Photoshop", _pattern(rb"8BPS\0")),
    OtherFormat("PDF", _pattern(rb"%PDF-")),
    OtherFormat("SVG", _pattern(rb"(?:\xef\xbb\xbf)?\s*<(?:svg[\s/>]|[?!].*<svg[\s/>])")),
)
