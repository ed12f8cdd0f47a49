"""Findings as a person reads them: by sections, worst first, each with what mends it."""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from runapi_mcp.base.redaction import Secrets
from runapi_mcp.cli.printing import can_write, writable
from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section, Severity

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


class FindingsView:
    def __init__(self, secrets: Secrets) -> None:
        self._style = _line_style(secrets)

    def say(self, title: str, what: str) -> None:
        """One line of its own."""
        _echo(click.style(title, bold=True) + self._style.clean(what))

    def say_all(self, diagnosis: Diagnosis) -> None:
        """What was found, and how much of it is wrong."""
        for section in diagnosis.sections:
            self.say_section(section)
        self.say_summary(diagnosis)

    def say_section(self, section: Section) -> None:
        """What was found there; nothing, where nothing was."""
        if section.findings:
            _echo(_title(section, self._style))
            for found in sorted(section.findings, key=lambda each: _ORDER.index(each.severity)):
                for line in _finding(found, self._style):
                    _echo(line)
            _echo("")

    def say_summary(self, diagnosis: Diagnosis) -> None:
        """How much is wrong of what was found."""
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
