"""A landscape from a prompt's words and a seed. Knows nothing of lettering, sources or PNG."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one landscape, from the top of the sky to the nearest ridge."""

    zenith: Rgb
    middle: Rgb
    horizon: Rgb
    sun: Rgb
    ridge: Rgb


_WORDS: Final = {
    # zenith, middle, horizon, sun, ridge: the words that choose them
    "2b1b3d 8e2f4f f2a65a ffe3b0 1d0f1f": "red fire fox lava autumn sunset maple rust brick",
    "56568f c083a6 ffd3b8 fff4e2 2a2448": "pink rose peach coral blossom dawn sunrise",
    "2f6273 8fb3a0 ffd98a fff3cf 2b1a1c": "gold golden yellow orange desert sand lion brown",
    "134049 4f8a7b dde8b9 fbfbe0 0a231f": "green forest jungle leaf tree trees garden meadow",
    "0b3c5d 2e8ba8 bfe8df f5fff6 06202f": "teal cyan sea ocean lake river waves lighthouse",
    "3f669b 9dbfe0 f1f5fa ffffff 182a45": "blue snow ice winter frost white silver grey sky",
    "070b1e 1d2a56 6a74ac f3f0dc 04060f": "black night dark midnight space moon stars",
    "241447 6b3fa0 f0a6ca ffe9f3 150a2b": "purple violet lavender magenta neon cyberpunk",
}
_PALETTES: Final = {
    word: Palette(*((c[0], c[1], c[2]) for c in map(bytes.fromhex, codes.split())))
    for codes, words in _WORDS.items()
    for word in words.split()
}
_RIDGES: Final = 6
_OCTAVES: Final = 5
_SKYLINE_POINTS: Final = 240


def palette(prompt: str, rng: Random) -> Palette:
    """The last colour that a prompt names paints the land, another before it the sun."""
    words = re.findall(r"[a-z]+", prompt.lower())
    named = [_PALETTES[word] for word in words if word in _PALETTES]
    if not named:
        return rng.choice(list(_PALETTES.values()))
    first, land = named[0], named[-1]
    return land if first == land else replace(land, sun=first.horizon)


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`one` with a share of `other` in it, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def landscape(size: tuple[int, int], colours: Palette, rng: Random) -> Image.Image:
    """A sky with its sun, and ridges over the lower half, darker as they come near."""
    # Drawn twice as large and reduced, because Pillow draws hard edges.
    width, height = size[0] * 2, size[1] * 2
    canvas = _gradient(
        (width, height), (colours.zenith, colours.middle, colours.horizon, colours.horizon)
    )
    pen = ImageDraw.Draw(canvas)
    centre = width * rng.uniform(0.25, 0.75), height * rng.uniform(0.25, 0.4)
    pen.circle(centre, min(width, height) * rng.uniform(0.08, 0.13), colours.sun)
    haze = mix(colours.horizon, colours.middle, 0.45)
    for layer in range(_RIDGES):
        near = layer / (_RIDGES - 1)
        foot, relief = height * (0.58 + 0.22 * near), height * (0.20 - 0.06 * near)
        crest = [(x * width, foot - relief * y) for x, y in _skyline(rng)]
        pen.polygon([(0, height), *crest, (width, height)], mix(haze, colours.ridge, near))
    return canvas.reduce(2)


def _gradient(size: tuple[int, int], stops: Sequence[Rgb]) -> Image.Image:
    """The stops, top to bottom, blended over the whole size."""
    column = Image.frombytes("RGB", (1, len(stops)), bytes(part for stop in stops for part in stop))
    return column.resize(size, Image.Resampling.BICUBIC)  # pyright: ignore[reportUnknownMemberType] - Pillow names numpy's types, and numpy is not here


def _skyline(rng: Random) -> list[tuple[float, float]]:
    """Points from left to right, 0 to 1: waves upon waves, each twice as fast and half as high."""
    waves = [(2.0**octave, rng.uniform(0, math.tau)) for octave in range(_OCTAVES)]
    across = [i / _SKYLINE_POINTS for i in range(_SKYLINE_POINTS + 1)]
    heights = [
        sum(math.sin(phase + pace * math.pi * x) / pace for pace, phase in waves) for x in across
    ]
    low, high = min(heights), max(heights)
    return [(x, (each - low) / (high - low)) for x, each in zip(across, heights, strict=True)]
