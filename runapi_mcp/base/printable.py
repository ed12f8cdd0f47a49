"""Texts and paths as what shows them can print them."""

from pathlib import Path


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
