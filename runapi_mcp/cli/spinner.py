"""Life on a terminal while something takes long: a line on stderr that is gone at the end."""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from runapi_mcp.cli.printing import can_write

FRAME_SECONDS: Final = 0.1
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_FRAMES: Final = "|/-\\"
_SECONDS: Final = re.compile(r", \d+ s\b")
_USUAL_COLUMNS: Final = 80


@contextmanager
def spinning(message: str) -> Generator["Spinner"]:
    """A spinner that turns already, until it is ended or this is left."""
    spinner = Spinner(message)
    try:
        yield spinner
    finally:
        spinner.end()


class Spinner:
    """Says what happens now, on a terminal alone. What is logged meanwhile has its own line."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._frames = _FRAMES if can_write(_FRAMES, sys.stderr) else _PLAIN_FRAMES
        self._turns = 0
        self._begun = time.monotonic()
        self._shown = ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        if not _is_terminal():
            self._over.set()
            return
        for handler in logging.getLogger().handlers:
            handler.addFilter(self._wipe)
        # In this thread: imports that follow would keep the other from its first turn.
        self._show()
        threading.Thread(target=self._turn, daemon=True).start()

    def say(self, message: str) -> None:
        """What happens now; seconds in it are left out, which are counted here."""
        self._message = _SECONDS.sub("", message, 1)

    async def report(self, message: str) -> None:
        self.say(message)

    def end(self) -> None:
        """Nothing of it stays."""
        with self._lock:
            if not self._over.is_set():
                self._over.set()
                self._write("")
        for handler in logging.getLogger().handlers:
            handler.removeFilter(self._wipe)

    def _wipe(self, _record: logging.LogRecord) -> bool:
        """A filter that lets everything be logged, where the line was."""
        with self._lock:
            self._write("")
        return True

    def _turn(self) -> None:
        while not self._over.wait(FRAME_SECONDS):
            self._show()

    def _show(self) -> None:
        with self._lock:
            if not self._over.is_set():
                frame = self._frames[self._turns % len(self._frames)]
                self._turns += 1
                seconds = time.monotonic() - self._begun
                self._write(f"{frame} {seconds:.0f} s  {self._message}")

    def _write(self, text: str) -> None:
        # In its last column a terminal would begin the next line.
        text = text[: (_columns() or _USUAL_COLUMNS) - 1]
        wiped = " " * (len(self._shown) - len(text))
        if text or wiped:
            sys.stderr.write(f"\r{text}{wiped}" if text else f"\r{wiped}\r")
            sys.stderr.flush()
        self._shown = text


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _columns() -> int:
    told = os.environ.get("COLUMNS", "")
    try:
        return int(told) if told.isdecimal() else os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 0
