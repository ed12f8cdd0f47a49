"""Which hosts a command is about, and what became of each."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click

from runapi_mcp.base.errors import Failure, NotConfigured, Refused
from runapi_mcp.base.hosts.machine import Machine, platform_of
from runapi_mcp.base.hosts.table import HOSTS as ALL_HOSTS
from runapi_mcp.base.hosts.table import NAME, HostConfig, Scope, host_named
from runapi_mcp.setup.install.install_log import Receipts
from runapi_mcp.setup.install.installer import (
    Change,
    apply,
    entry_in,
    file_of,
    hosts_on,
    is_ours_in,
)
from runapi_mcp.setup.install.start_command import Program

HOSTS = click.argument("hosts", metavar="[HOST]...", nargs=-1)
SCOPE = click.option(
    "--scope",
    type=click.Choice(["user", "project"]),
    default="user",
    show_default=True,
    help="All of your work, or the project in this directory.",
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Show what would change, as a diff; write nothing."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON.")

Plan = Callable[[HostConfig, Path], Change]
"""Says what is to be done to a host's file."""


State = Literal["not installed", "installed", "another server", "unreadable"]
_WORDS: Final[dict[State, str]] = {
    "not installed": "not installed",
    "installed": "is installed",
    "another server": f"has another server called {NAME}",
    "unreadable": "cannot be read",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A host on this machine, its file, and how it stands with this server."""

    host: HostConfig
    path: Path
    state: State
    why: str = ""
    """Why it cannot be read."""

    @property
    def words(self) -> str:
        return f"{_WORDS[self.state]}: {self.why}" if self.why else _WORDS[self.state]

    def told(self) -> dict[str, object]:
        told = {"host": self.host.name, "file": str(self.path), "state": self.state}
        return {**told, "why": self.why} if self.why else {**told}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the hosts that were chosen."""

    changes: tuple[Change, ...]
    status: int
    """The exit status: 2 if any failed."""


def this_machine() -> Machine:
    """The machine that this program runs on.

    Raises:
        NotConfigured: the directory that it runs in was removed.
    """
    try:
        directory = str(Path.cwd())
    except OSError as error:
        happened = "The directory that this runs in is not there any more."
        raise NotConfigured(happened, "Change to one that is.") from error
    return Machine(platform_of(sys.platform), os.environ, directory)


def this_program() -> Program:
    """The program that runs."""
    return Program(sys.executable, Path(sys.prefix), os.environ)


def receipts() -> Receipts:
    """What install noted on this machine."""
    # Imported here, because only a command needs it.
    from platformdirs import user_state_path

    return Receipts(user_state_path("runapi-mcp"))


def chosen(
    names: Sequence[str], scope: Scope, *, as_json: bool, only: State | None = None
) -> list[HostConfig]:
    """The hosts that were named; else of those on this machine, what a person says.

    `only` limits what is offered to hosts in this state. Without a terminal nothing is asked: what
    could be named is listed, and nothing chosen.
    """
    if names:
        return list(dict.fromkeys(map(host_named, names)))
    offered = [found for found in _found(scope) if only in (None, found.state)]
    if as_json:
        click.echo(json.dumps([found.told() for found in offered], indent=2))
        return []
    if not offered:
        _say_that_none_is_there(only)
        return []
    _list(offered)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return []
    return _asked([found.host for found in offered])


def for_each(
    hosts: Sequence[HostConfig], scope: Scope, plan: Plan, *, dry_run: bool, as_json: bool
) -> Done:
    """Plans and makes each host's change, and says what came of it."""
    notes, machine = receipts(), this_machine()
    told: list[dict[str, object]] = []
    changes: list[Change] = []
    for host in hosts:
        try:
            change = plan(host, file_of(host, scope, machine))
            backup = None if dry_run else apply(change, notes)
        except Failure as failure:
            told.append({"host": host.name, "outcome": "failed", "error": str(failure)})
            click.echo(f"runapi-mcp: {host.title}: {failure}", err=True)
            continue
        changes.append(change)
        told.append(_told(change, backup, dry_run=dry_run))
        if not as_json:
            _say(change, backup, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    return Done(tuple(changes), 0 if len(changes) == len(hosts) else 2)


def _found(scope: Scope) -> list[Found]:
    machine = this_machine()
    hosts = [host for host in hosts_on(machine) if scope == "user" or host.project]
    return [_stands(host, file_of(host, scope, machine)) for host in hosts]


def _stands(host: HostConfig, path: Path) -> Found:
    try:
        entry = entry_in(host, path)
        is_ours = entry is not None and is_ours_in(host, entry, path, receipts())
    except NotConfigured as failure:
        why = failure.happened.removeprefix(str(path)).lstrip(", ")
        return Found(host, path, "unreadable", why.removeprefix("cannot be read: "))
    if entry is None:
        return Found(host, path, "not installed")
    return Found(host, path, "installed" if is_ours else "another server")


def _say_that_none_is_there(only: State | None) -> None:
    none = "No host on this machine has these tools." if only else "None found on this machine."
    click.echo(f"{none} Name one to go ahead all the same:")
    click.echo(f"  {' '.join(host.name for host in ALL_HOSTS)}")


def _list(offered: Sequence[Found]) -> None:
    wide = max(len(found.host.name) for found in offered)
    for number, found in enumerate(offered, 1):
        line = f"{number:>3}  {found.host.name:<{wide}}  {found.words:<13}  {found.path}"
        click.echo(line.rstrip())
    if not sys.stdin.isatty():
        click.echo("Name those that you mean.")


def _asked(hosts: list[HostConfig]) -> list[HostConfig]:
    """Those that a person picks, by number or name; asked again until all of it is understood."""
    question = "Which? Numbers or names, all, or nothing to leave"
    while True:
        answer: str = click.prompt(question, default="", show_default=False)
        try:
            return _picked(answer.replace(",", " ").lower().split(), hosts)
        except Refused as refused:
            click.echo(f"{refused.happened} Write such as: 1, {hosts[-1].name}; or all.")


def _picked(words: list[str], hosts: list[HostConfig]) -> list[HostConfig]:
    if words == ["all"]:
        return hosts
    return [] if words == ["none"] else [_one(word, hosts) for word in words]


def _one(word: str, hosts: list[HostConfig]) -> HostConfig:
    if not word.isdecimal():
        return host_named(word)
    if not 1 <= int(word) <= len(hosts):
        raise Refused(f"There is no number {word} here.", f"Numbers go to {len(hosts)}.")
    return hosts[int(word) - 1]


def _told(change: Change, backup: Path | None, *, dry_run: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "host": change.host.name,
        "file": str(change.opened.path),
        "outcome": change.outcome,
    }
    if dry_run:
        told |= {"written": False, "diff": change.diff()}
    if backup is not None:
        told["backup"] = str(backup)
    return told


def _say(change: Change, backup: Path | None, *, dry_run: bool) -> None:
    if dry_run:
        nothing = f"{change.host.title}: {change.outcome}; nothing to do.\n"
        click.echo(change.diff() or nothing, nl=False)
        return
    click.echo(f"{change.host.title}: {change.outcome}.{_then(change)}\n  {change.opened.path}")
    if backup:
        click.echo(f"  as it was: {backup}")


def _then(change: Change) -> str:
    """What a person does next, for the host to notice."""
    if change.changes_nothing:
        return ""
    if change.outcome in ("added", "updated"):
        return f" {change.host.then}"
    return f" {change.host.title} notices at its next start."
