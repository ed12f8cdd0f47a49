"""Other people's programs: started in a session of their own, bounded, and always ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from words import indented, tail

if TYPE_CHECKING:
    from collections.abc import Generator

READY_SECONDS = 30
GRACE_SECONDS = 5


class NothingChecked(Exception):
    """The checks could not start; the message says why."""


class RegistryUnreachable(NothingChecked):
    """A registry of packages did not answer: no fault of the server's."""


@dataclass(frozen=True)
class Run:
    """A finished program. `returncode` is None when it was ended for taking too long."""

    returncode: int | None
    stdout: str
    stderr: str


def run_program(command: list[str], cwd: Path, env: dict[str, str], seconds: float) -> Run:
    # Files, not pipes: a pipe stays open for as long as any grandchild holds it.
    with text_file() as stdout, text_file() as stderr:
        process = start(command, cwd, env, stdout, stderr)
        try:
            returncode = process.wait(seconds)
        except subprocess.TimeoutExpired:
            returncode = None
        finally:
            end(process)
        stdout.seek(0)
        stderr.seek(0)
        return Run(returncode, stdout.read(), stderr.read())


def text_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


@contextlib.contextmanager
def http_server(command: list[str], log: Path, scratch: Path) -> Generator[str]:
    """Serves for as long as the block lasts, and gives the address of its MCP endpoint."""
    with log.open("w") as stderr:
        process = start(
            command, scratch, {**os.environ, "HOME": str(scratch)}, subprocess.DEVNULL, stderr
        )
    try:
        yield announced_url(process, log)
    finally:
        end(process)


def announced_url(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+/mcp", log.read_text(errors="replace")):
            return found[0]
        time.sleep(0.05)
    ending = (
        "was not ready in time" if process.poll() is None else f"ended with {process.returncode}"
    )
    raise NothingChecked(f"the HTTP server {ending}, so nothing was checked\n{last_words(log)}")


def start(
    command: list[str], cwd: Path, env: dict[str, str], stdout: int | IO[str], stderr: int | IO[str]
) -> subprocess.Popen[bytes]:
    # A session of its own, so that `end` reaches whatever the program starts.
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, politely at first, and whatever it has left behind."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(GRACE_SECONDS)


def last_words(log: Path) -> str:
    return indented(tail(log.read_text(errors="replace")))
