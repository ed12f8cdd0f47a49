"""What was read and probed, judged: the findings by sections."""

from collections.abc import Iterator, Sequence

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.check_disk import check_disk
from runapi_mcp.setup.doctor.check_entries import (
    NO_TOOLS,
    check_entry,
    check_file,
    check_neighbours,
    note_neighbours,
)
from runapi_mcp.setup.doctor.check_key import check_acceptance, check_key, check_settings
from runapi_mcp.setup.doctor.check_network import check_answer, check_way
from runapi_mcp.setup.doctor.check_start import StartCheck
from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section, note, problem, warning
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan
from runapi_mcp.setup.doctor.subjects import Inventory, Subject, section_of


def judge(inventory: Inventory, *, named: bool, in_time: bool) -> Diagnosis:
    """The findings about this machine, and about each entry of the hosts.

    `named`: also about a host without one. `in_time`: whether probing came to its end.
    """
    machine = Section("This machine")
    machine.add(inventory.obstacles)
    if not in_time:
        what = "not everything was looked at in time"
        again = fix_commands.runapi("doctor HOST")
        machine.add([warning("time", what, "something here is very slow", again)])
    findings = [_environment_findings(subject) for subject in inventory.subjects]
    common = _common([found for found in findings if found])
    machine.add(common)
    for subject, found in zip(inventory.subjects, findings, strict=True):
        with subject.section.telling_crashes():
            subject.section.add(_start_findings(subject, inventory))
        subject.section.add(each for each in found if each not in common)
        subject.section.add(_refusal(subject, found, inventory))
    if inventory.subjects[0].entry is None:
        machine.add([note("hosts", "no host has this server yet", mend=fix_commands.install())])
    return Diagnosis((machine, *_sections(inventory, named=named), *inventory.crashes.values()))


def _start_findings(subject: Subject, inventory: Inventory) -> Iterator[Finding]:
    """What its entry says, and how its start went."""
    entry = subject.entry
    if entry:
        yield from check_entry(entry)
    if subject.obstacle and entry and not entry.is_off:
        yield subject.obstacle
    if subject.result:
        yield from StartCheck(subject.plan, subject.result, entry, inventory.secrets).findings()


def _environment_findings(subject: Subject) -> list[Finding]:
    """What its environment gives: settings, key, network, disk."""
    found: list[Finding] = []
    if not isinstance(subject.plan, ConnectPlan):
        with subject.section.telling_crashes():
            # What was found before a crash stays.
            found.extend(_check_environment(subject))
    return found


def _check_environment(subject: Subject) -> Iterator[Finding]:
    server, answer = subject.server, subject.runapi
    yield from check_settings(server)
    yield from check_key(server)
    yield from check_way(server)
    if answer:
        yield from check_answer(server, answer)
    if answer and answer.has_key:
        yield from check_acceptance(server, answer)
    yield from check_disk(server.settings, subject.ledger)


def _common(findings: Sequence[Sequence[Finding]]) -> list[Finding]:
    """What is true of all environments, and so of this machine."""
    first = findings[0] if findings else ()
    return [
        found
        for found in first
        if not found.of_entry and all(found in others for others in findings)
    ]


def _refusal(subject: Subject, found: Sequence[Finding], inventory: Inventory) -> Iterator[Finding]:
    """What only the started server met: its environment is not this one."""
    said = (
        inventory.secrets.hide_in_foreign(subject.result.balance_refusal) if subject.result else ""
    )
    accepted = any(each.check == "key" and each.severity == "fine" for each in found)
    if said and accepted:
        what = "RunAPI answers here, but not the server that this host starts"
        mend = fix_commands.renew(subject.entry) if subject.entry else fix_commands.login()
        yield warning("network", what, f"it says: {said.partition('. ')[0].rstrip('.')}", mend)


def _sections(inventory: Inventory, *, named: bool) -> Iterator[Section]:
    if inventory.subjects[0].entry is None:
        yield inventory.subjects[0].section
    for host in inventory.configs:
        sections: list[Section] = []
        with inventory.crashes[host].telling_crashes():
            sections = _host_sections(host, inventory)
        if not sections and named:
            what = f"{host.title} has no entry for this server"
            lacking = problem("entry", what, NO_TOOLS, fix_commands.install(host))
            sections = [Section(host.title, host=host.name, findings=[lacking])]
        yield from sections


def _host_sections(host: Host, inventory: Inventory) -> list[Section]:
    """A host's sections: of its entries and of files that nobody can read."""
    configs = inventory.configs[host]
    subjects = [each for each in inventory.subjects if each.section.host == host.name]
    sections = {subject.section.place: subject.section for subject in subjects}
    for config in configs:
        if config.unreadable:
            broken = Section(host.title, str(config.path), host.name, config.scope)
            broken.add(check_file(config, inventory.machine))
            sections[broken.place] = broken
    ours = [subject.entry for subject in subjects if subject.entry]
    for entry, found in check_neighbours(configs):
        section = section_of(entry, ours)
        sections.setdefault(section.place, section).add([found])
    for section in list(sections.values())[:1]:
        section.add(note_neighbours(configs))
    return list(sections.values())
