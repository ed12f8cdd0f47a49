"""Files that are watched: a test acts just before one is opened."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_watched: list[Callable[[str], None]] = []


@contextmanager
def opening_of(name: str, act: Callable[[], object]) -> Generator[list[str]]:
    """Do something just before a file of this name is opened for the first time; lists each."""
    opened: list[str] = []

    def watch(path: str) -> None:
        if path.rpartition("/")[2] == name:
            opened.append(path)
            if len(opened) == 1:
                act()

    _watched.append(watch)
    try:
        yield opened
    finally:
        _watched.remove(watch)


def _on_audit(event: str, arguments: tuple[Any, ...]) -> None:
    # `os.open` names no mode. The built-in `open` has one, and opens by it only later.
    if event == "open" and _watched and isinstance(arguments[0], str) and arguments[1] is None:
        for watch in _watched:
            watch(arguments[0])


sys.addaudithook(_on_audit)
