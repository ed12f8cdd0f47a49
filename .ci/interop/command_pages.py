"""Pages that commands open, in a real Chromium, on a sandbox of their own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from browser import HERE, browser_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checks import Check
    from npm import Node

PLAY_SECONDS = 180


def command_checks(node: Node, cache: Path, packages: Path) -> Iterator[Check]:
    """`runapi-mcp login`, where a person presses the buttons, and `runapi-mcp pictures`."""
    given = {"packages": packages, "python": sys.executable}
    for name, folder in (("login", "login_flow"), ("pictures", "pictures_page")):
        play = HERE / folder / "run.mjs"
        yield from browser_checks(name, play, PLAY_SECONDS, given, node, cache)
