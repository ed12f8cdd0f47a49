"""What can be asked of a file's text, whatever its format."""

from collections.abc import Mapping
from typing import Final, Literal, Protocol, cast

Dialect = Literal["json", "json with comments", "jsonc", "toml", "yaml"]
"""`jsonc` has comments and trailing commas. Which of them a host reads was measured."""

Path = tuple[str, ...]
"""The keys that lead to a value, from the outermost."""

HARM: Final = "it is written in a way that cannot be changed without harm to other entries"
"""Why a sound text is left alone."""


class Broken(Exception):
    """A text that cannot be read or changed: why, and in which line where that is known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why, line)
        self.why = why
        self.line = line


class Text(Protocol):
    """A text that was understood. Changing it gives the new text, and leaves this one as it is."""

    text: str
    value: object
    """What it says: mappings, lists and scalars; None where it says nothing."""

    def raw(self, path: Path) -> str:
        """How the value at a path is written; for no path, the whole or the object that it is."""
        ...

    def is_bare(self, path: Path) -> bool:
        """Whether a mapping can go without a comment that is in it, or beside its key."""
        ...

    def put(self, path: Path, value: object) -> str:
        """With the value at the path, in place of what was there, or added last."""
        ...

    def put_back(self, path: Path, empty: str) -> str:
        """With an empty mapping written as it was, unless somebody wrote into it since."""
        ...

    def cut(self, path: Path) -> str:
        """Without the entry at the path, its comma, and the white space before it."""
        ...


def at(value: object, path: Path) -> object:
    """What stands at the path; None where nothing does.

    Raises:
        Broken: something on the way is not a mapping.
    """
    for depth, key in enumerate(path):
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Broken(f"{named(path[:depth])} is not a mapping")
        value = cast("Mapping[str, object]", value).get(key)
    return value


def named(path: Path) -> str:
    """A place, as a message calls it."""
    return f"“{'.'.join(path)}”" if path else "the whole"


def squeezed(text: str) -> str:
    """A text without its white space."""
    return "".join(text.split())


def line_of(text: str, index: int) -> int:
    """The number of the line that holds a character, counted from one; at the end, the last."""
    return text.count("\n", 0, min(index, len(text.removesuffix("\n")))) + 1


def newline_of(text: str) -> str:
    """How the text ends its lines."""
    return "\r\n" if "\r\n" in text else "\n"


def spliced(text: str, *edits: tuple[int, int, str]) -> str:
    """The text with each range, from start to end, replaced; later ranges first."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
