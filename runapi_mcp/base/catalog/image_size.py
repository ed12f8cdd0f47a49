"""Sizes of images in pixels, as one text: a preset's name, or WIDTHxHEIGHT."""

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.json_values import as_object

MEGAPIXEL: Final = 1_048_576
"""As vendors count it that sell by the megapixel: 1024 by 1024 is one."""
MOST_MEGAPIXELS: Final = 4
"""Where a vendor publishes no ranges of its own."""
_WRITTEN: Final = re.compile(r"([1-9]\d{0,4})\s*[x*]\s*([1-9]\d{0,4})", re.IGNORECASE | re.ASCII)


class ImageSize(NamedTuple):
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def megapixels(self) -> int:
        """As they are charged: rounded up."""
        return math.ceil(self.width * self.height / MEGAPIXEL)


PRESETS: Final[Mapping[str, ImageSize]] = {
    "square_hd": ImageSize(1024, 1024),
    "square": ImageSize(512, 512),
    "portrait_4_3": ImageSize(768, 1024),
    "portrait_16_9": ImageSize(576, 1024),
    "landscape_4_3": ImageSize(1024, 768),
    "landscape_16_9": ImageSize(1024, 576),
}
DEFAULT_PRESET: Final = "landscape_4_3"


def parse_size(text: str) -> ImageSize:
    """The size that a text names.

    Raises:
        ValueError: it names none.
    """
    if preset := PRESETS.get(text):
        return preset
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError(f"must be WIDTHxHEIGHT in pixels, or one of {', '.join(PRESETS)}")
    return ImageSize(int(written[1]), int(written[2]))


def as_one_text(value: object) -> object:
    """The one text of a size that came as an object, as vendors take it; else the value itself."""
    sides = as_object(value)
    is_size = sides.keys() == {"width", "height"}
    return f"{sides['width']}x{sides['height']}" if is_size else value


def tidy_size(text: str) -> str:
    """A size as it is kept: a preset's name, or digits, an x and digits.

    Raises:
        ValueError: it is none.
    """
    name = text.strip().lower().replace("-", "_")
    return name if name in PRESETS else str(parse_size(text.strip()))
