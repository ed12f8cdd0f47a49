"""Stdout as commands write to it: what cannot be printed is said in a sentence."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from runapi_mcp.base.errors import Failure


class NotPrinted(Failure):
    """Stdout took no more."""


def open_missing_streams() -> None:
    """Whoever started us without one of the three streams has /dev/null there.

    Else a file that is opened later, the ledger, would get the number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


@contextmanager
def printing() -> Generator[None]:
    """What is printed meanwhile has left the program at the end.

    Raises:
        NotPrinted: it could not.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is still held back would be tried, and complained of, once more at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        happened = f"The answer could not be printed ({error.strerror})."
        raise NotPrinted(happened, "Send it elsewhere.") from error


def can_write(text: str, file: TextIO) -> bool:
    """Whether the file's encoding has all its letters."""
    try:
        text.encode(file.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def writable(text: str, file: TextIO) -> str:
    """The text, with a question mark for each letter that the file's encoding has not."""
    encoding = file.encoding or "ascii"
    return text if can_write(text, file) else text.encode(encoding, "replace").decode(encoding)


class Printed:
    """Stdout as a file that takes every letter, and of which each failure is a sentence."""

    def write(self, text: str) -> int:
        with printing():
            return sys.stdout.write(writable(text, sys.stdout))

    def flush(self) -> None:
        with printing():
            sys.stdout.flush()

    def __getattr__(self, name: str) -> Any:  # Any: as files have it
        return getattr(sys.stdout, name)
