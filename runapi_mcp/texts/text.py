"""What can be asked of a file's text, whatever its format."""

from collections.abc import Mapping
from typing import Literal, Protocol, cast

Dialect = Literal["json", "json with comments", "jsonc", "toml", "yaml"]
"""`jsonc` has comments and trailing commas. Which of them a host reads was measured."""

Path = tuple[str, ...]
"""The keys that lead to a value, from the outermost."""


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
        """How the value at a path is written; of the whole text, if the path is empty."""
        ...

    def put(self, path: Path, value: object) -> str:
        """With the value at the path, in place of what was there, or added last."""
        ...

    def put_raw(self, path: Path, raw: str) -> str:
        """With the value at the path written so."""
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
            raise Broken(f"“{'.'.join(path[:depth])}” is not a mapping")
        value = cast("Mapping[str, object]", value).get(key)
    return value


def line_of(text: str, index: int) -> int:
    """The number of the line that holds a character, counted from one."""
    return text.count("\n", 0, index) + 1


def newline_of(text: str) -> str:
    """How the text ends its lines."""
    return "\r\n" if "\r\n" in text else "\n"


def spliced(text: str, *edits: tuple[int, int, str]) -> str:
    """The text with each range, from start to end, replaced; later ranges first."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text
