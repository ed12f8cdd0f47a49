"""The commands that mend what was found."""

import shlex
import sys
from pathlib import Path
from typing import Final

from runapi_mcp.doctor.entries import Configured, Scope
from runapi_mcp.hosts.table import HostConfig
from runapi_mcp.settings import KEY_PAGE

LOGIN: Final = "runapi-mcp login"
INSTALL: Final = "runapi-mcp install"
ADD_CREDIT: Final = f"add credit at {KEY_PAGE}"
UPDATE: Final = "uvx runapi-mcp@latest install"
_REMOVING: Final = ("claude-code", "codex", "gemini", "qwen")
_PROGRAMS: Final = {"claude-code": "claude"}


def install(host: HostConfig, scope: Scope = "user") -> str:
    """Write the entry anew; what a user added to it stays."""
    return f"{INSTALL} {host.name}{_scoped(scope)}"


def reinstall(host: HostConfig, scope: Scope = "user") -> str:
    """Write the entry anew, with nothing of the old one."""
    return f"{uninstall(host, scope)} && {install(host, scope)}"


def uninstall(host: HostConfig, scope: Scope = "user") -> str:
    """Take the entry out."""
    return f"runapi-mcp uninstall {host.name}{_scoped(scope)}"


def remove(configured: Configured) -> str:
    """Take out an entry that install did not make."""
    host, name = configured.host, shlex.quote(configured.name)
    if host.name not in _REMOVING:
        return edit(configured.path)
    scope = f" -s {configured.scope}" if host.name == "claude-code" else ""
    return f"{_PROGRAMS.get(host.name, host.name)} mcp remove {name}{scope}"


def edit(path: Path, line: int | None = None) -> str:
    """Correct a file by hand."""
    editor = "notepad" if sys.platform == "win32" else "${EDITOR:-vi}"
    return f"{editor} {f'+{line} ' if line else ''}{shlex.quote(str(path))}"


def set_clock() -> str:
    """Set this machine's clock by the network."""
    commands = {"darwin": "sudo sntp -sS time.apple.com", "win32": "w32tm /resync"}
    return commands.get(sys.platform, "sudo timedatectl set-ntp true")


def make_folder(path: Path) -> str:
    """Make a folder that can be written."""
    quoted = shlex.quote(str(path))
    return f"mkdir -p {quoted} && chmod u+rwx {quoted}"


def move_away(path: Path) -> str:
    """Move a file out of the way, and keep it."""
    quoted = shlex.quote(str(path))
    return f"mv {quoted} {shlex.quote(f'{path}.old')}"


def _scoped(scope: Scope) -> str:
    return " --scope project" if scope == "project" else ""
