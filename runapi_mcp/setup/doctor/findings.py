"""What the doctor found, as data."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Severity = Literal["fine", "note", "warning", "problem"]
"""A problem keeps the tools from working; a warning will cost somebody time later."""
Remedy = Literal["install", "protect"]
"""What --fix may do: install again over an older entry, or close a file to others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at, in one word."""
    severity: Severity
    what: str
    why: str = ""
    """Why it matters."""
    mend: str = ""
    """The command that mends it."""
    remedy: Remedy | None = None
    of_entry: bool = False
    """Whether it is told with one host's entry, whatever others share."""

    def told(self) -> dict[str, str]:
        """Its facts; what it does not say is left out."""
        entries = {
            "check": self.check,
            "severity": self.severity,
            "what": self.what,
            "why": self.why,
            "mend": self.mend,
        }
        return {name: text for name, text in entries.items() if text}


def problem(check: str, what: str, why: str, mend: str, remedy: Remedy | None = None) -> Finding:
    """What keeps the tools from working."""
    return Finding(check, "problem", what, why, mend, remedy)


def warning(check: str, what: str, why: str, mend: str, remedy: Remedy | None = None) -> Finding:
    """What works, and should not stay."""
    return Finding(check, "warning", what, why, mend, remedy)


def note(check: str, what: str, why: str = "", mend: str = "") -> Finding:
    """What is worth knowing."""
    return Finding(check, "note", what, why, mend)


def fine(check: str, what: str) -> Finding:
    """What is as it should be."""
    return Finding(check, "fine", what)


def of_entry(found: Finding) -> Finding:
    """A finding that is about one host's entry alone."""
    return replace(found, of_entry=True)


@dataclass(slots=True)
class Chapter:
    """The findings about one host's entry, or about this machine."""

    title: str
    where: str = ""
    """The file that it is about."""
    host: str = ""
    scope: str = ""
    entry: str = ""
    """What the entry is called in that file."""
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what is not said yet."""
        self.findings += [found for found in findings if found not in self.findings]

    @property
    def place(self) -> tuple[str, str, str, str]:
        """The same for what is about the same."""
        return self.host, self.scope, self.where, self.entry

    def told(self) -> list[dict[str, str]]:
        about = {
            "about": self.title,
            "host": self.host,
            "scope": self.scope,
            "file": self.where,
            "entry": self.entry,
        }
        named = {name: text for name, text in about.items() if text}
        return [named | found.told() for found in self.findings]


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found."""

    chapters: tuple[Chapter, ...]

    def count(self, severity: Severity) -> int:
        found = (each for chapter in self.chapters for each in chapter.findings)
        return sum(each.severity == severity for each in found)

    @property
    def is_fine(self) -> bool:
        return not self.count("problem")
