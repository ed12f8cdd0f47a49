"""The findings in chapters: one for each entry, and one for what all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runapi_mcp.base.hosts.host import ENTRY_NAME, Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.check_entries import note_findings, standing_findings, unreadable
from runapi_mcp.setup.doctor.configured import Configured, Shelf
from runapi_mcp.setup.doctor.findings import Chapter, Finding, note, problem, warning


@dataclass(slots=True)
class Teller:
    """What is found about one entry, or about this program itself."""

    entry: Configured | None
    chapter: Chapter
    means: list[Finding] = field(default_factory=list[Finding])
    """What its environment gives, which others may share."""
    refusal: str = ""
    """What check_balance said."""


def tellers_of(shelves: Sequence[Shelf]) -> list[Teller]:
    """One for each entry of ours among one host's."""
    ours = [entry for shelf in shelves for entry in shelf.entries if entry.is_ours]
    return [Teller(entry, _chapter(entry, ours)) for entry in ours]


def chapters_of(
    host: Host,
    shelves: Sequence[Shelf],
    tellers: Sequence[Teller],
    machine: Machine,
    *,
    named: bool,
) -> list[Chapter]:
    """A host's chapters: of its entries and broken files; else one that says why there is none."""
    own = [teller for teller in tellers if teller.chapter.host == host.name]
    chapters = {teller.chapter.place: teller.chapter for teller in own}
    ours = [teller.entry for teller in own if teller.entry]
    for shelf in shelves:
        if shelf.unreadable:
            broken = Chapter(host.title, str(shelf.path), host.name, shelf.unreadable.scope)
            broken.add([unreadable(shelf.unreadable, machine)])
            chapters[broken.place] = broken
    for entry, found in standing_findings(shelves):
        chapter = _chapter(entry, ours)
        chapters.setdefault(chapter.place, chapter).add([found])
    if not chapters and named:
        what = f"{host.title} has no entry for this server"
        lacking = problem("entry", what, "its tools are not there", fix_commands.install(host))
        chapters[host.name, "", "", ""] = Chapter(host.title, host=host.name, findings=[lacking])
    for chapter in list(chapters.values())[:1]:
        chapter.add(note_findings(shelves))
    return list(chapters.values())


def _chapter(entry: Configured, ours: Sequence[Configured]) -> Chapter:
    is_alone = [other.path for other in ours].count(entry.path) <= 1
    named = "" if is_alone and entry.name == ENTRY_NAME else f" “{entry.name}”"
    title = entry.host.title + named
    return Chapter(title, str(entry.path), entry.host.name, entry.scope, entry.name)


def shared(tellers: Sequence[Teller], chapter: Chapter) -> Chapter:
    """The chapter, with what is true of all environments; the rest goes to each one's own."""
    with_means = [teller for teller in tellers if teller.means]
    common = [
        found
        for found in (with_means[0].means if with_means else [])
        if not found.of_entry and all(found in teller.means for teller in with_means)
    ]
    chapter.add(common)
    for teller in tellers:
        teller.chapter.add(found for found in teller.means if found not in common)
        _add_refusal(teller)
    if any(teller.entry is None for teller in tellers):
        chapter.add([note("hosts", "no host has this server yet", mend=fix_commands.install())])
    return chapter


def _add_refusal(teller: Teller) -> None:
    """What only the started server met: its environment is not this one."""
    accepted = any(found.check == "key" and found.severity == "fine" for found in teller.means)
    if teller.refusal and accepted:
        what = "RunAPI answers here, but not the server that this host starts"
        mend = fix_commands.login() if teller.entry is None else fix_commands.renewed(teller.entry)
        said = teller.refusal.partition(". ")[0].rstrip(".")
        teller.chapter.add([warning("network", what, f"it says: {said}", mend)])
