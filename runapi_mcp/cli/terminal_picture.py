"""A picture as a terminal shows it. Knows nothing of who prints it.

Which terminal it is, the environment says: asking the terminal itself can hang, and leaves its
answer among what the user types. Own code, because of the libraries for it textual-image asks when
it is imported, term-image needs an older Pillow, and rich-pixels has only the half blocks.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

Draw = Callable[[Image.Image], str]
"""The escape sequences that show a picture. The cursor may end anywhere in its last row."""

COLUMNS: Final = 32

_INDENT: Final = "  "
NARROWEST: Final = COLUMNS + len(_INDENT)
_LARGEST_PX: Final = 640
"""Two pixels for each of a usual screen, for those that have them."""
_SIXEL_PX: Final = COLUMNS * 10
_SIXEL_COLOURS: Final = 255
_LONGEST_CHUNK: Final = 4096
_KONSOLE_WITH_IMAGES: Final = 220400


def choose_protocol(environ: Mapping[str, str], *, truecolor: bool) -> Draw | None:
    """How the terminal of this environment shows pictures; None if it cannot."""
    return _pixels_of(environ) or (half_blocks if truecolor else None)


def kitty(image: Image.Image) -> str:
    image.thumbnail((_LARGEST_PX, _LARGEST_PX))
    content = b64encode(_encode(image, "PNG")).decode()
    # q=2: no answer, which nobody would read.
    first, *rest = [
        content[at : at + _LONGEST_CHUNK] for at in range(0, len(content), _LONGEST_CHUNK)
    ]
    parts = [f"a=T,f=100,q=2,c={COLUMNS},m=1;{first}", *(f"q=2,m=1;{chunk}" for chunk in rest)]
    return _INDENT + "".join(f"\x1b_G{part}\x1b\\" for part in (*parts, "q=2,m=0;"))


def iterm2(image: Image.Image) -> str:
    image.thumbnail((_LARGEST_PX, _LARGEST_PX))
    content = _encode(image, "JPEG")
    about = f"size={len(content)};width={COLUMNS};preserveAspectRatio=1;inline=1"
    return f"{_INDENT}\x1b]1337;File={about}:{b64encode(content).decode()}\a"


def sixel(image: Image.Image) -> str:
    image.thumbnail((_SIXEL_PX, _SIXEL_PX))
    indexed = image.quantize(_SIXEL_COLOURS)
    palette = indexed.getpalette() or []
    colours = "".join(
        # In percent, as the terminals of old had them.
        f"#{index};2;" + ";".join(str(round(part / 2.55)) for part in palette[at : at + 3])
        for index, at in enumerate(range(0, len(palette), 3))
    )
    bands = "-".join(map(_sixel_band, _bands(indexed)))
    return f'{_INDENT}\x1bP0;1q"1;1;{image.width};{image.height}{colours}{bands}\x1b\\'


def half_blocks(image: Image.Image) -> str:
    """As coloured characters, each of two pixels."""
    # A character is about twice as high as it is wide.
    rows = round(COLUMNS * image.height / image.width / 2)
    small = ImageOps.fit(image, (COLUMNS, rows * 2)).tobytes()
    pixels = [";".join(map(str, small[at : at + 3])) for at in range(0, len(small), 3)]
    lines = [pixels[at : at + COLUMNS] for at in range(0, len(pixels), COLUMNS)]
    return "\n".join(
        _INDENT + "".join(map("\x1b[38;2;{};48;2;{}m▀".format, upper, lower)) + "\x1b[0m"
        for upper, lower in zip(lines[::2], lines[1::2], strict=True)
    )


_BY_TERM: Final = {
    "xterm-kitty": kitty,
    "xterm-ghostty": kitty,
    "foot": sixel,
    "foot-extra": sixel,
    "mlterm": sixel,
}
# VS Code is missing: its images are off unless a setting says otherwise, so nothing might show.
_BY_PROGRAM: Final = {
    "kitty": kitty,
    "ghostty": kitty,
    "iTerm.app": iterm2,
    "WezTerm": iterm2,
    "mintty": iterm2,
}
_MULTIPLEXERS: Final = ("TMUX", "STY", "ZELLIJ")


def _pixels_of(environ: Mapping[str, str]) -> Draw | None:
    """The protocol for pixels that the terminal is known to speak.

    What a terminal says of itself counts before what it may have inherited from another one that
    it was started in.
    """
    # A multiplexer passes such sequences on only where it was told to.
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    if any(map(environ.get, _MULTIPLEXERS)) or term.startswith(("tmux", "screen")):
        return None
    if term in _BY_TERM or program:
        return _BY_TERM.get(term) or _BY_PROGRAM.get(program)
    konsole = environ.get("KONSOLE_VERSION", "")
    if konsole.isdecimal() and int(konsole) >= _KONSOLE_WITH_IMAGES:
        return kitty
    # What ssh hands on.
    return iterm2 if environ.get("LC_TERMINAL") == "iTerm2" else None


def _encode(image: Image.Image, format_: str) -> bytes:
    out = BytesIO()
    image.save(out, format_)
    return out.getvalue()


def _bands(indexed: Image.Image) -> Iterator[list[bytes]]:
    """The rows of colour numbers, six at a time."""
    pixels, width = indexed.tobytes(), indexed.width
    rows = [pixels[at : at + width] for at in range(0, len(pixels), width)]
    for top in range(0, len(rows), 6):
        yield rows[top : top + 6]


def _sixel_band(rows: list[bytes]) -> str:
    """Six rows: each colour's pixels one above the other, a bit a row."""
    return "$".join(f"#{colour}{_sixels(rows, colour)}" for colour in set(b"".join(rows)))


def _sixels(rows: list[bytes], colour: int) -> str:
    bits = 0
    for row, pixels in enumerate(rows):
        mask = bytes(1 << row if number == colour else 0 for number in range(256))
        bits |= int.from_bytes(pixels.translate(mask))
    sixels = "".join(chr(63 + byte) for byte in bits.to_bytes(len(rows[0])))
    return re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", sixels)
