"""What the doctor found, as data: findings, by sections, for people and programs."""

import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from runapi_mcp.base.identity import ISSUES

Severity = Literal["fine", "note", "warning", "problem"]
"""A problem keeps the tools from working; a warning will cost somebody time later."""
Remedy = Literal["install", "protect"]
"""What --fix may do: install again over an older entry, or close a file to others."""

REPORT_COMMAND: Final = f"report it at {ISSUES}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is, why it matters, and the command that mends it."""

    check: str
    """What was looked at, in one word."""
    severity: Severity
    what: str
    why: str = ""
    mend: str = ""
    remedy: Remedy | None = None
    of_entry: bool = False
    """Whether it is told with one host's entry, whatever others share."""

    def as_dict(self) -> dict[str, str]:
        facts = {name: getattr(self, name) for name in ("check", "severity", "what", "why", "mend")}
        return {name: text for name, text in facts.items() if text}


def problem(check: str, what: str, why: str, mend: str, remedy: Remedy | None = None) -> Finding:
    return Finding(check, "problem", what, why, mend, remedy)


def warning(check: str, what: str, why: str, mend: str, remedy: Remedy | None = None) -> Finding:
    return Finding(check, "warning", what, why, mend, remedy)


def note(check: str, what: str, why: str = "", mend: str = "") -> Finding:
    return Finding(check, "note", what, why, mend)


def fine(check: str, what: str) -> Finding:
    return Finding(check, "fine", what)


def of_entry(found: Finding) -> Finding:
    """The same finding, about one host's entry alone."""
    return replace(found, of_entry=True)


@dataclass(slots=True)
class Section:
    """The findings about one host's entry, or about this machine."""

    title: str
    file: str = ""
    host: str = ""
    scope: str = ""
    entry: str = ""
    """What the entry is called in that file."""
    findings: list[Finding] = field(default_factory=list[Finding])

    def add(self, findings: Iterable[Finding]) -> None:
        """Add what is not said yet."""
        for found in findings:
            if found not in self.findings:
                self.findings.append(found)

    @contextmanager
    def telling_crashes(self) -> Generator[None]:
        """What nobody thought of becomes a finding here, and ends nothing else."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - one odd entry must not hide what others have
            self.add([_crash(error)])

    @property
    def place(self) -> tuple[str, str, str, str]:
        """The same for sections about the same."""
        return self.host, self.scope, self.file, self.entry

    @property
    def remedies(self) -> set[Remedy | None]:
        return {found.remedy for found in self.findings}

    def as_dicts(self) -> list[dict[str, str]]:
        about = zip(
            ("about", "host", "scope", "file", "entry"), (self.title, *self.place), strict=True
        )
        named = {name: text for name, text in about if text}
        return [named | found.as_dict() for found in self.findings]


def _crash(error: Exception) -> Finding:
    """Where the doctor's own code failed, and nothing of what it was about."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
    what = f"doctor itself failed here: {where}"
    return problem("doctor", what, "the rest of this was not looked at", REPORT_COMMAND)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    sections: tuple[Section, ...]

    def count(self, severity: Severity) -> int:
        found = (each for section in self.sections for each in section.findings)
        return sum(each.severity == severity for each in found)

    @property
    def is_fine(self) -> bool:
        return not self.count("problem")
