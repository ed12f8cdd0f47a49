"""Words on a picture: a sheet with its measures, and lines set in the bundled font."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from runapi_mcp.sandbox.landscape import Palette, Rgb

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER: Rgb = (250, 247, 240)
# Sizes of type, in hundredths of the shorter side, and the lines each may take.
_SIZES = ((6.4, 2), (5.0, 3), (3.8, 4))
# What the bundled font has is this and no more, once accents are taken off.
_UNDRAWABLE = re.compile(r"[^\s!-~©«°±·»‘’“”‹›]+")  # noqa: RUF001 - quotes, not apostrophes
_NEAREST = str.maketrans({"–": "-", "—": "-", "ß": "ss", "ø": "o", "æ": "ae", "ł": "l"})  # noqa: RUF001 - dashes, as people write them
_ILLEGIBLE = "(a prompt in a script this font does not have)"


@dataclass(frozen=True, slots=True)
class Sheet:
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


def drawable(text: str) -> str:
    """The text in the bundled font's letters, an ellipsis for each run it does not have."""
    spelled = unicodedata.normalize("NFKD", text[:1000].translate(_NEAREST))
    plain = "".join(letter for letter in spelled if not unicodedata.combining(letter))
    found = " ".join(_UNDRAWABLE.sub("…", plain).split())
    return found if found.strip("… ") else _ILLEGIBLE


def set_lines(sheet: Sheet, text: str) -> tuple[list[str], float]:
    """Lines and their size of type: the largest that holds the text, else the smallest, cut."""
    lines, units, limit = [text], 0.0, 1
    width = sheet.right - sheet.margin_px
    for units, limit in _SIZES:
        font = sheet.font(units)
        lines = wrapped(text, font, width, limit)
        if len(lines) <= limit:
            return _balanced(lines, font, width), units
    return [*lines[: limit - 1], lines[limit - 1].rstrip()[:-1].rstrip() + "…"], units


def wrapped(text: str, font: Font, width: float, limit: int) -> list[str]:
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


def _balanced(lines: list[str], font: Font, width: float) -> list[str]:
    """The same lines, as even as their number allows, so that no word is left alone."""
    text = "".join(lines)
    # Narrower than its longest word, a text would be broken inside that word.
    longest = max(font.getlength(piece.rstrip()) for piece in _pieces(text, font, width))
    widths = [max(longest, width * share) for share in (0.5, 0.6, 0.7, 0.8, 0.9)]
    layouts = (wrapped(text, font, narrower, len(lines)) for narrower in widths)
    return next((even for even in layouts if len(even) == len(lines)), lines)


def _pieces(text: str, font: Font, width: float) -> Iterator[str]:
    """What a line may break after: a word, a dot; each letter of what is wider than a line."""
    for word in re.findall(r"[^\s.]*[\s.]+|[^\s.]+", text):
        yield from [word] if font.getlength(word.rstrip()) <= width else word
