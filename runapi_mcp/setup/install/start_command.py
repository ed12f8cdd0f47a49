"""How a host starts this very program: with absolute paths, since graphical hosts have no PATH."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runapi_mcp import __version__
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.hosts.machine import Machine, platform_of

PACKAGE = "runapi-mcp"


@dataclass(frozen=True, slots=True)
class Program:
    """The interpreter that runs, the environment it belongs to, and its variables."""

    executable: str
    prefix: Path
    environ: Mapping[str, str]

    @classmethod
    def current(cls) -> Self:
        return cls(sys.executable, Path(sys.prefix), os.environ)


def launch_command(program: Program) -> tuple[str, ...]:
    """The words that start this program again: with uvx, where it came that way.

    Raises:
        NotConfigured: there is nothing that a host could start later.
    """
    if _came_with_uv(program):
        uvx = _uvx(program.environ)
        if uvx is not None:
            return uvx, f"{PACKAGE}=={__version__}"
        if not (program.prefix / "uv-receipt.toml").exists():
            raise NotConfigured(
                "This program runs from uv's cache, and uvx is not to be found.",
                "Put uvx on your PATH, or install with: uv tool install runapi-mcp.",
            )
    if not program.executable:
        raise NotConfigured("The path of this Python is not known.", "Start it by its full path.")
    # Without -P, a mcp.py or click.py in the host's directory would be imported instead.
    return program.executable, "-P", "-m", "runapi_mcp"


def typed_command(program: Program, started_as: str) -> str:
    """What a person types to start this program, up to its first argument.

    `started_as` is the first word of the command that runs now.
    """
    found = shutil.which(PACKAGE, path=program.environ.get("PATH", ""))
    if found and Path(found).resolve().is_relative_to(program.prefix.resolve()):
        return PACKAGE
    if _came_with_uv(program):
        return f"uvx {PACKAGE}"
    script = Path(started_as).absolute()
    if script.stem == PACKAGE and script.exists():
        return shlex.quote(_from_here(script))
    return f"{shlex.quote(program.executable)} -P -m runapi_mcp"


def _from_here(path: Path) -> str:
    """A path as a person types it in the directory they are in."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _came_with_uv(program: Program) -> bool:
    parts = program.prefix.parts
    cached = any(part.startswith(("archive-v", "environments-v")) for part in parts)
    return cached or (program.prefix / "uv-receipt.toml").exists()


def _uvx(environ: Mapping[str, str]) -> str | None:
    machine = Machine(platform_of(sys.platform), environ, _here())
    found = machine.find_program("uvx", environ.get("PATH", ""))
    if found is not None:
        return found
    # uv tells the programs that it starts where it is.
    uv = environ.get("UV")
    return shutil.which("uvx", path=str(Path(uv).parent)) if uv else None
