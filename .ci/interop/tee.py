"""Stands between a host and the stdio server it starts, and writes down what both say.

Usage: tee.py LOG COMMAND...
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO


def command(log: Path, server: list[str]) -> list[str]:
    """The server's command with this program before it."""
    return [sys.executable, __file__, str(log), *server]


def said(log: Path, words: str) -> int:
    """How many messages hold these words; JSON as both sides write it, without spaces."""
    if not log.is_file():
        return 0
    return sum(words in line for line in log.read_text(encoding="utf-8").splitlines())


def main() -> None:
    log, *server = sys.argv[1:]
    with Path(log).open("ab", buffering=0) as record:
        returncode = converse(server, record)
    # Not sys.exit: a thread that still reads stdin holds what the interpreter wants at its end.
    os._exit(returncode)


def converse(server: list[str], record: IO[bytes]) -> int:
    """Let host and server talk until the server ends; its status."""
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        asking = (sys.stdin.buffer, process.stdin, record)
        threading.Thread(target=pass_on, args=asking, daemon=True).start()
        pass_on(process.stdout, sys.stdout.buffer, record)
        return process.wait()


def pass_on(source: IO[bytes], target: IO[bytes], record: IO[bytes]) -> None:
    for line in source:
        record.write(line)
        target.write(line)
        target.flush()
    target.close()


if __name__ == "__main__":
    main()
