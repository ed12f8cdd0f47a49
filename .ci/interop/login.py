"""`runapi-mcp login` on the sandbox, in a real Chromium: a person presses the buttons."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from browser import find_chromium
from checks import Check, Verdict
from programs import NothingChecked, Run
from words import say, tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from npm import Node

PLAY = Path(__file__).with_name("login_flow") / "run.mjs"
PLAY_SECONDS = 180


def login_checks(node: Node, cache: Path, packages: Path) -> Iterator[Check]:
    """The check of the login; none where no Chromium can be had, and the log says so."""
    try:
        chromium = find_chromium(node, cache)
    except NothingChecked as reason:
        say(f"NOT RUN login (in Chromium): {reason}")
        return
    given = {
        "packages": packages,
        "python": sys.executable,
        "chromium": chromium,
        "output": PLAY.parents[2] / "output" / "login",
    }
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    yield Check("login", [str(node.program), str(PLAY), *options], judge, PLAY_SECONDS)


def judge(run: Run) -> Verdict:
    """Passes when every step in the browser did."""
    counted = re.search(r"^login: (.*)$", run.stdout, re.MULTILINE)
    return Verdict(
        passed=run.returncode == 0 and counted is not None,
        note=counted[1] if counted else "",
        details=tail(f"{run.stdout}\n{run.stderr}"),
    )
