"""Which hosts a command is about, and what became of each."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

import click

from runapi_mcp.base.errors import Failure, NotConfigured, Refused
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host, InstallScope
from runapi_mcp.base.hosts.machine import Machine, platform_of
from runapi_mcp.base.hosts.table import HOSTS, host_named
from runapi_mcp.setup.install.change import Change
from runapi_mcp.setup.install.host_places import detect_hosts, host_file_path
from runapi_mcp.setup.install.install_log import InstallLog
from runapi_mcp.setup.install.installed_entry import installed_entry, is_ours_in
from runapi_mcp.setup.install.installer import apply


def complete_host(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """The hosts whose name a person has begun, for their shell."""
    return [host.name for host in HOSTS if host.name.startswith(begun)]


_OPTIONS: Final = (
    click.argument("hosts", metavar="[HOST|all]...", nargs=-1, shell_complete=complete_host),
    click.option(
        "--scope",
        type=click.Choice(["user", "project"]),
        default="user",
        show_default=True,
        help="All of your work, or the project in this directory.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Show what would change, as a diff; write nothing."
    ),
    click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON."),
)
_ALL: Final = "all"
_Command = TypeVar("_Command", bound=Callable[..., None])


class Plan(Protocol):
    """What a command would do to a host's file; to a project's, where that is given."""

    def __call__(
        self, host: Host, path: Path, log: InstallLog, *, project: Path | None
    ) -> Change: ...


State = Literal["not installed", "installed", "another server", "unreadable"]
_WORDS: Final[dict[State, str]] = {
    "not installed": "not installed",
    "installed": "is installed",
    "another server": f"has another server called {ENTRY_NAME}",
    "unreadable": "cannot be read",
}


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host on this machine, its file, and how it stands with this server."""

    host: Host
    path: Path
    state: State
    why: str = ""

    def describe(self) -> str:
        return f"{_WORDS[self.state]}: {self.why}" if self.why else _WORDS[self.state]

    def as_dict(self) -> dict[str, object]:
        known = {"host": self.host.name, "file": str(self.path), "state": self.state}
        return {**known, "why": self.why} if self.why else {**known}


def current_machine() -> Machine:
    """The machine that this runs on; raises NotConfigured where its directory was removed."""
    try:
        directory = str(Path.cwd())
    except OSError as error:
        happened = "The directory that this runs in is not there any more."
        raise NotConfigured(happened, "Change to one that is.") from error
    return Machine(platform_of(sys.platform), os.environ, directory)


def open_install_log() -> InstallLog:
    # Imported here, because only a command needs it.
    from platformdirs import user_state_path

    return InstallLog(user_state_path("runapi-mcp"))


def takes_hosts(command: _Command) -> _Command:
    """Which hosts, where, and how it is said: what every command takes that changes their files."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choose_hosts(
    names: Sequence[str], scope: InstallScope, *, as_json: bool, only: State | None = None
) -> list[Host]:
    """The hosts that were named; else of those on this machine, what a person says.

    `only` limits what is offered to hosts in this state: that is what `all` names too. Without a
    terminal nothing is asked: what could be named is listed, and nothing chosen.
    """
    named = [host_named(name) for name in names if name.lower() != _ALL]
    takes_all = len(named) < len(names)
    if named and not takes_all:
        return list(dict.fromkeys(named))
    offered = _offered(scope, only)
    if takes_all and (named or offered):
        return list(dict.fromkeys([*named, *(status.host for status in offered)]))
    if as_json:
        click.echo(json.dumps([status.as_dict() for status in offered], indent=2))
        return []
    if not offered:
        none = "No host on this machine has these tools." if only else "None found on this machine."
        click.echo(f"{none} Name one to go ahead all the same:")
        click.echo(f"  {' '.join(host.name for host in HOSTS)}")
        return []
    _list(offered)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return []
    return _ask([status.host for status in offered], only)


def change_each(
    hosts: Sequence[Host],
    scope: InstallScope,
    plan: Plan,
    check: Callable[[Change], None] | None = None,
    *,
    dry_run: bool,
    as_json: bool,
) -> list[Change]:
    """Plans and makes each host's change, and says what came of it; returns those that worked.

    `check` raises for a change that is not to be made.
    """
    machine, log = current_machine(), open_install_log()
    project = _project(scope, machine)
    results: list[dict[str, object]] = []
    changes: list[Change] = []
    # Who only looks waits for no other installer.
    with nullcontext() if dry_run else log.lock():
        for host in hosts:
            try:
                change = plan(host, host_file_path(host, scope, machine), log, project=project)
                if check and not dry_run:
                    check(change)
                backup = None if dry_run else apply(change, log)
            except Failure as failure:
                results.append({"host": host.name, "outcome": "failed", "error": str(failure)})
                click.echo(f"runapi-mcp: {host.title}: {failure}", err=True)
                continue
            changes.append(change)
            results.append(_result(change, backup, dry_run=dry_run))
            if not as_json:
                _say(change, backup, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(results, indent=2, ensure_ascii=False))
    return changes


def _offered(scope: InstallScope, only: State | None) -> list[HostStatus]:
    """The hosts on this machine that have a file of this scope, in this state."""
    machine = current_machine()
    hosts = [host for host in detect_hosts(machine) if scope == "user" or host.project]
    project = _project(scope, machine)
    statuses = [_status(host, host_file_path(host, scope, machine), project) for host in hosts]
    return [status for status in statuses if only in (None, status.state)]


def _project(scope: InstallScope, machine: Machine) -> Path | None:
    return Path(machine.directory) if scope == "project" else None


def _status(host: Host, path: Path, project: Path | None) -> HostStatus:
    try:
        entry = installed_entry(host, path, project)
        is_ours = entry is not None and is_ours_in(host, entry, path, open_install_log())
    except NotConfigured as failure:
        why = failure.happened.removeprefix(str(path)).lstrip(", ")
        return HostStatus(host, path, "unreadable", why.removeprefix("cannot be read: "))
    if entry is None:
        return HostStatus(host, path, "not installed")
    return HostStatus(host, path, "installed" if is_ours else "another server")


def _list(offered: Sequence[HostStatus]) -> None:
    wide = max(len(status.host.name) for status in offered)
    for number, each in enumerate(offered, 1):
        line = f"{number:>3}  {each.host.name:<{wide}}  {each.describe():<13}  {each.path}"
        click.echo(line.rstrip())
    if not sys.stdin.isatty():
        click.echo("Name those that you mean.")


def _ask(hosts: list[Host], only: State | None) -> list[Host]:
    """Those that a person picks, by number or name; asked again until all of it is understood."""
    verb = "Uninstall from" if only == "installed" else "Install into"
    numbers = "1" if len(hosts) == 1 else f"1 {len(hosts)}"
    question = f"{verb} which? ({numbers}, names, all; Enter cancels)"
    while True:
        answer: str = click.prompt(question, default="", show_default=False)
        try:
            return _picked(answer.replace(",", " ").lower().split(), hosts)
        except Refused as refused:
            click.echo(f"{refused.happened} Write such as: 1, {hosts[-1].name}; or all.")


def _picked(words: list[str], hosts: list[Host]) -> list[Host]:
    if words in ([_ALL], ["none"]):
        return hosts if words == [_ALL] else []
    by_number = {str(number): host for number, host in enumerate(hosts, 1)}
    for word in words:
        if word.isdecimal() and word not in by_number:
            raise Refused(f"There is no number {word} here.", f"Numbers go to {len(hosts)}.")
    return [by_number.get(word) or host_named(word) for word in words]


def _result(change: Change, backup: Path | None, *, dry_run: bool) -> dict[str, object]:
    result: dict[str, object] = {
        "host": change.host.name,
        "file": str(change.file.path),
        "outcome": change.outcome,
    }
    if dry_run:
        result |= {"written": False, "diff": change.diff()}
    if backup is not None:
        result["backup"] = str(backup)
    return result


def _say(change: Change, backup: Path | None, *, dry_run: bool) -> None:
    if dry_run:
        nothing = f"{change.host.title}: {change.outcome}; nothing to do.\n"
        click.echo(change.diff() or nothing, nl=False)
        return
    click.echo(f"{change.host.title}: {change.outcome}.{_next_step(change)}\n  {change.file.path}")
    if backup:
        click.echo(f"  backup: {backup}")


def _next_step(change: Change) -> str:
    if change.changes_nothing:
        return ""
    if change.outcome in ("added", "updated"):
        return f" {change.host.next_step}"
    return f" Restart {change.host.title}."
