"""A diagnosis as lines to read: one finding a line, and wrapped where a terminal is narrow."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section, Severity

ORDER: Final[tuple[Severity, ...]] = ("problem", "warning", "note", "fine")
_INDENT: Final = "    "
FINE_MARKS: Final[Mapping[Severity, str]] = dict(zip(ORDER, "✗!·✓", strict=True))
PLAIN_MARKS: Final[Mapping[Severity, str]] = dict(zip(ORDER, ("x", "!", "-", "ok"), strict=True))

Styled = tuple[str, str]
"""A piece of a line, and what it is: a severity, title, aside, command, or nothing."""


@dataclass(frozen=True, slots=True)
class LineStyle:
    """How lines are made."""

    width: int | None
    """None for lines of any length, as programs read them."""
    marks: Mapping[Severity, str]
    arrow: str
    home: str
    """What ~ stands for."""

    def shorten(self, text: str) -> str:
        return text.replace(f"{self.home}/", "~/") if self.home not in ("", "/") else text

    def wrap(self, text: str, indent: int) -> list[str]:
        if self.width is None:
            return [text]
        width = max(self.width - indent, 20)
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def lines_of(diagnosis: Diagnosis, style: LineStyle) -> Iterator[list[Styled]]:
    """The diagnosis, section by section."""
    for section in diagnosis.sections:
        if section.findings:
            yield _title(section, style)
            for found in sorted(section.findings, key=lambda each: ORDER.index(each.severity)):
                yield from _finding(found, style)
            yield []


def summary(diagnosis: Diagnosis) -> list[Styled]:
    """How it stands, in a line."""
    counted: list[Styled] = []
    for severity in ORDER[:2]:
        if count := diagnosis.count(severity):
            counted += [(", ", "")] if counted else []
            counted.append((f"{count} {severity}{'s' if count > 1 else ''}", severity))
    return [*counted, (".", "")] if counted else [("All is well.", "fine")]


def _title(section: Section, style: LineStyle) -> list[Styled]:
    file = f"  {style.shorten(section.file)}" if section.file else ""
    scope = f" ({section.scope})" if section.scope not in ("", "user") else ""
    return [(section.title + scope, "title"), (file, "aside")]


def _finding(found: Finding, style: LineStyle) -> Iterator[list[Styled]]:
    mark = f"  {style.marks[found.severity]} "
    said = style.shorten(found.what) + (f"; {found.why}" if found.why else "")
    rows = style.wrap(said, len(mark))
    kind = "aside" if found.severity == "fine" else ""
    lines: list[list[Styled]] = [[(_INDENT + row, kind)] for row in rows]
    lines[0] = [(mark, found.severity), (rows[0], kind)]
    if found.mend:
        command: Styled = (f"{style.arrow} {found.mend}", "command")
        if style.width is None or len(mark) + len(rows[-1]) + 1 + len(command[0]) <= style.width:
            lines[-1] += [(" ", ""), command]
        else:
            lines.append([(_INDENT, ""), command])
    yield from lines
