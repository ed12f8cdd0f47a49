"""A picture written in another format or size, upright and without metadata. Imports Pillow: for
the decoder's process alone.

Nothing is enlarged: what asks for more than is there gets what is there.
"""

from io import BytesIO
from typing import Any, Final

from PIL import Image

from runapi_mcp.images.colour_profile import colours_of, in_srgb
from runapi_mcp.images.decoder import Conversion
from runapi_mcp.images.pixels import clear_unseen, simplify, upright

_QUALITY: Final = 90
_LARGE: Final = 10_000_000
"""Pixels, of more of which a smaller file would take the deadline."""
_MOST_PX: Final = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}
"""How long a side each format can have."""


def transcode(image: Image.Image, wanted: Conversion) -> bytes:
    """The file of the picture as it is wanted; the image itself is made use of."""
    to, turned, out = wanted.format_name, upright(image), BytesIO()
    profile = turned.info.get("icc_profile")
    if turned.mode == "CMYK" and profile:
        turned, profile = in_srgb(turned, profile), None
    plain = _resized(simplify(turned), wanted)
    clear_unseen(plain, None)
    if to == "JPEG" and plain.mode == "RGBA":
        plain = _on_white(plain)
    options = _options(to, wanted.quality or _QUALITY, is_large=plain.width * plain.height > _LARGE)
    if profile and (colours := colours_of(profile, plain.mode)):
        options["icc_profile"] = colours
    plain.info.clear()
    plain.save(out, to, **options)
    return out.getvalue()


def _resized(image: Image.Image, wanted: Conversion) -> Image.Image:
    most_px = _MOST_PX[wanted.format_name]
    width, height = min(wanted.width or most_px, most_px), min(wanted.height or most_px, most_px)
    if wanted.crops and wanted.width and wanted.height:
        size, box = _covering(image.size, width, height)
    else:
        size, box = _contained(image.size, width, height), None
    if size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=3.0)  # pyright: ignore[reportUnknownMemberType] - its stub names NumPy


def _contained(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The largest size of this shape that fits into width and height."""
    shrinking = max(size[0] / width, size[1] / height, 1.0)
    return max(1, round(size[0] / shrinking)), max(1, round(size[1] / shrinking))


def _covering(
    size: tuple[int, int], width: int, height: int
) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """The size of a picture of the shape of width and height, and the middle part that it shows."""
    shrinking = min(size[0] / width, size[1] / height)
    shown = width * shrinking, height * shrinking
    left, top = (size[0] - shown[0]) / 2, (size[1] - shown[1]) / 2
    scale = min(shrinking, 1.0)
    made = max(1, round(width * scale)), max(1, round(height * scale))
    return made, (left, top, left + shown[0], top + shown[1])


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _options(to: str, quality: int, *, is_large: bool) -> dict[str, Any]:  # Any: as Pillow has them
    match to:
        case "PNG":
            return {"compress_level": 3 if is_large else 6}
        case "JPEG":
            return {"quality": quality, "optimize": True, "progressive": not is_large}
        case _:
            return {"quality": quality, "method": 2 if is_large else 4}
