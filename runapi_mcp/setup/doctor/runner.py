"""The whole look at a machine, in three phases: entries are read, servers probed, both judged."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.orders.ledger.sqlite.survey import survey
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.check_disk import check_disk
from runapi_mcp.setup.doctor.check_entries import (
    NO_TOOLS,
    check_entry,
    check_file,
    check_neighbours,
    note_neighbours,
)
from runapi_mcp.setup.doctor.check_key import (
    NO_KEY,
    check_acceptance,
    check_key,
    check_sent_key,
    check_settings,
    no_key_in,
)
from runapi_mcp.setup.doctor.check_network import check_answer, check_way
from runapi_mcp.setup.doctor.check_start import StartCheck
from runapi_mcp.setup.doctor.findings import Diagnosis, Finding, Section, note, problem, warning
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan
from runapi_mcp.setup.doctor.probe import probe_address, probe_command
from runapi_mcp.setup.doctor.runapi_probe import ask_runapi
from runapi_mcp.setup.doctor.subjects import Inventory, Subject, section_of

BESIDES_SECONDS: Final = 8.0
"""What asking RunAPI and ending the servers may take besides."""

Question = TypeVar("Question", bound=Hashable)


async def diagnose(inventory: Inventory, wait_seconds: float, *, named: bool) -> Diagnosis:
    """All that is found about what is looked at; where hosts are named, also about those without.

    A server may take `wait_seconds` to answer, whatever its host allows.
    """
    with anyio.move_on_after(wait_seconds + BESIDES_SECONDS) as limit:
        await _probe(inventory, wait_seconds)
    return _judge(inventory, named=named, in_time=not limit.cancelled_caught)


async def _probe(inventory: Inventory, wait_seconds: float) -> None:
    """Asks each question once, all at the same time, and gives every subject its answers."""
    is_offline, subjects = bool(inventory.obstacles), inventory.subjects
    asking = [each for each in subjects if each.runapi_question and not is_offline]
    for subject in subjects:
        if subject not in asking:
            subject.runapi_asked.set()
    async with anyio.create_task_group() as group:
        for same in _group((each.ledger_path, each) for each in subjects):
            group.start_soon(_survey_ledger, same)
        for same in _group((each.runapi_question, each) for each in asking):
            group.start_soon(_ask_runapi, same)
        for same in _group((each.plan.identity, each) for each in subjects if each.is_started):
            if not (is_offline and isinstance(same[0].plan, ConnectPlan)):
                group.start_soon(_start, same, wait_seconds)


def _group(asked: Iterable[tuple[Question | None, Subject]]) -> list[list[Subject]]:
    """Those together that have the same question."""
    groups: dict[Question, list[Subject]] = {}
    for question, subject in asked:
        if question is not None:
            groups.setdefault(question, []).append(subject)
    return list(groups.values())


async def _survey_ledger(subjects: Sequence[Subject]) -> None:
    path = subjects[0].ledger_path
    with subjects[0].section.telling_crashes():
        found = await anyio.to_thread.run_sync(survey, path or Path())
        for subject in subjects:
            subject.ledger = found


async def _ask_runapi(subjects: Sequence[Subject]) -> None:
    base_url, key = subjects[0].runapi_question or ("", "")
    with subjects[0].section.telling_crashes():
        answer = await ask_runapi(base_url, key)
        for subject in subjects:
            subject.runapi = answer
    for subject in subjects:
        subject.runapi_asked.set()


async def _start(subjects: Sequence[Subject], wait_seconds: float) -> None:
    first = subjects[0]
    with first.section.telling_crashes():
        if isinstance(first.plan, ConnectPlan):
            result = await probe_address(first.plan, wait_seconds)
        else:
            result = await probe_command(first.plan, wait_seconds, first.may_ask_balance)
        for subject in subjects:
            subject.result = result


def _judge(inventory: Inventory, *, named: bool, in_time: bool) -> Diagnosis:
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
    # Of a project's entry less is looked at.
    of_user = zip(inventory.subjects, findings, strict=True)
    common = _common([found for each, found in of_user if found and not each.is_of_project])
    machine.add(common)
    for subject, found in zip(inventory.subjects, findings, strict=True):
        with subject.section.telling_crashes():
            subject.section.add(_start_findings(subject, inventory))
        subject.section.add(_of_host(each, subject) for each in found if each not in common)
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
    if entry and isinstance(subject.plan, ConnectPlan) and subject.plan.lacks_key:
        yield check_sent_key(entry)
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
    if subject.is_here:
        yield from check_disk(server.settings, subject.ledger)


def _common(findings: Sequence[Sequence[Finding]]) -> list[Finding]:
    """What is true of all environments, and so of this machine."""
    first = findings[0] if findings else ()
    return [
        found
        for found in first
        if not found.of_entry and all(found in others for others in findings)
    ]


def _of_host(found: Finding, subject: Subject) -> Finding:
    """The finding; where others have a key, in words that tell whose server has none."""
    if found.what != NO_KEY or subject.entry is None:
        return found
    return replace(found, what=no_key_in(subject.entry.host))


def _refusal(subject: Subject, found: Sequence[Finding], inventory: Inventory) -> Iterator[Finding]:
    """What only the started server met: its environment is not this one."""
    refusal = subject.result.balance_refusal if subject.result else ""
    said = inventory.secrets.hide_in_foreign(refusal)
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
