"""A report as lines to read: one finding a line, and wrapped where a terminal is narrow."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runapi_mcp.setup.doctor.findings import Chapter, Finding, Report, Severity

ORDER: Final[tuple[Severity, ...]] = ("problem", "warning", "note", "fine")
_INDENT: Final = "    "

Styled = tuple[str, str]
"""A piece of a line, and what it is: a severity, title, aside, command, or nothing."""


@dataclass(frozen=True, slots=True)
class Page:
    """How lines are made."""

    width: int | None
    """None for lines of any length, as programs read them."""
    marks: Mapping[Severity, str]
    arrow: str
    home: str
    """What ~ stands for."""


FINE_MARKS: Final[Mapping[Severity, str]] = {
    "problem": "✗",
    "warning": "!",
    "note": "·",
    "fine": "✓",
}
PLAIN_MARKS: Final[Mapping[Severity, str]] = {
    "problem": "x",
    "warning": "!",
    "note": "-",
    "fine": "ok",
}


def lines_of(report: Report, page: Page) -> Iterator[list[Styled]]:
    """The report, chapter by chapter."""
    for chapter in report.chapters:
        if chapter.findings:
            yield _title(chapter, page)
            for found in sorted(chapter.findings, key=lambda each: ORDER.index(each.severity)):
                yield from _finding(found, page)
            yield []


def summary(report: Report) -> list[Styled]:
    """How it stands, in a line."""
    counted = [
        (f"{count} {severity}{'s' if count > 1 else ''}", severity)
        for severity in ORDER[:2]
        if (count := report.count(severity))
    ]
    if not counted:
        return [("All is well.", "fine")]
    pieces: list[Styled] = []
    for piece in counted:
        pieces += [(", ", ""), piece] if pieces else [piece]
    return [*pieces, (".", "")]


def _title(chapter: Chapter, page: Page) -> list[Styled]:
    where = f"  {_spoken(chapter.where, page)}" if chapter.where else ""
    scope = f" ({chapter.scope})" if chapter.scope not in ("", "user") else ""
    return [(chapter.title + scope, "title"), (where, "aside")]


def _finding(found: Finding, page: Page) -> Iterator[list[Styled]]:
    mark = f"  {page.marks[found.severity]} "
    said = _spoken(found.what, page) + (f"; {found.why}" if found.why else "")
    *others, last = _wrapped(said, page, len(mark))
    style = "aside" if found.severity == "fine" else ""
    lines: list[list[Styled]] = [[(_INDENT + other, style)] for other in (*others, last)]
    lines[0] = [(mark, found.severity), ((*others, last)[0], style)]
    if found.mend:
        command: Styled = (f"{page.arrow} {found.mend}", "command")
        if page.width is None or len(mark) + len(last) + 1 + len(command[0]) <= page.width:
            lines[-1] += [(" ", ""), command]
        else:
            lines.append([(_INDENT, ""), command])
    yield from lines


def _wrapped(text: str, page: Page, indent: int) -> list[str]:
    if page.width is None:
        return [text]
    width = max(page.width - indent, 20)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _spoken(text: str, page: Page) -> str:
    return text.replace(f"{page.home}/", "~/") if page.home not in ("", "/") else text
