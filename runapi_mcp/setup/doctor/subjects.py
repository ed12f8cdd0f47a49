"""What is looked at, read before anything is started or asked."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.redaction import LONG_SECRET, Secrets, secrets_in
from runapi_mcp.base.settings import config_path, read_config
from runapi_mcp.orders.ledger.sqlite.survey import LedgerSurvey
from runapi_mcp.setup.doctor.check_network import check_own_environment
from runapi_mcp.setup.doctor.check_start import check_plan
from runapi_mcp.setup.doctor.findings import Finding, Section
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan, LaunchPlan, environment_of, plan_launch
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry, McpConfig, read_configs
from runapi_mcp.setup.doctor.probe import ProbeResult
from runapi_mcp.setup.doctor.runapi_probe import RunapiAnswer
from runapi_mcp.setup.doctor.server_environment import ServerEnvironment, read_environment
from runapi_mcp.setup.doctor.start_rule import (
    can_be_looked_for,
    may_be_asked_about,
    why_only_read,
)

MayRun = Callable[[ConfigEntry, LaunchPlan], bool]
_LIKE_A_KEY: Final = re.compile(r"(?=\D*\d)[\w-]{16,}")


@dataclass(slots=True)
class Subject:
    """One entry of ours, or this program itself; and, once it was probed, what came of it.

    A project's entry is judged by reading: nobody is asked, and nothing on the disk looked at, in
    its name.
    """

    entry: ConfigEntry | None
    section: Section
    server: ServerEnvironment
    plan: LaunchPlan | ConnectPlan
    obstacle: Finding | None = None
    """Why its start need not be tried."""
    ledger: LedgerSurvey | None = None
    runapi: RunapiAnswer | None = None
    runapi_asked: anyio.Event = field(default_factory=anyio.Event)
    result: ProbeResult | None = None

    @property
    def ledger_path(self) -> Path | None:
        """Its ledger; None where it has none, or nobody can tell where."""
        settings = self.server.settings
        if not self.is_here or settings is None or settings.sandbox:
            return None
        try:
            return settings.ledger.locate() if settings.ledger.locate else None
        except Failure:
            return None

    @property
    def runapi_question(self) -> tuple[str, str] | None:
        """The address and key to ask RunAPI with; a server elsewhere has its own."""
        server = self.server
        return (server.base_url, server.key) if self.is_here and server.base_url else None

    @property
    def is_of_project(self) -> bool:
        return self.entry is not None and self.entry.is_of_project

    @property
    def is_here(self) -> bool:
        """Whether its server is this user's own, on this machine."""
        return isinstance(self.plan, LaunchPlan) and not self.is_of_project

    @property
    def is_started(self) -> bool:
        """Whether its host has a server from it at all."""
        if self.entry is None:
            return True
        can_connect = self.entry.address is not None and self.entry.is_safe
        return (
            (can_connect or not self.entry.url) and not self.entry.is_off and self.obstacle is None
        )

    async def may_ask_balance(self) -> bool:
        """Whether the started server should be let in as well, and asking it changes nothing."""
        if self.server.environ.get("RUNAPI_DAILY_BUDGET"):
            return False  # it would open the ledger
        await self.runapi_asked.wait()
        return self.runapi is not None and self.runapi.accepts_key


@dataclass(frozen=True, slots=True)
class Inventory:
    machine: Machine
    configs: Mapping[Host, Sequence[McpConfig]]
    subjects: Sequence[Subject]
    crashes: Mapping[Host, Section]
    """Where the doctor's own crashes at a host are told."""
    secrets: Secrets
    obstacles: Sequence[Finding]
    """What keeps this process from asking anybody."""


def take_inventory(
    machine: Machine, hosts: Sequence[Host], wait_seconds: float, may_run: MayRun
) -> Inventory:
    """Every entry of ours in the hosts' files; else this program itself.

    `may_run` asks a person whether a project's command is started.
    """
    crashes = {host: Section(host.title, host=host.name) for host in hosts}
    configs: dict[Host, Sequence[McpConfig]] = {}
    subjects: list[Subject] = []
    for host in hosts:
        with crashes[host].telling_crashes():
            configs[host] = read_configs(host, machine)
            ours = [each for config in configs[host] for each in config.entries if each.is_ours]
            for entry in ours:
                with crashes[host].telling_crashes():
                    subjects.append(_subject(entry, section_of(entry, ours), machine, may_run))
    if all(subject.is_of_project for subject in subjects):
        # So that this user's key, network and disk are looked at.
        subjects.append(_this_program(machine, wait_seconds))
    known = [*_known_secrets(machine, configs, subjects)]
    obstacles = [*check_own_environment(machine.environ)]
    return Inventory(machine, configs, subjects, crashes, Secrets(known, LONG_SECRET), obstacles)


def section_of(entry: ConfigEntry, ours: Sequence[ConfigEntry]) -> Section:
    """An empty section about an entry, which is named where it is not the usual one."""
    is_alone = [other.path for other in ours].count(entry.path) <= 1
    named = "" if is_alone and entry.name == ENTRY_NAME else f" “{entry.name}”"
    title = entry.host.title + named
    return Section(title, str(entry.path), entry.host.name, entry.scope, entry.name)


def _subject(entry: ConfigEntry, section: Section, machine: Machine, may_run: MayRun) -> Subject:
    server = read_environment(environment_of(entry, machine), machine.environ, entry)
    plan = plan_launch(entry, machine)
    obstacle = check_plan(plan, entry) if can_be_looked_for(entry) else None
    if obstacle is None and not _is_allowed(entry, plan, may_run):
        obstacle = why_only_read(entry, plan, machine)
    return Subject(entry, section, server, plan, obstacle)


def _is_allowed(entry: ConfigEntry, plan: LaunchPlan | ConnectPlan, may_run: MayRun) -> bool:
    if isinstance(plan, ConnectPlan) or entry.is_off:
        return False
    return may_be_asked_about(entry) and may_run(entry, plan)


def _this_program(machine: Machine, wait_seconds: float) -> Subject:
    environ, words = machine.environ, (sys.executable, "-P", "-m", "runapi_mcp")
    plan = LaunchPlan(words, dict(environ), machine.directory, wait_seconds)
    return Subject(None, Section("This program"), read_environment(environ, environ), plan)


def _known_secrets(
    machine: Machine, configs: Mapping[Host, Sequence[McpConfig]], subjects: Sequence[Subject]
) -> Iterator[str]:
    environ = machine.environ
    yield from secrets_in(dict(environ))
    yield from secrets_in(read_config(config_path(environ))[0])
    yield from (subject.server.key for subject in subjects)
    for config in (config for each in configs.values() for config in each):
        yield from secrets_in(config.content)
        for command in (entry.command for entry in config.entries):
            yield from filter(_LIKE_A_KEY.fullmatch, command.added if command else ())
