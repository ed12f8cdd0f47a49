"""The commands that mend what was found: each function gives the one it is named for, as text."""

import os
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.settings import KEY_PAGE
from runapi_mcp.setup.doctor.findings import Remedy
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry, EntryScope
from runapi_mcp.setup.install.start_command import Program, typed_command

ADD_CREDIT: Final = f"add credit at {KEY_PAGE}"
UPDATE_COMMAND: Final = "uvx runapi-mcp@latest install"


@cache
def runapi(arguments: str) -> str:
    """This program with arguments, as a person types it here."""
    return f"{typed_command(Program.current(), sys.argv[0])} {arguments}"


def login() -> str:
    return runapi("login")


def install(host: Host | None = None, scope: EntryScope = "user") -> str:
    """Write the entry of a host, or of those that a person then picks."""
    return runapi(f"install {host.name}{_scoped(scope)}" if host else "install")


def renew(entry: ConfigEntry | None) -> str:
    """Write an entry anew; what a user added to it stays, where install made it."""
    if entry is None:
        return UPDATE_COMMAND
    return _take_over(entry, _install_again(entry))


def rewrite(entry: ConfigEntry | None) -> str:
    """Write an entry anew, with nothing of the old one."""
    if entry is None:
        return UPDATE_COMMAND
    return _replace(entry, _install_again(entry))


def connect_to(entry: ConfigEntry, address: str) -> str:
    return _take_over(entry, f"{install(entry.host, entry.scope)} --http {shlex.quote(address)}")


def give(entry: ConfigEntry, name: str) -> str:
    return f'{renew(entry)} --env "{name}=${name}"'


def hand_on(entry: ConfigEntry, name: str) -> str:
    """Let the host hand a variable on, so that its value is not in the file; else give it."""
    can_name = entry.host.stdio.names or entry.host.reference
    return f"{renew(entry)} --env {name}" if can_name else give(entry, name)


def take_out(entry: ConfigEntry) -> str:
    """Take out this very entry, whoever made it."""
    if entry.is_installs:
        return runapi(f"uninstall {entry.host.name}{_scoped(entry.scope)}")
    return _remove(entry) or f"take “{entry.name}” out of {shlex.quote(str(entry.path))}"


def edit(path: Path, line: int | None = None) -> str:
    editor = "notepad" if sys.platform == "win32" else "${EDITOR:-vi}"
    return f"{editor} {f'+{line} ' if line else ''}{shlex.quote(str(path))}"


def set_clock() -> str:
    commands = {"darwin": "sudo sntp -sS time.apple.com", "win32": "w32tm /resync"}
    return commands.get(sys.platform, "sudo timedatectl set-ntp true")


def make_writable(folder: Path) -> str:
    quoted = shlex.quote(str(folder))
    return f"mkdir -p {quoted} && chmod u+rwx {quoted}"


def move_away(path: Path) -> str:
    return f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.old')}"


def unlock(path: Path) -> str:
    """Let its owner read what is at a path; become its owner first."""
    quoted = shlex.quote(str(path))
    is_mine = sys.platform == "win32" or path.stat().st_uid == os.geteuid()
    owning = "" if is_mine else f'sudo chown "$USER" {quoted} && '
    return f"{owning}chmod u+rwX {quoted}"


def look_at(path: Path) -> str:
    return f"ls -ld {shlex.quote(str(path))}"


def install_remedy(entry: ConfigEntry | None) -> Remedy | None:
    """Whether --fix may install over an entry: where that writes this very one."""
    if entry is None or entry.command is None:
        return None
    return "install" if entry.is_renewable and entry.scope == "user" else None


def _install_again(entry: ConfigEntry) -> str:
    address = entry.address
    # What was secret in the address is left for its owner to write.
    connected = f" --http {shlex.quote(str(address))}" if address and entry.is_safe else ""
    return install(entry.host, entry.scope) + connected


def _take_over(entry: ConfigEntry, command: str) -> str:
    """The command, which install takes an entry over by, where it does."""
    return command if entry.is_renewable else _replace(entry, command)


def _replace(entry: ConfigEntry, command: str) -> str:
    by_hand = not entry.is_installs and not _remove(entry)
    return f"{take_out(entry)}{', then ' if by_hand else ' && '}{command}"


def _remove(entry: ConfigEntry) -> str:
    """The host's own command that takes an entry out; empty where it has none."""
    command = entry.host.removal
    if "{scope}" not in command and entry.scope != "user":
        return ""
    return command.format(name=shlex.quote(entry.name), scope=entry.scope)


def _scoped(scope: EntryScope) -> str:
    return " --scope project" if scope == "project" else ""
