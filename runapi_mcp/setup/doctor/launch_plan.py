"""What a host would start or connect to for an entry: the very words, environment and directory."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import CALL_SECONDS
from runapi_mcp.base.hosts.launch_environment import fill_in, handed_on
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry

_TIMEOUTS: Final = ("timeout", "tool_timeout_sec")


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    words: tuple[str, ...]
    environ: Mapping[str, str]
    directory: str
    allowed_seconds: float
    """How long the host waits for the first answer."""

    @property
    def identity(self) -> tuple[object, ...]:
        """The same for what need not be tried twice."""
        return self.words, self.directory, *sorted(self.environ.items())

    @property
    def program(self) -> str | None:
        """The program's path, where the host would find it; None where it would not."""
        if not self.words:
            return None
        return shutil.which(self._named(), path=self.environ.get("PATH", ""))

    @property
    def is_there(self) -> bool:
        """Whether there is a file of this name, executable or not."""
        return bool(self.words) and os.path.isfile(self._named())  # noqa: PTH113 - Path raises for what may not be seen

    @property
    def has_directory(self) -> bool:
        return os.path.isdir(self.directory)  # noqa: PTH112 - as above

    def _named(self) -> str:
        word = self.words[0]
        return str(Path(self.directory) / word) if os.path.dirname(word) else word  # noqa: PTH120 - Path drops "./"


@dataclass(frozen=True, slots=True)
class ConnectPlan:
    """How a server that runs elsewhere is connected to."""

    url: str
    headers: Mapping[str, str]
    allowed_seconds: float

    @property
    def identity(self) -> tuple[object, ...]:
        return self.url, *sorted(self.headers.items())


def plan_launch(entry: ConfigEntry, machine: Machine) -> LaunchPlan | ConnectPlan:
    allowed_seconds = _allowed_seconds(entry, machine)
    if entry.url:
        return ConnectPlan(entry.url, _headers(entry, machine), allowed_seconds)
    words = tuple(fill_in(word, entry.host, machine.environ) for word in entry.words)
    directory = _directory(entry, machine)
    return LaunchPlan(words, environment_of(entry, machine), directory, allowed_seconds)


def environment_of(entry: ConfigEntry, machine: Machine) -> dict[str, str]:
    """What the host's server finds in its environment."""
    environ = machine.environ
    named = {name: environ[name] for name in entry.handed_on if name in environ}
    given = {name: fill_in(value, entry.host, machine.environ) for name, value in entry.env.items()}
    return handed_on(entry.host.launch, machine) | named | given


def call_seconds(entry: ConfigEntry) -> float | None:
    """How long the host lets a call go on, where the entry says it."""
    for key in _TIMEOUTS:
        # What install writes there for CALL_SECONDS tells the unit.
        unit, found = entry.host.stdio.last.get(key), entry.seconds(key)
        if found is not None and isinstance(unit, int):
            return found * CALL_SECONDS / unit
    return None


def _headers(entry: ConfigEntry, machine: Machine) -> dict[str, str]:
    headers, shape = entry.headers, entry.host.http
    if shape and shape.bearer:
        name = entry.inner.get(shape.bearer)
        key = machine.environ.get(name, "") if isinstance(name, str) else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {name: fill_in(text, entry.host, machine.environ) for name, text in headers.items()}


def _allowed_seconds(entry: ConfigEntry, machine: Machine) -> float:
    policy = entry.host.launch
    own = entry.seconds(policy.start_key)
    if own is not None:
        return own
    told = machine.environ.get(policy.start_variable, "")
    return float(told) / 1000 if told.isdecimal() else policy.start_seconds


def _directory(entry: ConfigEntry, machine: Machine) -> str:
    named = entry.inner.get("cwd")
    if isinstance(named, str) and named:
        return str(Path(machine.directory) / fill_in(named, entry.host, machine.environ))
    in_project = entry.scope != "user" or not entry.host.launch.is_graphical
    return machine.directory if in_project else str(machine.locate("{home}"))
