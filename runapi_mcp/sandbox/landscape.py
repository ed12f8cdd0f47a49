"""A landscape from a prompt's words and a seed. Knows nothing of lettering, sources or PNG."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageOps

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one landscape, from the top of the sky to the nearest ridge."""

    zenith: Rgb
    middle: Rgb
    horizon: Rgb
    sun: Rgb
    ridge: Rgb
    far_sun: Rgb
    """The sun over another's land."""


_WORDS: Final = {
    # zenith, middle, horizon, sun, ridge, far sun: the words that choose them
    "2b1b3d 8e2f4f f2a65a ffe3b0 1d0f1f e2472f": "red fire fox lava autumn sunset maple rust brick",
    "56568f c083a6 ffd3b8 fff4e2 2a2448 e8708f": "pink rose peach coral blossom dawn sunrise",
    "2f6273 8fb3a0 ffd98a fff3cf 2b1a1c f4a23c": "gold golden yellow orange desert sand lion brown",
    "134049 4f8a7b dde8b9 fbfbe0 0a231f fbfbe0": "green forest jungle leaf tree trees meadow",
    "0b3c5d 2e8ba8 bfe8df f5fff6 06202f f5fff6": "teal cyan sea ocean lake river waves lighthouse",
    "3f669b 9dbfe0 f1f5fa ffffff 182a45 ffffff": "blue snow ice winter frost white silver grey sky",
    "070b1e 1d2a56 6a74ac f3f0dc 04060f f3f0dc": "black night dark midnight space moon stars",
    "241447 6b3fa0 f0a6ca ffe9f3 150a2b ffe9f3": "purple violet lavender magenta neon cyberpunk",
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
    return land if first == land else replace(land, sun=first.far_sun)


def mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    """`one` with a share of `other` in it, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def landscape(size: tuple[int, int], colours: Palette, rng: Random) -> Image.Image:
    """A sky with its sun, and ridges over the lower half, darker as they come near."""
    # Drawn twice as large and reduced, because Pillow draws hard edges.
    width, height = size[0] * 2, size[1] * 2
    sky = colours.zenith, colours.middle, colours.horizon, colours.horizon
    canvas = gradient((width, height), sky)
    centre = round(width * rng.uniform(0.25, 0.75)), round(height * rng.uniform(0.25, 0.4))
    _put_sun(canvas, centre, round(min(width, height) * rng.uniform(0.08, 0.13)), colours)
    haze, fold = mix(colours.horizon, colours.middle, 0.45), rng.choice((abs, abs, float))
    for layer in range(_RIDGES):
        near = layer / (_RIDGES - 1)
        top, relief = round(height * (0.38 + 0.28 * near)), round(height * (0.20 - 0.06 * near))
        rock = mix(haze, colours.ridge, near)
        mist = mix(rock, colours.horizon, 0.5 * (1 - near))
        mask = Image.new("L", (width, relief))
        crest = [(x * width, relief * y) for x, y in _skyline(rng, fold)]
        ImageDraw.Draw(mask).polygon([(0, relief), *crest, (width, relief)], 255)
        canvas.paste(gradient(mask.size, (rock, mist)), (0, top), mask)
        canvas.paste(mist, (0, top + relief, width, height))
    return canvas.reduce(2)


def _put_sun(canvas: Image.Image, centre: tuple[int, int], radius: int, colours: Palette) -> None:
    """A disc in a glow that fades with the square of what is left to its rim."""
    # Pillow's radial gradient is 0 in the middle and 179 at the rim.
    left = ImageChops.subtract(Image.new("L", (256, 256), 179), Image.radial_gradient("L"), 0.83)
    glow = ImageOps.contain(ImageChops.multiply(left, left), (radius * 10, radius * 10))
    at = centre[0] - radius * 5, centre[1] - radius * 5
    canvas.paste(mix(colours.horizon, colours.sun, 0.4), at, glow)
    ImageDraw.Draw(canvas).circle(centre, radius, colours.sun)


def gradient(size: tuple[int, int], stops: Sequence[Rgb]) -> Image.Image:
    """The stops, top to bottom, blended over the whole size."""
    column = Image.frombytes("RGB", (1, len(stops)), bytes(part for stop in stops for part in stop))
    return column.resize((1, size[1]), Image.Resampling.BICUBIC).resize(size)  # pyright: ignore[reportUnknownMemberType] - Pillow names numpy's types, and numpy is not here


def _skyline(rng: Random, fold: Callable[[float], float]) -> list[tuple[float, float]]:
    """Points from left to right, 0 (the top) to 1: waves upon waves, each twice as fast and half as
    high; folded by `abs`, they have peaks."""
    waves = [(2.0**octave, rng.uniform(0, math.tau)) for octave in range(_OCTAVES)]
    across = [i / _SKYLINE_POINTS for i in range(_SKYLINE_POINTS + 1)]
    depths = [
        sum(fold(math.sin(phase + pace * math.pi * x)) / pace for pace, phase in waves)
        for x in across
    ]
    low, high = min(depths), max(depths)
    return [(x, (each - low) / (high - low)) for x, each in zip(across, depths, strict=True)]
