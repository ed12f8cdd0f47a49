"""The PNGs of sandbox tasks. Knows nothing of HTTP or of which fields a variant takes."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from random import Random

from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.PngImagePlugin import PngInfo

from runapi_mcp.sandbox.landscape import Palette, Rgb, gradient, mix, palette, put_ridges, sky

Box = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PIXELS = {"1k": 1024 * 1024, "2k": 2048 * 2048}
_SOURCE_PIXELS = 40_000_000
# Never all that Pillow reads: EPS would start Ghostscript on a stranger's bytes.
_SOURCE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_PAPER: Rgb = (250, 247, 240)
# Sizes of type, in hundredths of the shorter side, and the lines each may take.
_PROMPT_SIZES = ((6.4, 2), (5.0, 3), (3.8, 4))
# What the bundled font has is this and no more, once accents are taken off.
_UNDRAWABLE = re.compile(r"[^\s!-~©«°±·»‘’“”‹›]+")  # noqa: RUF001 - quotes, not apostrophes
_NEAREST = str.maketrans({"–": "-", "—": "-", "ß": "ss", "ø": "o", "æ": "ae", "ł": "l"})  # noqa: RUF001
_ILLEGIBLE = "(a prompt in a script this font does not have)"


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw."""

    prompt: str
    model: str
    task_id: str
    """Seeds the colours and the land: each task's picture is its own, and the same every time."""
    width: int
    height: int
    sources: tuple[bytes | str, ...] = ()
    """For a remix: encoded images, or the host name of a source that is not ours."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A canvas with the colours and the measures of everything laid on it."""

    canvas: Image.Image
    colours: Palette

    @property
    def unit_px(self) -> float:
        return min(self.canvas.size) / 100

    @property
    def margin_px(self) -> int:
        return round(self.unit_px * 6)

    @property
    def right(self) -> int:
        return self.canvas.width - self.margin_px

    @property
    def foot(self) -> int:
        return self.canvas.height - self.margin_px

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.canvas)

    def font(self, units: float) -> Font:
        return ImageFont.load_default(max(1.0, self.unit_px * units))


def size(aspect_ratio: str, output_resolution: str) -> tuple[int, int]:
    """Pixels for a ratio such as "16:9" at "1k" or "2k": about 1 or 4 megapixels."""
    across, down = aspect_ratio.split(":")
    return _size(int(across) / int(down), output_resolution)


def size_like(source: bytes, output_resolution: str) -> tuple[int, int]:
    """Pixels in the source's proportions, from 1:2 to 2:1; square if it cannot be read."""
    return _size(_proportion(_readable(source, 256)), output_resolution)


def draw(picture: Picture) -> bytes:
    """The picture as PNG; the same Picture gives the same bytes."""
    seed = f"{picture.task_id}\n{_encodable(picture.prompt)}"
    rng = Random(seed)  # noqa: S311 - it shapes hills, not secrets
    colours = palette(picture.prompt, rng)
    sheet = _Sheet(sky((picture.width, picture.height), colours, rng), colours)
    put_ridges(sheet.canvas, colours, rng)
    top, foot = _put_header(sheet), _put_prompt(sheet, picture)
    if picture.sources:
        gap = sheet.margin_px * 2 // 3
        _put_sources(sheet, picture.sources, (sheet.margin_px, top + gap, sheet.right, foot - gap))
    return _png(sheet.canvas, picture)


def _size(proportion: float, output_resolution: str) -> tuple[int, int]:
    height = math.sqrt(_PIXELS[output_resolution] / proportion)
    return round(height * proportion / 16) * 16, round(height / 16) * 16


def _put_header(sheet: _Sheet) -> int:
    """SANDBOX, spaced from margin to margin; returns the y where it ends."""
    font, colour = sheet.font(6.4), mix(sheet.colours.zenith, _PAPER, 0.85)
    letters = [(letter, font.getlength(letter)) for letter in "SANDBOX"]
    spare = sheet.right - sheet.margin_px - sum(width for _, width in letters)
    x, y = float(sheet.margin_px), sheet.margin_px + round(sheet.unit_px * 4.6)
    for letter, width in letters:
        sheet.pen.text((x, y), letter, colour, font, "ls")
        x += width + spare / (len(letters) - 1)
    return y


def _put_prompt(sheet: _Sheet, picture: Picture) -> int:
    """The prompt over a rule and a caption, on a scrim; returns the y where it begins."""
    left, unit = sheet.margin_px, sheet.unit_px
    lines, units = _set(sheet, _drawable(picture.prompt))
    rule, leading = sheet.foot - round(unit * 4.6), unit * units * 1.3
    top = round(rule - unit * 2.6 - leading * len(lines))
    _put_scrim(sheet, top - left * 2)
    for i, line in enumerate(lines):
        sheet.pen.text((left, top + leading * (i + 0.8)), line, _PAPER, sheet.font(units), "ls")
    faint = mix(sheet.colours.ridge, _PAPER, 0.35)
    sheet.pen.line((left, rule, sheet.right, rule), faint, max(1, round(unit / 6)))
    _put_caption(sheet, picture)
    return top


def _put_scrim(sheet: _Sheet, top: int) -> None:
    slope = [(depth, depth, depth) for depth in (0, 110, 225, 235)]
    mask = gradient((sheet.canvas.width, sheet.canvas.height - top), slope).getchannel(0)
    sheet.canvas.paste(mix(sheet.colours.ridge, (0, 0, 0), 0.3), (0, top), mask)


def _put_caption(sheet: _Sheet, picture: Picture) -> None:
    font, faint = sheet.font(2.3), mix(sheet.colours.ridge, _PAPER, 0.75)
    count = len(picture.sources)
    made_from = f"  ·  {count} source{'s' * (count > 1)}" if count else ""
    about = f"Sandbox picture  ·  {picture.width} x {picture.height}"
    sheet.pen.text((sheet.margin_px, sheet.foot), picture.model + made_from, faint, font, "ls")
    sheet.pen.text((sheet.right, sheet.foot), about, faint, font, "rs")


def _set(sheet: _Sheet, text: str) -> tuple[list[str], float]:
    """Lines and their size of type: the largest that holds the text, else the smallest, cut."""
    lines, units, limit = [text], 0.0, 1
    width = sheet.right - sheet.margin_px
    for units, limit in _PROMPT_SIZES:
        font = sheet.font(units)
        lines = _wrapped(text, font, width, limit)
        if len(lines) <= limit:
            return _balanced(lines, font, width), units
    return [*lines[: limit - 1], lines[limit - 1].rstrip()[:-1].rstrip() + "…"], units


def _balanced(lines: list[str], font: Font, width: float) -> list[str]:
    """The same lines, as even as their number allows, so that no word is left alone."""
    text = "".join(lines)
    # Narrower than its longest word, a text would be broken inside that word.
    longest = max(font.getlength(piece.rstrip()) for piece in _pieces(text, font, width))
    widths = [max(longest, width * share) for share in (0.5, 0.6, 0.7, 0.8, 0.9)]
    layouts = (_wrapped(text, font, narrower, len(lines)) for narrower in widths)
    return next((even for even in layouts if len(even) == len(lines)), lines)


def _wrapped(text: str, font: Font, width: float, limit: int) -> list[str]:
    """Lines no wider than `width`; `limit` of them and one more when there would be more."""
    lines = [""]
    for piece in _pieces(text, font, width):
        if font.getlength((lines[-1] + piece).rstrip()) <= width:
            lines[-1] += piece
        elif len(lines) > limit:
            break
        else:
            lines.append(piece)
    return lines


def _pieces(text: str, font: Font, width: float) -> Iterator[str]:
    """What a line may break after: a word, a dot; each letter of what is wider than a line."""
    for word in re.findall(r"[^\s.]*[\s.]+|[^\s.]+", text):
        yield from [word] if font.getlength(word.rstrip()) <= width else word


def _drawable(text: str) -> str:
    """The text in the bundled font's letters, an ellipsis for each run it does not have."""
    spelled = unicodedata.normalize("NFKD", text[:1000].translate(_NEAREST))
    plain = "".join(letter for letter in spelled if not unicodedata.combining(letter))
    drawable = " ".join(_UNDRAWABLE.sub("…", plain).split())
    return drawable if drawable.strip("… ") else _ILLEGIBLE


def _put_sources(sheet: _Sheet, sources: tuple[bytes | str, ...], area: Box) -> None:
    near_px, frame = max(sheet.canvas.size) // min(len(sources), 2), round(sheet.unit_px / 2)
    shown = [_shown(source, near_px) for source in sources]
    boxes = _collage([_proportion(one) for one in shown], area, sheet.margin_px // 3)
    for one, (left, top, right, foot) in zip(shown, boxes, strict=True):
        extent = right - left - 2 * frame, foot - top - 2 * frame
        tile = _label(sheet, one, extent) if isinstance(one, str) else _tinted(sheet, one, extent)
        _put_print(sheet, ImageOps.expand(tile, frame, _PAPER), (left, top))


def _shown(source: bytes | str, near_px: int) -> Image.Image | str:
    """The source's picture, or the words that stand for it."""
    if isinstance(source, str):
        return f"Not fetched: {source}"
    return _readable(source, near_px) or "Not a readable image"


def _readable(source: bytes, near_px: int) -> Image.Image | None:
    """The source upright and no larger than it will be needed."""
    try:
        image = Image.open(BytesIO(source), formats=_SOURCE_FORMATS)
        if image.width * image.height > _SOURCE_PIXELS:
            return None
        image.draft("RGB", (near_px, near_px))
        image.thumbnail((near_px, near_px))
        return ImageOps.exif_transpose(image).convert("RGBA")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise anything on hostile bytes
        return None


def _tinted(sheet: _Sheet, photo: Image.Image, extent: tuple[int, int]) -> Image.Image:
    """The source with a share of the new prompt's colours."""
    fitted, tile = ImageOps.fit(photo, extent), Image.new("RGB", extent, _PAPER)
    tile.paste(fitted, mask=fitted)
    ridge, middle, sun = sheet.colours.ridge, sheet.colours.middle, sheet.colours.sun
    return Image.blend(tile, ImageOps.colorize(tile.convert("L"), ridge, sun, middle), 0.35)


def _label(sheet: _Sheet, words: str, extent: tuple[int, int]) -> Image.Image:
    deep = [mix(sheet.colours.middle, sheet.colours.ridge, share) for share in (0.4, 0.7)]
    tile, units = gradient(extent, deep), min(2.6, extent[0] / sheet.unit_px / 11)
    lines = _wrapped(_drawable(words), sheet.font(units), extent[0] * 0.9, 6)
    centre = extent[0] / 2, extent[1] / 2
    text = "\n".join(line.rstrip() for line in lines)
    ImageDraw.Draw(tile).text(centre, text, _PAPER, sheet.font(units), "mm", align="center")
    return tile


def _put_print(sheet: _Sheet, tile: Image.Image, corner: tuple[int, int]) -> None:
    mask = Image.new("L", (tile.width * 2, tile.height * 2))
    box = 0, 0, mask.width - 1, mask.height - 1
    ImageDraw.Draw(mask).rounded_rectangle(box, sheet.unit_px * 3, 255)
    sheet.canvas.paste(tile, corner, mask.reduce(2))


def _proportion(shown: Image.Image | str | None) -> float:
    """Width by height, from 1:2 to 2:1; square where there is no image."""
    return min(max(shown.width / shown.height, 0.5), 2.0) if isinstance(shown, Image.Image) else 1.0


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


def _encodable(text: str) -> str:
    """The text without what PNG and UTF-8 cannot hold: NUL and lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _png(canvas: Image.Image, picture: Picture) -> bytes:
    about, out = PngInfo(), BytesIO()
    about.add_text("Software", "runapi-mcp sandbox")
    about.add_text("prompt", _encodable(picture.prompt))
    about.add_text("model", picture.model)
    about.add_text("task_id", picture.task_id)
    # Level 4 is as fast as 1 on these smooth pictures, and a third smaller.
    canvas.save(out, "PNG", pnginfo=about, compress_level=4)
    return out.getvalue()
