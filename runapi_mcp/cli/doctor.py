"""`runapi-mcp doctor`: what is wrong with each host's entry, and the command that mends it."""

import json
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click

from runapi_mcp import __version__
from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS, host_named
from runapi_mcp.base.redaction import Secrets
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.host_choice import complete_host, current_machine, open_install_log
from runapi_mcp.cli.printing import can_write, writable
from runapi_mcp.cli.spinner import spinning
from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section, Severity
from runapi_mcp.setup.doctor.fix import Fix, confirm, fix
from runapi_mcp.setup.doctor.launch_plan import LaunchPlan
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry
from runapi_mcp.setup.doctor.runner import diagnose
from runapi_mcp.setup.doctor.subjects import MayRun, take_inventory

WAIT_SECONDS: Final = 20
"""How long a server may take to answer without --wait: nobody waits longer here."""
WIDEST: Final = 100
_COLORS: Final = {"problem": "red", "warning": "yellow", "note": "cyan", "fine": "green"}
_ORDER: Final[tuple[Severity, ...]] = ("problem", "warning", "note", "fine")
_INDENT: Final = "    "
_FINE_MARKS: Final[Mapping[Severity, str]] = dict(zip(_ORDER, "✗!·✓", strict=True))
_PLAIN_MARKS: Final[Mapping[Severity, str]] = dict(zip(_ORDER, ("x", "!", "-", "ok"), strict=True))


@dataclass(frozen=True, slots=True)
class _LineStyle:
    width: int | None
    """None for lines of any length, as programs read them."""
    marks: Mapping[Severity, str]
    arrow: str
    home: str
    """What ~ stands for."""
    secrets: Secrets

    def clean(self, text: str) -> str:
        """Without secrets, in letters that the terminal takes and that do nothing else to it."""
        hidden = self.secrets.hide(text)
        shown = "".join(letter if letter.isprintable() else "?" for letter in hidden)
        return writable(shown, sys.stdout)

    def shorten(self, text: str) -> str:
        return text.replace(f"{self.home}/", "~/") if self.home not in ("", "/") else text

    def wrap(self, text: str, indent: int) -> list[str]:
        if self.width is None:
            return [text]
        width = max(self.width - indent, 20)
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


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
    style = _line_style(secrets)
    for each in fixes:
        title = "mended: " if each.worked else "not mended: "
        _echo(click.style(title, bold=True) + style.clean(each.what))
    for section in diagnosis.sections:
        if section.findings:
            _echo(_title(section, style))
            for found in sorted(section.findings, key=lambda each: _ORDER.index(each.severity)):
                for line in _finding(found, style):
                    _echo(line)
            _echo("")
    _echo(_summary(diagnosis))


def _echo(line: str) -> None:
    # None leaves it to click, which colors for a terminal alone.
    click.echo(line, color=False if os.environ.get("NO_COLOR") else None)


def _line_style(secrets: Secrets) -> _LineStyle:
    width = min(shutil.get_terminal_size().columns, WIDEST) if sys.stdout.isatty() else None
    is_plain = not can_write("".join(_FINE_MARKS.values()) + "→", sys.stdout)
    marks, arrow = (_PLAIN_MARKS, "->") if is_plain else (_FINE_MARKS, "→")
    return _LineStyle(width, marks, arrow, str(Path("~").expanduser()), secrets)


def _summary(diagnosis: Diagnosis) -> str:
    counts = [(severity, diagnosis.count(severity)) for severity in _ORDER[:2]]
    counted = [
        click.style(f"{count} {severity}{'s' if count > 1 else ''}", fg=_COLORS[severity])
        for severity, count in counts
        if count
    ]
    return f"{', '.join(counted)}." if counted else click.style("All is well.", fg="green")


def _title(section: Section, style: _LineStyle) -> str:
    scope = f" ({section.scope})" if section.scope not in ("", "user") else ""
    title = click.style(style.clean(section.title + scope), bold=True)
    file = style.clean(style.shorten(section.file))
    return f"{title}  {click.style(file, dim=True)}" if file else title


def _finding(found: Finding, style: _LineStyle) -> list[str]:
    mark = f"  {style.marks[found.severity]} "
    said = style.shorten(found.what) + (f"; {found.why}" if found.why else "")
    rows = style.wrap(style.clean(said), len(mark))
    starts = [click.style(mark, fg=_COLORS[found.severity]), *[_INDENT] * (len(rows) - 1)]
    dim = found.severity == "fine" or None
    lines = [start + click.style(row, dim=dim) for start, row in zip(starts, rows, strict=True)]
    if found.mend:
        command = style.clean(f"{style.arrow} {found.mend}")
        fits = style.width is None or len(mark + rows[-1]) + 1 + len(command) <= style.width
        styled = click.style(command, fg="cyan")
        if fits:
            lines[-1] += f" {styled}"
        else:
            lines.append(_INDENT + styled)
    return lines
