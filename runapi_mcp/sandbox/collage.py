"""The sources of a remix, laid on its picture. Knows nothing of where they came from."""

from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

from PIL import Image, ImageDraw, ImageOps

from runapi_mcp.sandbox.landscape import gradient, mix
from runapi_mcp.sandbox.lettering import PAPER, Sheet, drawable, wrapped

Box = tuple[int, int, int, int]
SourceImage = bytes | str
"""An encoded image, or the words that stand for one."""

_LARGEST_PIXELS = 40_000_000
# Never all that Pillow reads: EPS would start Ghostscript on a stranger's bytes.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def put_sources(sheet: Sheet, sources: Sequence[SourceImage], area: Box) -> None:
    """Each source as a framed print, all of them as large as the area allows."""
    near_px, frame = max(sheet.canvas.size) // min(len(sources), 2), round(sheet.unit_px / 2)
    shown = [_shown(source, near_px) for source in sources]
    boxes = _collage([_proportion(one) for one in shown], area, sheet.margin_px // 3)
    for one, (left, top, right, foot) in zip(shown, boxes, strict=True):
        extent = right - left - 2 * frame, foot - top - 2 * frame
        tile = _label(sheet, one, extent) if isinstance(one, str) else _tinted(sheet, one, extent)
        _put_print(sheet, ImageOps.expand(tile, frame, PAPER), (left, top))


def proportion_of(source: SourceImage) -> float:
    """Width by height, from 1:2 to 2:1; square where there is no image to read."""
    return _proportion(_shown(source, 256))


def _shown(source: SourceImage, near_px: int) -> Image.Image | str:
    if isinstance(source, str):
        return source
    return _readable(source, near_px) or "Not a readable image"


def _readable(source: bytes, near_px: int) -> Image.Image | None:
    """The source upright and no larger than it will be needed."""
    try:
        image = Image.open(BytesIO(source), formats=_FORMATS)
        if image.width * image.height > _LARGEST_PIXELS:
            return None
        image.draft("RGB", (near_px, near_px))
        image.thumbnail((near_px, near_px))
        return ImageOps.exif_transpose(image).convert("RGBA")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise anything on hostile bytes
        return None


def _proportion(shown: Image.Image | str) -> float:
    return min(max(shown.width / shown.height, 0.5), 2.0) if isinstance(shown, Image.Image) else 1.0


def _tinted(sheet: Sheet, photo: Image.Image, extent: tuple[int, int]) -> Image.Image:
    """The source with a share of the new prompt's colours."""
    fitted, tile = ImageOps.fit(photo, extent), Image.new("RGB", extent, PAPER)
    tile.paste(fitted, mask=fitted)
    ridge, middle, sun = sheet.colours.ridge, sheet.colours.middle, sheet.colours.sun
    return Image.blend(tile, ImageOps.colorize(tile.convert("L"), ridge, sun, middle), 0.35)


def _label(sheet: Sheet, words: str, extent: tuple[int, int]) -> Image.Image:
    deep = [mix(sheet.colours.middle, sheet.colours.ridge, share) for share in (0.4, 0.7)]
    tile, units = gradient(extent, deep), min(2.6, extent[0] / sheet.unit_px / 11)
    lines = wrapped(drawable(words), sheet.font(units), extent[0] * 0.9, 6)
    centre = extent[0] / 2, extent[1] / 2
    text = "\n".join(line.rstrip() for line in lines)
    ImageDraw.Draw(tile).text(centre, text, PAPER, sheet.font(units), "mm", align="center")
    return tile


def _put_print(sheet: Sheet, tile: Image.Image, corner: tuple[int, int]) -> None:
    mask = Image.new("L", (tile.width * 2, tile.height * 2))
    box = 0, 0, mask.width - 1, mask.height - 1
    ImageDraw.Draw(mask).rounded_rectangle(box, sheet.unit_px * 3, 255)
    sheet.canvas.paste(tile, corner, mask.reduce(2))


def _collage(proportions: Sequence[float], area: Box, gap: int) -> list[Box]:
    """A box for each proportion, in the number of rows that shows them largest."""
    total = len(proportions)
    layouts: list[list[Box]] = []
    for count in range(1, total + 1):
        cuts = [total * row // count for row in range(count + 1)]
        rows = [proportions[start:end] for start, end in pairwise(cuts)]
        layouts.append(_justified(rows, area, gap))
    return max(layouts, key=lambda boxes: sum((r - x) * (b - y) for x, y, r, b in boxes))


def _justified(rows: Sequence[Sequence[float]], area: Box, gap: int) -> list[Box]:
    """Rows of one common width, each as high as its proportions make it, centred in the area."""
    left, top, right, foot = area
    # A row's height is (width - its gaps) / its sum; all of them must fit the area's height.
    depth = foot - top - gap * (len(rows) - 1)
    gaps = sum(gap * (len(row) - 1) / sum(row) for row in rows)
    slope = sum(1 / sum(row) for row in rows)
    width = min(right - left, (depth + gaps) / slope)
    y = top + (depth + gaps - width * slope) / 2
    boxes: list[Box] = []
    for row in rows:
        x, height = (left + right - width) / 2, (width - gap * (len(row) - 1)) / sum(row)
        for proportion in row:
            boxes.append((round(x), round(y), round(x + height * proportion), round(y + height)))
            x += height * proportion + gap
        y += height + gap
    return boxes
