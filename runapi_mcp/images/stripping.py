"""An image without what it says about its maker: made anew from its pixels. Blocks."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final

from runapi_mcp.images.inspection import FORMATS, ImageFormat, NotAnImage, decode, upright

if TYPE_CHECKING:
    from PIL import Image

SMALLEST_PX: Final = 16
LARGEST_PX: Final = 16_384

_PART_OF_THE_PICTURE: Final = ("icc_profile", "transparency")


@dataclass(frozen=True, slots=True)
class StrippedImage:
    content: bytes
    format: ImageFormat


def strip(file: BinaryIO) -> StrippedImage:
    """The image's pixels, upright, with its colour profile and nothing else.

    Taking known metadata out would leave what nobody thought of: maker notes, a second picture
    behind the first, the place in a private chunk. A JPEG keeps its own quantisation.

    Raises:
        NotAnImage: it is not a whole PNG, JPEG or WebP, or of no size to draw from.
    """
    with decode(file) as image:
        _check_size(image)
        return StrippedImage(_encode(image), FORMATS[str(image.format)])


def _check_size(image: Image.Image) -> None:
    if not SMALLEST_PX <= min(image.size) <= max(image.size) <= LARGEST_PX:
        raise NotAnImage(
            f"The image is {image.width} x {image.height} pixels.",
            f"Each side must have {SMALLEST_PX} to {LARGEST_PX:,}.",
        )


def _encode(image: Image.Image) -> bytes:
    turned, out = upright(image), BytesIO()
    kept = {name: image.info[name] for name in _PART_OF_THE_PICTURE if name in image.info}
    # What stays in `info` would be written again: a JPEG's comment, for one.
    turned.info.clear()
    match image.format:
        case "PNG":
            turned.save(out, "PNG", compress_level=4, **kept)
        case "WEBP":
            turned.save(out, "WEBP", quality=95, **kept)
        case _:
            keeps = turned is image and image.format == "JPEG"
            turned.save(out, "JPEG", quality="keep" if keeps else 95, **kept)
    return out.getvalue()
