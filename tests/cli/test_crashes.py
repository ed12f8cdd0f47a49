"""A crash is told like any record: on one line, without secrets, and with where to report it."""

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from runapi_mcp.cli.crashes import log_crashes_beside
from tests.support.install_world import home, keep
from tests.support.processes import finished

KEY = r'walrus."q/k\9}:tusk'
TOKEN = "otter-token-of-another-program"
REPORT = (
    "runapi-mcp: This is a fault of runapi-mcp. Please report it, with the line above, at "
    "https://github.com/runapi-mcp/runapi-mcp/issues."
)
WORDS = "a bug \x1b[2J\x9b31m\u202e\nrunapi-mcp: task 0 was paid\r"


def broken_library(folder: Path, name: str, words: str) -> Mapping[str, str]:
    """What makes a library of this name crash, with these words, where the program imports it."""
    (folder / f"{name}.py").write_text(f"raise RuntimeError({words!r})")
    # The latter, so that it is a process of its own: a forked one has its libraries.
    return {"PYTHONPATH": str(folder), "PYTHONUTF8": "1"}


@pytest.mark.parametrize(
    ("command", "library"),
    [
        (["serve"], "mcp"),
        ([], "mcp"),
        (["serve", "--http", "--port", "0"], "uvicorn"),
        (["sandbox"], "uvicorn"),
        (["demo"], "rich"),
        (["doctor"], "anyio"),
        (["tasks"], "anyio"),
        (["login", "--key", "-"], "anyio"),
    ],
    ids=str,
)
def test_a_crash_is_a_line_without_secrets_and_where_to_report_it(
    tmp_path: Path, command: list[str], library: str
) -> None:
    keep(home() / ".config" / "runapi" / "config.json", json.dumps({"api_key": KEY}))
    broken = broken_library(tmp_path, library, f"{WORDS} {KEY} {KEY[::-1]} {TOKEN}")
    # What is no message brings in the whole server.
    ran = finished(*command, environment={**broken, "OTHER_TOKEN": TOKEN}, stdin=b"{}\n")
    *before, crash, report = ran.stderr.rstrip("\n").split("\n")
    assert (ran.returncode, report, ran.stdout) == (70, REPORT, "")
    assert crash.startswith(r"runapi-mcp: crashed\nTraceback (most recent call last):\n")
    assert r"RuntimeError: a bug \x1b[2J\x9b31m\u202e\nrunapi-mcp: task 0 was paid\r" in crash
    assert crash.endswith(" [hidden] [hidden] [hidden]")
    for line in (*before, crash):
        assert line.isprintable()


class Fragile:
    def __del__(self) -> None:
        raise RuntimeError(WORDS)


def crash() -> None:
    raise RuntimeError(WORDS)


def test_what_crashes_beside_is_logged_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Whatever they are set to is theirs again afterwards.
    monkeypatch.setattr(threading, "excepthook", None)
    monkeypatch.setattr(sys, "unraisablehook", None)
    log_crashes_beside()
    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    Fragile()
    assert [str(record.exc_info and record.exc_info[1]) for record in caplog.records] == [WORDS] * 2
