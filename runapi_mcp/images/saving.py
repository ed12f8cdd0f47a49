"""Saving a picture: under a name that says what it is, never over another file."""

import re
import unicodedata
from datetime import date
from itertools import count
from pathlib import Path

from platformdirs import user_pictures_path

from runapi_mcp.errors import Failure

LONGEST_WORDS = 40

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class NotSaved(Failure):
    """A picture that could not be written."""


def default_folder() -> Path:
    """`runapi` in the user's pictures folder."""
    return user_pictures_path() / "runapi"


def file_name(prompt: str, task_id: str, day: date) -> str:
    """A name such as `2026-11-20-red-fox-in-the-snow-3f2a.png`, safe on every system."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = _NOT_IN_NAMES.sub("-", plain).strip("-")[:LONGEST_WORDS].strip("-")
    return "-".join(part for part in (day.isoformat(), words, task_id[:4]) if part) + ".png"


def save(content: bytes, folder: Path, name: str) -> Path:
    """The absolute path of the new file.

    Raises:
        NotSaved: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _written(content, folder.resolve() / name)
    except OSError as error:
        raise NotSaved(
            f"{folder} cannot be written: {error.strerror or error}.",
            "Choose another folder with --output.",
        ) from error


def _written(content: bytes, wanted: Path) -> Path:
    for number in count(1):
        path = wanted if number == 1 else wanted.with_stem(f"{wanted.stem}-{number}")
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            continue
        return path
    raise AssertionError("count() does not end")
