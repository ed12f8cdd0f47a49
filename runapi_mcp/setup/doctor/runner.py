"""The whole look at a machine, in three phases: entries are read, servers probed, both judged."""

from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.base.redaction import Secrets
from runapi_mcp.orders.ledger.sqlite.survey import survey
from runapi_mcp.setup.doctor.findings import Diagnosis
from runapi_mcp.setup.doctor.judgement import judge
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan
from runapi_mcp.setup.doctor.probe import probe_address, probe_command
from runapi_mcp.setup.doctor.runapi_probe import ask_runapi
from runapi_mcp.setup.doctor.subjects import Inventory, Subject, take_inventory

BESIDES_SECONDS: Final = 8.0
"""What asking RunAPI and ending the servers may take besides."""

Question = TypeVar("Question", bound=Hashable)


async def diagnose(
    machine: Machine, named: Sequence[Host], wait_seconds: float
) -> tuple[Diagnosis, Secrets]:
    """All that is found about the named hosts; about each that has an entry, without names.

    And the secrets that must be hidden in it. A server may take `wait_seconds` to answer, whatever
    its host allows.
    """
    inventory = take_inventory(machine, named or HOSTS, wait_seconds)
    with anyio.move_on_after(wait_seconds + BESIDES_SECONDS) as limit:
        await _probe(inventory, wait_seconds)
    diagnosis = judge(inventory, named=bool(named), in_time=not limit.cancelled_caught)
    return diagnosis, inventory.secrets


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
