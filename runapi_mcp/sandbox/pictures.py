"""The pictures of the sandbox. Knows nothing of HTTP or of which fields a variant takes."""

import math
from dataclasses import dataclass
from io import BytesIO
from random import Random
from typing import Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runapi_mcp.sandbox.collage import SourceImage, proportion_of, put_sources
from runapi_mcp.sandbox.landscape import gradient, landscape, mix, palette
from runapi_mcp.sandbox.lettering import PAPER, Sheet, drawable, wrap_text

_PIXELS = {"1k": 1024 * 1024, "2k": 2048 * 2048}
_PROMPT_UNITS = 5.2
"""Its size of type, in hundredths of the shorter side."""


@dataclass(frozen=True, slots=True)
class Scene:
    prompt: str
    model: str
    seed: str
    """Of the colours and the land: each seed's picture is its own, and the same every time."""
    width: int
    height: int
    sources: tuple[SourceImage, ...] = ()
    """For a remix: encoded images, or the words to show where there is none."""


def size(aspect_ratio: str, output_resolution: str) -> tuple[int, int]:
    """Pixels for a ratio such as "16:9" at "1k" or "2k": about 1 or 4 megapixels."""
    across, down = aspect_ratio.split(":")
    return _size(int(across) / int(down), output_resolution)


def size_like(source: SourceImage, output_resolution: str) -> tuple[int, int]:
    """Pixels in the source's proportions, from 1:2 to 2:1; square if it cannot be read."""
    return _size(proportion_of(source), output_resolution)


def draw(scene: Scene, file_format: Literal["png", "jpeg"] = "png") -> bytes:
    """The picture as a file; the same scene gives the same bytes."""
    seed = f"{scene.seed}\n{_encodable(scene.prompt)}"
    rng = Random(seed)  # noqa: S311 - it shapes hills, not secrets
    colours = palette(scene.prompt, rng)
    sheet = Sheet(landscape((scene.width, scene.height), colours, rng), colours)
    top, foot = _put_header(sheet), _put_prompt(sheet, scene)
    if scene.sources:
        gap = sheet.margin_px * 2 // 3
        put_sources(sheet, scene.sources, (sheet.margin_px, top + gap, sheet.right, foot - gap))
    return _png(sheet.canvas, scene) if file_format == "png" else _jpeg(sheet.canvas)


def _size(proportion: float, output_resolution: str) -> tuple[int, int]:
    height = math.sqrt(_PIXELS[output_resolution] / proportion)
    return round(height * proportion / 16) * 16, round(height / 16) * 16


def _put_header(sheet: Sheet) -> int:
    """SANDBOX, in the corner; returns the y where it ends."""
    y = sheet.margin_px + round(sheet.unit_px * 4.6)
    colour = mix(sheet.colours.zenith, PAPER, 0.85)
    sheet.pen.text((sheet.margin_px, y), "S A N D B O X", colour, sheet.font(6.4), "ls")
    return y


def _put_prompt(sheet: Sheet, scene: Scene) -> int:
    """The prompt over a rule and a caption, on a shade; returns the y where it begins."""
    left, unit, font = sheet.margin_px, sheet.unit_px, sheet.font(_PROMPT_UNITS)
    lines = wrap_text(drawable(scene.prompt), font, sheet.right - left, 4)
    rule, leading = sheet.foot - round(unit * 4.6), unit * _PROMPT_UNITS * 1.3
    top = round(rule - unit * 2.6 - leading * len(lines))
    shaded = sheet.canvas.width, sheet.canvas.height - top + left * 2
    shade = gradient(shaded, [(depth, depth, depth) for depth in (0, 190, 230)]).getchannel(0)
    sheet.canvas.paste(sheet.colours.ridge, (0, top - left * 2), shade)
    for i, line in enumerate(lines):
        sheet.pen.text((left, top + leading * (i + 0.8)), line, PAPER, font, "ls")
    faint = mix(sheet.colours.ridge, PAPER, 0.75)
    sheet.pen.line((left, rule, sheet.right, rule), faint, max(1, round(unit / 6)))
    count, small = len(scene.sources), sheet.font(2.3)
    made_from = f"  ·  {count} source{'s' * (count > 1)}" if count else ""
    about = f"Sandbox picture  ·  {scene.width} x {scene.height}"
    sheet.pen.text((left, sheet.foot), scene.model + made_from, faint, small, "ls")
    sheet.pen.text((sheet.right, sheet.foot), about, faint, small, "rs")
    return top


def _encodable(text: str) -> str:
    """The text without what PNG and UTF-8 cannot hold: NUL and lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def _png(canvas: Image.Image, scene: Scene) -> bytes:
    about, out = PngInfo(), BytesIO()
    about.add_text("Software", "runapi-mcp sandbox")
    about.add_text("prompt", _encodable(scene.prompt))
    about.add_text("model", scene.model)
    about.add_text("seed", scene.seed)
    # Level 4 is as fast as 1 on these smooth pictures, and a third smaller.
    canvas.save(out, "PNG", pnginfo=about, compress_level=4)
    return out.getvalue()


def _jpeg(canvas: Image.Image) -> bytes:
    out = BytesIO()
    canvas.save(out, "JPEG", quality=90)
    return out.getvalue()
