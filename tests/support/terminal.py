"""A person at a terminal of 80 columns, who types what is asked of them."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.processes import LIMIT_SECONDS


def at_terminal(
    *arguments: str,
    answers: str = "",
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    program: Sequence[str] = ("-m", "runapi_mcp"),
) -> tuple[int, str]:
    """The exit status of `runapi-mcp` there, or another program, and what came on the terminal."""
    # Imported here: Windows, where these tests are skipped, has neither.
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, *program, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "PATH": "", **(environment or {})},
        cwd=folder,
    ) as running:
        os.close(theirs)
        os.write(ours, answers.encode())
        said = _read(ours)
        return running.wait(LIMIT_SECONDS), said


def lines_left(said: str) -> list[str]:
    """What stays on a terminal, where others wrote over the beginnings of lines."""
    return [line.rpartition("\r")[2].rstrip() for line in said.replace("\r\n", "\n").split("\n")]


def _read(terminal: int) -> str:
    said = b""
    with suppress(OSError):  # how Linux says that the last program on it has ended
        while part := os.read(terminal, 65536):
            said += part
    os.close(terminal)
    return said.decode()
