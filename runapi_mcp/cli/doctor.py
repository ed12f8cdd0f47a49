"""`runapi-mcp doctor`: what is wrong with each host's entry, and the command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from runapi_mcp import __version__

if TYPE_CHECKING:
    from runapi_mcp.base.hosts.host import Host
    from runapi_mcp.setup.doctor.findings import Report
    from runapi_mcp.setup.doctor.fix import Mended
    from runapi_mcp.setup.doctor.layout import Page, Styled
    from runapi_mcp.setup.doctor.runner import Examination

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
    from runapi_mcp.setup.doctor.fix import confirmed

    named = list(dict.fromkeys(map(host_named, hosts)))
    examination, report = _examined(named, wait_seconds)
    mended = _mend(report) if fix else []
    if mended:
        examination, report = _examined(named, wait_seconds)
        mended = confirmed(mended, report)
    say = _say_json if as_json else _say
    say(examination, report, mended)
    sys.exit(0 if report.is_fine else 1)


def _examined(named: list[Host], wait_seconds: float) -> tuple[Examination, Report]:
    from runapi_mcp.cli.host_choice import current_machine
    from runapi_mcp.setup.doctor.runner import Examination

    examination = Examination(current_machine(), wait_seconds)
    return examination, anyio.run(partial(examination.report, named))


def _mend(report: Report) -> list[Mended]:
    from runapi_mcp.cli.host_choice import open_install_log
    from runapi_mcp.setup.doctor.fix import mended

    return mended(report, open_install_log())


def _say_json(examination: Examination, report: Report, mended: list[Mended]) -> None:
    hidden = examination.secrets.hide
    told = {
        "version": __version__,
        "fine": report.is_fine,
        "problems": report.count("problem"),
        "warnings": report.count("warning"),
        "findings": [
            {name: hidden(text) for name, text in found.items()}
            for chapter in report.chapters
            for found in chapter.told()
        ],
        "mended": [{"what": hidden(each.what), "worked": each.worked} for each in mended],
    }
    text = json.dumps(told, indent=2, ensure_ascii=False)
    click.echo(text if _can_write(text) else json.dumps(told, indent=2))


def _say(examination: Examination, report: Report, mended: list[Mended]) -> None:
    from runapi_mcp.setup.doctor.layout import lines_of, summary

    echo = partial(_echo, examination)
    for each in mended:
        echo([("mended: " if each.worked else "not mended: ", "title"), (each.what, "")])
    for line in lines_of(report, _page()):
        echo(line)
    echo(summary(report))


def _page() -> Page:
    from runapi_mcp.setup.doctor.layout import FINE_MARKS, PLAIN_MARKS, Page

    width = min(shutil.get_terminal_size().columns, WIDEST) if sys.stdout.isatty() else None
    is_plain = not _can_write("".join(FINE_MARKS.values()) + "→")
    marks, arrow = (PLAIN_MARKS, "->") if is_plain else (FINE_MARKS, "→")
    return Page(width, marks, arrow, str(Path("~").expanduser()))


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _echo(examination: Examination, line: list[Styled]) -> None:
    pieces = [_styled(_writable(examination.secrets.hide(text)), kind) for text, kind in line]
    # None leaves it to click, which colors for a terminal alone.
    click.echo("".join(pieces), color=False if os.environ.get("NO_COLOR") else None)


def _writable(text: str) -> str:
    """A text in letters that the terminal takes, and that do nothing else to it."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    encoding = sys.stdout.encoding or "ascii"
    return shown if _can_write(shown) else shown.encode(encoding, "replace").decode(encoding)


def _styled(text: str, kind: str) -> str:
    match kind:
        case "title":
            return click.style(text, bold=True)
        case "command":
            return click.style(text, fg="cyan")
        case "aside":
            return click.style(text, dim=True)
        case _:
            return click.style(text, fg=_COLORS.get(kind)) if kind else text
