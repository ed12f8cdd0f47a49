"""Which hosts a command is about, and what became of each."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from runapi_mcp.errors import Failure, NotConfigured
from runapi_mcp.hosts.installing import (
    Change,
    carried_out,
    entry_in,
    file_of,
    hosts_on,
)
from runapi_mcp.hosts.places import Machine, platform_of
from runapi_mcp.hosts.receipts import Receipts
from runapi_mcp.hosts.table import HostConfig, Scope, host_named

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


@dataclass(frozen=True, slots=True)
class Found:
    """A host on this machine, its file, and how it stands with this server."""

    host: HostConfig
    path: Path
    state: str

    def told(self) -> dict[str, object]:
        return {"host": self.host.name, "file": str(self.path), "state": self.state}


def this_machine() -> Machine:
    """The machine that this program runs on."""
    return Machine(platform_of(sys.platform), os.environ, str(Path.cwd()))


def receipts() -> Receipts:
    """What install noted on this machine."""
    # Imported here, because only a command needs it.
    from platformdirs import user_state_path

    return Receipts(user_state_path("runapi-mcp"))


def chosen(names: Sequence[str], scope: Scope, *, as_json: bool, only: str) -> list[HostConfig]:
    """The hosts that were named; else of those on this machine, what a person says.

    `only` limits what is offered to hosts in this state; empty for all. Without a terminal nothing
    is asked: what could be named is listed, and nothing chosen.
    """
    if names:
        return list(dict.fromkeys(map(host_named, names)))
    offered = [found for found in _found(scope) if only in found.state]
    if as_json:
        click.echo(json.dumps([found.told() for found in offered], indent=2))
        return []
    _list(offered)
    if not offered or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return []
    return _asked([found.host for found in offered])


def for_each(
    hosts: Sequence[HostConfig], scope: Scope, plan: Plan, *, dry_run: bool, as_json: bool
) -> bool:
    """Plans and makes each host's change, and says what came of it; false if any failed."""
    notes, machine = receipts(), this_machine()
    told: list[dict[str, object]] = []
    for host in hosts:
        try:
            change = plan(host, file_of(host, scope, machine))
            backup = None if dry_run else carried_out(change, notes)
        except Failure as failure:
            told.append({"host": host.name, "outcome": "failed", "error": str(failure)})
            click.echo(f"runapi-mcp: {host.title}: {failure}", err=True)
            continue
        told.append(_told(change, backup, dry_run=dry_run))
        if not as_json:
            _say(change, backup, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    return all(each["outcome"] != "failed" for each in told)


def _found(scope: Scope) -> list[Found]:
    machine = this_machine()
    hosts = [host for host in hosts_on(machine) if scope == "user" or host.project]
    return [_stands(host, file_of(host, scope, machine)) for host in hosts]


def _stands(host: HostConfig, path: Path) -> Found:
    try:
        entry = entry_in(host, path)
    except NotConfigured as failure:
        return Found(host, path, f"cannot be read: {failure.happened}")
    return Found(host, path, "not installed" if entry is None else "is installed")


def _list(offered: Sequence[Found]) -> None:
    if not offered:
        click.echo("None found on this machine. Name a host to go ahead all the same.")
        return
    wide = max(len(found.host.name) for found in offered)
    for number, found in enumerate(offered, 1):
        line = f"{number:>3}  {found.host.name:<{wide}}  {found.state:<13}  {found.path}"
        click.echo(line.rstrip())
    if not sys.stdin.isatty():
        click.echo("Name those that you mean.")


def _asked(hosts: list[HostConfig]) -> list[HostConfig]:
    """Those that a person picks, by number or name."""
    question = "Which? Numbers or names, all, or nothing to leave"
    answer: str = click.prompt(question, default="", show_default=False)
    words = answer.replace(",", " ").split()
    if words == ["all"]:
        return hosts
    return [_picked(word, hosts) for word in words]


def _picked(word: str, hosts: list[HostConfig]) -> HostConfig:
    if word.isdecimal() and 1 <= int(word) <= len(hosts):
        return hosts[int(word) - 1]
    return host_named(word)


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
    path = change.opened.path
    if dry_run:
        click.echo(
            change.diff() or f"{change.host.title}: {change.outcome}; nothing to do.\n", nl=False
        )
        return
    then = "" if change.changes_nothing else f" {change.host.then}"
    click.echo(f"{change.host.title}: {change.outcome}.{then}\n  {path}")
    if backup:
        click.echo(f"  as it was: {backup}")
