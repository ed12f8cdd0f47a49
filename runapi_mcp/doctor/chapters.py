"""The findings in chapters: one for each entry, and one for what all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runapi_mcp.doctor import mends
from runapi_mcp.doctor.check_entries import shelf_findings, unreadable
from runapi_mcp.doctor.entries import Configured, Shelf
from runapi_mcp.doctor.findings import Chapter, Finding, note, problem, warning
from runapi_mcp.hosts.table import HostConfig


@dataclass(slots=True)
class Teller:
    """What is found about one entry, or about this program itself."""

    entry: Configured | None
    chapter: Chapter
    means: list[Finding] = field(default_factory=list[Finding])
    """What its environment gives, which others may share."""
    refusal: str = ""
    """What check_balance said."""


def ours_on(shelves: Sequence[Shelf]) -> list[Configured]:
    return [entry for shelf in shelves for entry in shelf.entries if entry.is_ours]


def chapters_of(host: HostConfig, shelves: Sequence[Shelf], *, named: bool) -> list[Chapter]:
    """A chapter for each entry of a host; else one that says why there is none."""
    chapters = [
        Chapter(host.title, str(entry.path), host.name, entry.scope) for entry in ours_on(shelves)
    ]
    for shelf in shelves:
        if shelf.unreadable:
            broken = Chapter(host.title, str(shelf.path), host.name, shelf.unreadable.scope)
            broken.add([unreadable(shelf.unreadable)])
            chapters.append(broken)
    among = list(shelf_findings(shelves))
    if not chapters and (named or any(found.severity != "note" for found in among)):
        chapters = [Chapter(host.title, host=host.name)]
        if not among:
            what = f"{host.title} has no entry for this server"
            among = [problem("entry", what, "its tools are not there", mends.install(host))]
    if chapters:
        chapters[0].add(among)
    return chapters


def chapter_of(entry: Configured, chapters: Sequence[Chapter]) -> Chapter:
    about = (entry.host.name, str(entry.path), entry.scope)
    return next(each for each in chapters if (each.host, each.where, each.scope) == about)


def shared(tellers: Sequence[Teller], chapter: Chapter) -> Chapter:
    """The chapter, with what is true of all environments; the rest goes to each one's own."""
    with_means = [teller for teller in tellers if teller.means]
    common = [
        found
        for found in (with_means[0].means if with_means else [])
        if all(found in teller.means for teller in with_means)
    ]
    chapter.add(common)
    for teller in tellers:
        teller.chapter.add(found for found in teller.means if found not in common)
        _add_refusal(teller)
    if any(teller.entry is None for teller in tellers):
        chapter.add([note("hosts", "no host has this server yet", mend=mends.INSTALL)])
    return chapter


def _add_refusal(teller: Teller) -> None:
    """What only the started server met: its environment is not this one."""
    accepted = any(found.check == "key" and found.severity == "fine" for found in teller.means)
    if teller.refusal and accepted:
        what = "RunAPI answers here, but not the server that this host starts"
        mend = mends.LOGIN if teller.entry is None else mends.install(teller.entry.host)
        said = teller.refusal.partition(". ")[0].rstrip(".")
        teller.chapter.add([warning("network", what, f"it says: {said}", mend)])
