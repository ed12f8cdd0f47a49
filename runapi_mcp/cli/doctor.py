"""`runapi-mcp doctor`: what is wrong with each host's entry, and the command that mends it."""

import json
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import click

from runapi_mcp import __version__
from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS, host_named
from runapi_mcp.base.redaction import Secrets
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.findings_view import FindingsView
from runapi_mcp.cli.host_choice import complete_host, current_machine, open_install_log
from runapi_mcp.cli.printing import can_write
from runapi_mcp.cli.spinner import spinning
from runapi_mcp.setup.doctor.findings import Diagnosis
from runapi_mcp.setup.doctor.fix import Fix, confirm, fix
from runapi_mcp.setup.doctor.launch_plan import LaunchPlan
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry
from runapi_mcp.setup.doctor.runner import diagnose
from runapi_mcp.setup.doctor.subjects import MayRun, take_inventory

WAIT_SECONDS: Final = 20
"""How long a server may take to answer without --wait: nobody waits longer here."""


@click.command("doctor")
@click.argument("hosts", metavar="[HOST]...", nargs=-1, shell_complete=complete_host)
@click.option("--json", "as_json", is_flag=True, help="All findings as JSON.")
@click.option(
    "--fix", "mends", is_flag=True, help="Mend what can be mended safely, and say what was done."
)
@click.option(
    "--run-project",
    is_flag=True,
    help="Ask whether a command of a project's file is started too; it is only read without.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0.5, 600),
    default=WAIT_SECONDS,
    show_default=True,
    help="Seconds that a server may take to answer.",
)
def command(
    *,
    hosts: tuple[str, ...],
    as_json: bool,
    mends: bool,
    run_project: bool,
    wait_seconds: float,
) -> None:
    """Start the server as each host would, and say what is wrong and what mends it.

    Looks at every host that has an entry; with HOSTs, at those. Changes nothing without --fix. The
    exit status is 0 when nothing keeps the tools from working, and 1 when something does.
    """
    if run_project and not (sys.stdin.isatty() and sys.stderr.isatty()):
        told = "Run it in one; without it, a project's file is only read."
        raise Refused("--run-project asks at a terminal, and there is none.", told)
    named = list(dict.fromkeys(map(host_named, hosts)))
    look = partial(
        _look, current_machine(), named, wait_seconds, _Person() if run_project else _nobody
    )
    diagnosis, secrets = look()
    fixes = fix(diagnosis, open_install_log()) if mends else []
    if fixes:
        diagnosis, secrets = look()
        fixes = confirm(fixes, diagnosis)
    say = _say_json if as_json else _say
    say(diagnosis, secrets, fixes)
    sys.exit(0 if diagnosis.is_fine else 1)


def _look(
    machine: Machine, named: Sequence[Host], wait_seconds: float, may_run: MayRun
) -> tuple[Diagnosis, Secrets]:
    # Before the event loop, which would keep Ctrl-C from the prompt.
    inventory = take_inventory(machine, named or HOSTS, wait_seconds, may_run)
    examine = partial(diagnose, inventory, wait_seconds, named=bool(named))
    with spinning("starting each host's server and asking RunAPI"):
        return run_interruptible(examine), inventory.secrets


def _nobody(_entry: ConfigEntry, _plan: LaunchPlan) -> bool:
    return False


class _Person:
    """Whoever sits at the terminal: asked once about each command of a project's file."""

    def __init__(self) -> None:
        self._answers: dict[object, bool] = {}

    def __call__(self, entry: ConfigEntry, plan: LaunchPlan) -> bool:
        if plan.identity not in self._answers:
            self._answers[plan.identity] = self._ask(entry, plan)
        return self._answers[plan.identity]

    def _ask(self, entry: ConfigEntry, plan: LaunchPlan) -> bool:
        set_there = (f"{name}={plan.environ[name]}" for name in entry.env if name in plan.environ)
        click.echo(
            f"{_shown(str(entry.path))} would have {entry.host.title} start, in "
            f"{_shown(plan.directory)}:\n\n"
            f"  {' '.join(map(_shown, (*set_there, *plan.words)))}\n",
            err=True,
        )
        try:
            return click.confirm("Whoever wrote that file chose it. Start it?", err=True)
        except click.Abort:
            return False


def _shown(word: str) -> str:
    """A word as a shell takes it; one that would do something to the terminal, escaped."""
    return shlex.quote(word) if word.isprintable() else ascii(word)


def _say_json(diagnosis: Diagnosis, secrets: Secrets, fixes: list[Fix]) -> None:
    facts = {
        "version": __version__,
        "fine": diagnosis.is_fine,
        "problems": diagnosis.count("problem"),
        "warnings": diagnosis.count("warning"),
        "findings": [
            {name: secrets.hide(text) for name, text in found.items()}
            for section in diagnosis.sections
            for found in section.as_dicts()
        ],
        "mended": [{"what": secrets.hide(each.what), "worked": each.worked} for each in fixes],
    }
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    click.echo(text if can_write(text, sys.stdout) else json.dumps(facts, indent=2))


def _say(diagnosis: Diagnosis, secrets: Secrets, fixes: list[Fix]) -> None:
    view = FindingsView(secrets)
    for each in fixes:
        view.say("mended: " if each.worked else "not mended: ", each.what)
    view.say_all(diagnosis)
