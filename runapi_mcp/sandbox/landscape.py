"""A landscape from a prompt's words and a seed. Knows nothing of lettering, sources or PNG."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from PIL import Image, ImageChops, ImageDraw

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one landscape, from the top of the sky to the nearest ridge."""

    zenith: Rgb
    middle: Rgb
    horizon: Rgb
    sun: Rgb
    ridge: Rgb


def _palette(codes: str) -> Palette:
    return Palette(*((c[0], c[1], c[2]) for c in map(bytes.fromhex, codes.split())))


_PALETTES = {
    #                  zenith middle horizon sun ridge
    "ember": _palette("2b1b3d 8e2f4f f2a65a ffe3b0 1d0f1f"),
    "rose": _palette("56568f c083a6 ffd3b8 fff4e2 2a2448"),
    "gold": _palette("2f6273 8fb3a0 ffd98a fff3cf 2b1a1c"),
    "forest": _palette("134049 4f8a7b dde8b9 fbfbe0 0a231f"),
    "sea": _palette("0b3c5d 2e8ba8 bfe8df f5fff6 06202f"),
    "ice": _palette("3f669b 9dbfe0 f1f5fa ffffff 182a45"),
    "night": _palette("070b1e 1d2a56 6a74ac f3f0dc 04060f"),
    "violet": _palette("241447 6b3fa0 f0a6ca ffe9f3 150a2b"),
}

# A warm colour named before another paints the sun over that other's land.
_SUNS: dict[str, Rgb] = {"ember": (226, 71, 47), "rose": (232, 112, 143), "gold": (244, 162, 60)}

_WORDS = {
    "ember": "red crimson scarlet fire fox lava autumn sunset maple rust brick cherry ruby",
    "rose": "pink rose peach coral blossom dawn sunrise pastel cream flamingo",
    "gold": "gold golden yellow orange amber desert sand brass honey wheat lion bronze brown",
    "forest": "green forest jungle moss leaf emerald olive tree trees garden meadow pine",
    "sea": "teal turquoise cyan sea ocean lake river wave waves aqua harbour harbor lighthouse",
    "ice": "blue snow snowy ice icy white winter frost arctic silver grey gray sky",
    "night": "black night dark midnight space moon star stars astronaut galaxy noir",
    "violet": "purple violet lavender magenta lilac neon indigo plum cyberpunk synthwave",
}

_PALETTE_OF = {word: name for name, words in _WORDS.items() for word in words.split()}

# The sum of a zenith's channels under which stars show.
_DARK = 140
_STARS = 80
_RIDGES = 6
_SHARP_SHARE = 0.6
_OCTAVES = 5
_SKYLINE_POINTS = 240


def palette(prompt: str, rng: Random) -> Palette:
    """The last colour a prompt names paints the land, a warm one before it the sun."""
    words = re.findall(r"[a-z]+", prompt.lower())
    named = [_PALETTE_OF[word] for word in words if word in _PALETTE_OF]
    if not named:
        return rng.choice(list(_PALETTES.values()))
    land = _PALETTES[named[-1]]
    warm = [_SUNS[name] for name in named if name in _SUNS and name != named[-1]]
    return replace(land, sun=warm[0]) if warm else land


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`one` with a share of `other` in it, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def gradient(size: tuple[int, int], stops: Sequence[Rgb]) -> Image.Image:
    """The stops, top to bottom, blended over the whole size."""
    column = Image.frombytes(
        "RGB", (1, len(stops)), bytes(channel for stop in stops for channel in stop)
    )
    # Blending one column and repeating it costs a tenth of blending the whole area.
    smooth = _stretched(column, (1, size[1]), Image.Resampling.BICUBIC)
    return _stretched(smooth, size, Image.Resampling.NEAREST)


def sky(size: tuple[int, int], colours: Palette, rng: Random) -> Image.Image:
    """A sky with its sun; stars where it is dark."""
    width, height = size
    canvas = Image.new("RGB", size, colours.horizon)
    stops = colours.zenith, colours.middle, colours.horizon
    canvas.paste(gradient((width, height * 2 // 3), stops))
    if sum(colours.zenith) < _DARK:
        _put_stars(canvas, colours, rng)
    _put_sun(canvas, colours, rng)
    return canvas


def put_ridges(canvas: Image.Image, colours: Palette, rng: Random) -> None:
    """Ridges over the lower half, darker and lower as they come near."""
    sharp = rng.random() < _SHARP_SHARE
    for layer in range(_RIDGES):
        near = layer / (_RIDGES - 1)
        haze = mix(colours.horizon, colours.middle, 0.45)
        rock = mix(haze, colours.ridge, near**0.9)
        mist = mix(rock, colours.horizon, 0.5 * (1 - near))
        top = round(canvas.height * (0.40 + 0.34 * near))
        foot = top + round(canvas.height * (0.20 - 0.06 * near))
        _put_ridge(canvas, (top, foot), _skyline(rng, sharp=sharp), (rock, mist))


def _stretched(image: Image.Image, size: tuple[int, int], filter_: Image.Resampling) -> Image.Image:
    return image.resize(size, filter_)  # pyright: ignore[reportUnknownMemberType] - Pillow names numpy's types, and numpy is not here


def _put_stars(canvas: Image.Image, colours: Palette, rng: Random) -> None:
    unit, mask = min(canvas.size) / 1024, Image.new("L", canvas.size)
    pen = ImageDraw.Draw(mask)
    for _ in range(_STARS):
        x, fall = rng.uniform(0, canvas.width), rng.random()
        y, radius = canvas.height * 0.4 * fall, unit * rng.uniform(0.5, 1.5)
        bright = round(rng.uniform(60, 230) * (1 - fall))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), bright)
    canvas.paste(colours.sun, (0, 0), mask)


def _put_sun(canvas: Image.Image, colours: Palette, rng: Random) -> None:
    width, height = canvas.size
    centre = round(width * rng.uniform(0.25, 0.75)), round(height * rng.uniform(0.30, 0.42))
    radius = round(min(canvas.size) * rng.uniform(0.08, 0.13))
    _stamp(canvas, centre, _glow(radius * 5), mix(colours.horizon, colours.sun, 0.4))
    _stamp(canvas, centre, _disc(radius), colours.sun)


def _glow(radius: int) -> Image.Image:
    """A light that fades with the square of what is left to its rim."""
    # Pillow's radial gradient is 0 in the middle and 179 at the rim of its inscribed circle.
    rim = Image.new("L", (256, 256), 179)
    left = ImageChops.subtract(rim, Image.radial_gradient("L"), 0.83)
    return _stretched(
        ImageChops.multiply(left, left), (radius * 2, radius * 2), Image.Resampling.BILINEAR
    )


def _disc(radius: int) -> Image.Image:
    # Pillow draws hard edges: everything curved is drawn large and reduced.
    disc = Image.new("L", (radius * 8, radius * 8))
    ImageDraw.Draw(disc).ellipse((0, 0, radius * 8 - 1, radius * 8 - 1), 255)
    return disc.reduce(4)


def _stamp(canvas: Image.Image, centre: tuple[int, int], mask: Image.Image, colour: Rgb) -> None:
    left, top = centre[0] - mask.width // 2, centre[1] - mask.height // 2
    canvas.paste(colour, (left, top, left + mask.width, top + mask.height), mask)


def _skyline(rng: Random, *, sharp: bool) -> list[float]:
    """Heights from left to right, 0 to 1: waves upon waves, folded into peaks if sharp."""
    heights = [0.0] * _SKYLINE_POINTS
    for octave in range(_OCTAVES):
        pace = rng.uniform(0.8, 1.3) * math.pi * 2**octave / _SKYLINE_POINTS
        phase = rng.uniform(0, math.tau)
        for i in range(_SKYLINE_POINTS):
            wave = math.sin(phase + pace * i)
            heights[i] += (1 - abs(wave) if sharp else (1 + wave) / 2) / 2.2**octave
    low, high = min(heights), max(heights)
    return [(height - low) / (high - low) for height in heights]


def _put_ridge(
    canvas: Image.Image, span: tuple[int, int], skyline: list[float], colours: tuple[Rgb, Rgb]
) -> None:
    top, foot = span
    width, relief = canvas.width * 2, (foot - top) * 2
    step = width / (len(skyline) - 1)
    crest = [(i * step, (1 - height) * relief) for i, height in enumerate(skyline)]
    mask = Image.new("L", (width, relief))
    ImageDraw.Draw(mask).polygon([*crest, (width, relief), (0, relief)], 255)
    canvas.paste(gradient((canvas.width, foot - top), colours), (0, top), mask.reduce(2))
    canvas.paste(colours[1], (0, foot, canvas.width, canvas.height))
