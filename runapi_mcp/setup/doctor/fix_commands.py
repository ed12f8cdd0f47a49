"""The commands that mend what was found."""

import os
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.settings import KEY_PAGE
from runapi_mcp.setup.doctor.configured import Configured, Scope
from runapi_mcp.setup.doctor.findings import Remedy
from runapi_mcp.setup.install.start_command import Program, typed_command

ADD_CREDIT: Final = f"add credit at {KEY_PAGE}"
UPDATE: Final = "uvx runapi-mcp@latest install"
REPORT: Final = "report it at https://github.com/runapi-mcp/runapi-mcp/issues"


@cache
def runapi(arguments: str) -> str:
    """This program with arguments, as a person types it here."""
    program = Program(sys.executable, Path(sys.prefix), os.environ)
    return f"{typed_command(program, sys.argv[0])} {arguments}"


def login() -> str:
    """Get a key, and save it."""
    return runapi("login")


def install(host: Host | None = None, scope: Scope = "user") -> str:
    """Write the entry of a host, or of those that a person then picks."""
    return runapi(f"install {host.name}{_scoped(scope)}" if host else "install")


def renewed(entry: Configured) -> str:
    """Write an entry anew; what a user added to it stays, where install made it."""
    return _over(entry, _installed(entry))


def rewritten(entry: Configured) -> str:
    """Write an entry anew, with nothing of the old one."""
    return after_taking_out(entry, _installed(entry))


def served_at(entry: Configured, address: str) -> str:
    """Connect to another address."""
    return _over(entry, f"{install(entry.host, entry.scope)} --http {shlex.quote(address)}")


def told(entry: Configured, name: str) -> str:
    """Give the server a variable's value."""
    return f'{renewed(entry)} --env "{name}=${name}"'


def handed_on(entry: Configured, name: str) -> str:
    """Let the host hand a variable on, so that its value is not in the file; else give it."""
    can_name = entry.host.stdio.names or entry.host.reference
    return f"{renewed(entry)} --env {name}" if can_name else told(entry, name)


def remedy(entry: Configured) -> Remedy | None:
    """What --fix may do about an entry: install again, where that writes this very one."""
    is_safe = entry.is_renewable and entry.command is not None and entry.scope == "user"
    return "install" if is_safe else None


def taken_out(entry: Configured) -> str:
    """Take out this very entry, whoever made it."""
    if entry.is_installs:
        return runapi(f"uninstall {entry.host.name}{_scoped(entry.scope)}")
    return _removal(entry) or f"take “{entry.name}” out of {shlex.quote(str(entry.path))}"


def after_taking_out(entry: Configured, command: str) -> str:
    """A command, once an entry is out of its way."""
    by_hand = not entry.is_installs and not _removal(entry)
    return f"{taken_out(entry)}{', then ' if by_hand else ' && '}{command}"


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


def unlock(path: Path, *, is_mine: bool) -> str:
    """Let its owner read what is at a path; become its owner first."""
    quoted = shlex.quote(str(path))
    owning = "" if is_mine else f'sudo chown "$USER" {quoted} && '
    return f"{owning}chmod u+rwX {quoted}"


def unset(name: str) -> str:
    """Take a variable away from this shell."""
    return f"unset {name}"


def look_at(path: Path) -> str:
    """See what is at a path."""
    return f"ls -ld {shlex.quote(str(path))}"


def _installed(entry: Configured) -> str:
    address = entry.address
    # What was secret in the address is left for its owner to write.
    reached = f" --http {shlex.quote(str(address))}" if address and address.is_safe else ""
    return install(entry.host, entry.scope) + reached


def _over(entry: Configured, command: str) -> str:
    """A command that install takes an entry over by, where it does."""
    return command if entry.is_renewable else after_taking_out(entry, command)


def _removal(entry: Configured) -> str:
    """The host's own command that takes an entry out; empty where it has none."""
    command = entry.host.removal
    if "{scope}" not in command and entry.scope != "user":
        return ""
    return command.format(name=shlex.quote(entry.name), scope=entry.scope)


def _scoped(scope: Scope) -> str:
    return " --scope project" if scope == "project" else ""
