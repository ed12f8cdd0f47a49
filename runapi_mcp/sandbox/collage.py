"""The sources of a remix, laid on its picture. Knows nothing of where they came from."""

import math
from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageOps

from runapi_mcp.sandbox.landscape import mix
from runapi_mcp.sandbox.lettering import PAPER, Sheet, drawable, wrap_text

SourceImage = bytes | str
"""An encoded image, or the words that stand for one."""

_LARGEST_PIXELS = 40_000_000
# Never all that Pillow reads: EPS would start Ghostscript on a stranger's bytes.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def put_sources(
    sheet: Sheet, sources: Sequence[SourceImage], area: tuple[int, int, int, int]
) -> None:
    """Each source as a framed print, in a grid that fills the area."""
    left, top, right, foot = area
    columns = max(1, round(math.sqrt(len(sources) * (right - left) / (foot - top))))
    width, height = (right - left) // columns, (foot - top) // math.ceil(len(sources) / columns)
    gap, frame = sheet.margin_px // 3, round(sheet.unit_px / 2)
    for at, source in enumerate(sources):
        tile = _tile(sheet, source, (width - gap - 2 * frame, height - gap - 2 * frame))
        row, column = divmod(at, columns)
        x = left + width * column + (width - tile.width) // 2
        y = top + height * row + (height - tile.height) // 2
        sheet.canvas.paste(ImageOps.expand(tile, frame, PAPER), (x - frame, y - frame))


def proportion_of(source: SourceImage) -> float:
    """Width by height, from 1:2 to 2:1; square where there is no image to read."""
    image = _readable(source, (256, 256))
    return min(max(image.width / image.height, 0.5), 2.0) if image else 1.0


def _readable(source: SourceImage, extent: tuple[int, int]) -> Image.Image | None:
    """The source upright and no larger than it will be needed."""
    if isinstance(source, str):
        return None
    try:
        image = Image.open(BytesIO(source), formats=_FORMATS)
        if image.width * image.height > _LARGEST_PIXELS:
            return None
        image.draft("RGB", extent)
        image.thumbnail((max(extent), max(extent)))
        return ImageOps.exif_transpose(image).convert("RGBA")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise anything on hostile bytes
        return None


def _tile(sheet: Sheet, source: SourceImage, extent: tuple[int, int]) -> Image.Image:
    """The source with a share of the new prompt's colours; of none that can be read, words."""
    image, colours = _readable(source, extent), sheet.colours
    if image is None:
        words = source if isinstance(source, str) else "Not a readable image"
        return _label(sheet, words, min(extent))
    photo = ImageOps.contain(image, extent)
    tile = Image.new("RGB", photo.size, PAPER)
    tile.paste(photo, mask=photo)
    toned = ImageOps.colorize(tile.convert("L"), colours.ridge, colours.sun, colours.middle)
    return Image.blend(tile, toned, 0.35)


def _label(sheet: Sheet, words: str, side: int) -> Image.Image:
    tile = Image.new("RGB", (side, side), mix(sheet.colours.middle, sheet.colours.ridge, 0.5))
    font = sheet.font(2.6)
    text = "\n".join(wrap_text(drawable(words), font, side * 0.9, 6))
    ImageDraw.Draw(tile).text((side / 2, side / 2), text, PAPER, font, "mm", align="center")
    return tile
