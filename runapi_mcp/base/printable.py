"""Texts and paths as what shows them can print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_ECHO: Final = 60


def on_one_line(text: str) -> str:
    """The text with a space for what cannot be printed: line breaks, controls, half an emoji."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text)


def escaped(text: str) -> str:
    """The text on one line, with the escapes of Python for what cannot be printed."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def printable_path(path: Path | str) -> str:
    """A path as text on one line that any program takes; names may hold what is no text."""
    return escaped(str(path))


def echo(value: object) -> str:
    """A value as its caller gave it: on one line, short, and only what is printable."""
    if isinstance(value, list):
        return f"a list of {len(cast('list[object]', value))}"
    if isinstance(value, str) and len(value) > LONGEST_ECHO:
        return f"{len(value)} characters beginning {value[:LONGEST_ECHO]!r}"
    return ascii(value)[:LONGEST_ECHO] if not isinstance(value, str) else repr(value)
