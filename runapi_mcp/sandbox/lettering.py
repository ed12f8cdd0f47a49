"""Words on a picture: a sheet with its measures, and text in the bundled font."""

import textwrap
import unicodedata
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from runapi_mcp.sandbox.landscape import Palette, Rgb

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER: Rgb = (250, 247, 240)
_NEAREST = str.maketrans("‘’“”–—øł", "''\"\"--ol", "")  # noqa: RUF001 - as people write them
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
    """The text in letters that the bundled font has, which knows no accents."""
    spelled = unicodedata.normalize("NFKD", text[:1000].translate(_NEAREST))
    plain = "".join(letter for letter in spelled if letter.isascii() and letter.isprintable())
    return " ".join(plain.split()) or _ILLEGIBLE


def wrap_text(text: str, font: Font, width: float, limit: int) -> list[str]:
    """At most `limit` lines of about this width; more of the text is cut."""
    columns = int(0.9 * len(text) * width / font.getlength(text))
    return textwrap.wrap(text, max(columns, 8), max_lines=limit, placeholder="…")
