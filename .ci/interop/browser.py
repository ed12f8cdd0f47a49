"""A real Chromium: finding one, and the checks that play in it."""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from checks import Check, Verdict
from npm import Node, install_packages, node_first
from programs import NothingChecked, Run, run_program
from words import say, tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).parent
GALLERY_SECONDS = 400
INSTALL_SECONDS = 300
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PACKED = {"@sparticuz/chromium": "153.0.0"}
UNPACK = 'import("@sparticuz/chromium").then((it) => it.default.executablePath()).then(console.log)'


def gallery_checks(node: Node, cache: Path, packages: Path, url: str) -> Iterator[Check]:
    """The check of the gallery, on a server that counts what is paid."""
    play = HERE / "gallery" / "run.mjs"
    given = {"packages": packages, "server": url}
    return browser_checks("gallery", play, GALLERY_SECONDS, given, node, cache)


def browser_checks(
    name: str,
    play: Path,
    seconds: int,
    given: Mapping[str, object],
    node: Node,
    cache: Path,
) -> Iterator[Check]:
    """The check of this name; none where no Chromium can be had, and the log says so."""
    try:
        chromium = find_chromium(node, cache)
    except NothingChecked as reason:
        say(f"NOT RUN {name} (in Chromium): {reason}")
        return
    places = {"chromium": chromium, "output": HERE.parent / "output" / name}
    options = [word for key, value in {**given, **places}.items() for word in (f"--{key}", value)]
    command = [str(node.program), str(play), *map(str, options)]
    yield Check(name, command, partial(judge, name), seconds)


def find_chromium(node: Node, cache: Path) -> Path:
    """A Chromium of this machine, else Debian's, else the one that npm packs."""
    return on_path() or from_debian() or from_npm(node, cache)


def on_path() -> Path | None:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def from_debian() -> Path | None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None
    say("installing Debian's chromium")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
        run_program([apt, *words], Path("/"), env, INSTALL_SECONDS)
    return on_path()


def from_npm(node: Node, cache: Path) -> Path:
    """The packed Chromium, unpacked.

    Raises:
        NothingChecked: npm does not have it either, or it does not unpack.
    """
    directory = install_packages(node, cache, PACKED)
    env = {**os.environ, **node_first(node)}
    run = run_program([str(node.program), "-e", UNPACK], directory, env, INSTALL_SECONDS)
    program = Path(run.stdout.strip() or "missing")
    if not program.is_file():
        raise NothingChecked(f"there is no Chromium, and that of npm does not unpack: {run.stderr}")
    return program


def judge(name: str, run: Run) -> Verdict:
    """Passes when every check in the browser did."""
    counted = re.search(rf"^{name}: (.*)$", run.stdout, re.MULTILINE)
    return Verdict(
        passed=run.returncode == 0 and counted is not None,
        note=counted[1] if counted else "",
        details=tail(f"{run.stdout}\n{run.stderr}"),
    )
