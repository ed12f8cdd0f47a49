"""`runapi-mcp doctor`: what is wrong with each host's entry, and the command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from runapi_mcp import __version__

if TYPE_CHECKING:
    from runapi_mcp.base.hosts.host import Host
    from runapi_mcp.base.redaction import Secrets
    from runapi_mcp.cli.doctor_view import LineStyle, Styled
    from runapi_mcp.setup.doctor.findings import Diagnosis
    from runapi_mcp.setup.doctor.fix import Fix

WAIT_SECONDS: Final = 20
"""How long a server may take to answer without --wait: nobody waits longer here."""
WIDEST: Final = 100
_COLORS: Final = {"problem": "red", "warning": "yellow", "note": "cyan", "fine": "green"}


@click.command("doctor")
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="All findings as JSON.")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, and say what was done.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0.5, 600),
    default=WAIT_SECONDS,
    show_default=True,
    help="Seconds that a server may take to answer.",
)
def command(*, hosts: tuple[str, ...], as_json: bool, fix: bool, wait_seconds: float) -> None:
    """Start the server as each host would, and say what is wrong and what mends it.

    Looks at every host that has an entry; with HOSTs, at those. Changes nothing without --fix. The
    exit status is 0 when nothing keeps the tools from working, and 1 when something does.
    """
    from runapi_mcp.base.hosts.table import host_named
    from runapi_mcp.setup.doctor.fix import confirm

    named = list(dict.fromkeys(map(host_named, hosts)))
    diagnosis, secrets = _diagnose(named, wait_seconds)
    fixes = _fix(diagnosis) if fix else []
    if fixes:
        diagnosis, secrets = _diagnose(named, wait_seconds)
        fixes = confirm(fixes, diagnosis)
    say = _say_json if as_json else _say
    say(diagnosis, secrets, fixes)
    sys.exit(0 if diagnosis.is_fine else 1)


def _diagnose(named: list[Host], wait_seconds: float) -> tuple[Diagnosis, Secrets]:
    from runapi_mcp.cli.host_choice import current_machine
    from runapi_mcp.setup.doctor.runner import diagnose

    return anyio.run(diagnose, current_machine(), named, wait_seconds)


def _fix(diagnosis: Diagnosis) -> list[Fix]:
    from runapi_mcp.cli.host_choice import open_install_log
    from runapi_mcp.setup.doctor.fix import fix

    return fix(diagnosis, open_install_log())


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
    click.echo(text if _can_write(text) else json.dumps(facts, indent=2))


def _say(diagnosis: Diagnosis, secrets: Secrets, fixes: list[Fix]) -> None:
    from runapi_mcp.cli.doctor_view import lines_of, summary

    for each in fixes:
        title = "mended: " if each.worked else "not mended: "
        _echo([(title, "title"), (each.what, "")], secrets)
    for line in (*lines_of(diagnosis, _line_style()), summary(diagnosis)):
        _echo(line, secrets)


def _line_style() -> LineStyle:
    from runapi_mcp.cli.doctor_view import FINE_MARKS, PLAIN_MARKS, LineStyle

    width = min(shutil.get_terminal_size().columns, WIDEST) if sys.stdout.isatty() else None
    is_plain = not _can_write("".join(FINE_MARKS.values()) + "→")
    marks, arrow = (PLAIN_MARKS, "->") if is_plain else (FINE_MARKS, "→")
    return LineStyle(width, marks, arrow, str(Path("~").expanduser()))


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _echo(line: list[Styled], secrets: Secrets) -> None:
    pieces = [_style(_writable(secrets.hide(text)), kind) for text, kind in line]
    # None leaves it to click, which colors for a terminal alone.
    click.echo("".join(pieces), color=False if os.environ.get("NO_COLOR") else None)


def _writable(text: str) -> str:
    """A text in letters that the terminal takes, and that do nothing else to it."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "ascii"
    return shown if _can_write(shown) else shown.encode(encoding, "replace").decode(encoding)


def _style(text: str, kind: str) -> str:
    match kind:
        case "title":
            return click.style(text, bold=True)
        case "command":
            return click.style(text, fg="cyan")
        case "aside":
            return click.style(text, dim=True)
        case _:
            return click.style(text, fg=_COLORS.get(kind)) if kind else text
