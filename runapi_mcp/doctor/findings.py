"""What the doctor found, as data."""

from collections.abc import Iterable
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Chapter:
    """The findings about one host's entry, or about this machine."""

    title: str
    where: str = ""
    """The file that it is about."""
    host: str = ""
    scope: str = ""
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what is not said yet."""
        self.findings += [found for found in findings if found not in self.findings]

    def told(self) -> list[dict[str, str]]:
        about = {"about": self.title, "host": self.host, "scope": self.scope, "file": self.where}
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
