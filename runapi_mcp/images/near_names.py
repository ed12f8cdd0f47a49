"""File names as models and people write them: other spaces, other quotes, a shell's backslashes."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Final

MOST_NEAR: Final = 3
MOST_ENTRIES: Final = 20_000
"""Of one folder: a larger one is looked through in part."""

_PAIRS: Final = ('""', "''", "``", "“”", "‘’", "«»", "<>")  # noqa: RUF001 - the very quotes
_QUOTES: Final = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″", '"')  # noqa: RUF001 - the very quotes
)
_SPACES: Final = re.compile(r"\s+")
# On Windows a backslash begins a part of the path, which no space does.
_ESCAPE: Final = re.compile(r"\\(?= )" if os.sep == "\\" else r"\\(?=[^\w\\])")
_PICTURES: Final = re.compile(
    r"\.(?:png|jpe?g|jfif|webp|gif|bmp|tiff?|hei[cf]|avif|svg)\Z", re.IGNORECASE
)


def bare(text: str) -> str:
    """The text without what is put around a name: spaces, line breaks, quotes, a leading @."""
    before = None
    while before != text:
        before, text = text, text.strip().removeprefix("@")
        if len(text) > 1 and text[0] + text[-1] in _PAIRS:
            text = text[1:-1]
    return text


def spellings(path: str) -> list[str]:
    """What a path may be, as it is written first."""
    plain = bare(path)
    return list(dict.fromkeys([path, plain, _ESCAPE.sub("", plain)]))


def find_alike(path: Path, folder: Path) -> list[Path]:
    """The files below a folder whose path differs from this one in its spelling alone.

    No link that leads out of the folder is followed.
    """
    found = [folder]
    for part in path.relative_to(folder).parts:
        alike = [each for directory in found for each in _alike(directory, part)]
        real = [Path(os.path.realpath(each)) for each in alike]
        found = [each for each in real if each.is_relative_to(folder)]
    return found


def near_pictures(path: Path) -> list[str]:
    """The pictures beside a path that nothing is at, whose names are near to its own."""
    entries = {_folded(name).casefold(): name for name in _names_in(path.parent)}
    pictures = [folded for folded, name in entries.items() if _PICTURES.search(name)]
    near = get_close_matches(_folded(path.name).casefold(), pictures, MOST_NEAR)
    return [entries[folded] for folded in near]


def _alike(directory: Path, name: str) -> Sequence[Path]:
    """The exact one, else all that are read as it."""
    exact = directory / name
    if os.path.lexists(exact):
        return [exact]
    wanted = _folded(name)
    return [directory / each for each in _names_in(directory) if _folded(each) == wanted]


def _names_in(directory: Path) -> Iterator[str]:
    """The names in a folder that are not hidden; none where it is no folder."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in islice(entries, MOST_ENTRIES)]
    except OSError:
        return
    yield from (name for name in names if not name.startswith("."))


def _folded(name: str) -> str:
    """The name as it reads: one kind of space and quote, nothing that is not seen."""
    normal = unicodedata.normalize("NFKC", name.translate(_QUOTES))
    seen = "".join(letter for letter in normal if unicodedata.category(letter) != "Cf")
    return _SPACES.sub(" ", _ESCAPE.sub("", seen)).strip().removeprefix("@")
