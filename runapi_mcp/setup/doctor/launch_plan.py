"""What a host would start for an entry: the very words, environment and directory."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import CALL_SECONDS, LaunchPolicy
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.setup.doctor.configured import Configured
from runapi_mcp.setup.doctor.host_environment import around, filled_in
from runapi_mcp.setup.doctor.read_values import as_seconds

_TIMEOUTS: Final = ("timeout", "tool_timeout_sec")


@dataclass(frozen=True, slots=True)
class Start:
    """A start of a server."""

    words: tuple[str, ...]
    environ: Mapping[str, str]
    directory: str
    allowed_seconds: float
    """How long the host waits for the first answer."""

    @property
    def identity(self) -> tuple[object, ...]:
        """The same for starts that cannot differ."""
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
        """Whether it can begin where the host begins it."""
        return os.path.isdir(self.directory)  # noqa: PTH112 - as above

    def _named(self) -> str:
        word = self.words[0]
        return str(Path(self.directory) / word) if os.path.dirname(word) else word  # noqa: PTH120 - Path drops "./"


def start_of(configured: Configured, machine: Machine) -> Start:
    """How the entry's host starts it."""
    policy = configured.host.launch
    env = environment_of(configured, machine)
    words = tuple(_filled_in(configured, machine, word) for word in configured.words)
    return Start(
        words, env, _directory(configured, machine, policy), allowance(configured, machine)
    )


def environment_of(configured: Configured, machine: Machine) -> dict[str, str]:
    """What the host's server finds in its environment."""
    environ = machine.environ
    named = {name: environ[name] for name in configured.handed_on if name in environ}
    given = {name: _filled_in(configured, machine, value) for name, value in configured.env.items()}
    return around(configured.host.launch, machine) | named | given


def headers_of(configured: Configured, machine: Machine) -> dict[str, str]:
    """What the host sends along to the address of an entry."""
    headers = configured.headers
    shape = configured.host.http
    if shape and shape.bearer:
        name = configured.inner.get(shape.bearer)
        key = machine.environ.get(name, "") if isinstance(name, str) else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {name: _filled_in(configured, machine, text) for name, text in headers.items()}


def allowance(configured: Configured, machine: Machine) -> float:
    """How long the host waits for the first answer, in seconds."""
    policy = configured.host.launch
    own = as_seconds(configured.entry.get(policy.start_key)) if policy.start_key else None
    if own is not None:
        return own
    told = machine.environ.get(policy.start_variable, "") if policy.start_variable else ""
    return float(told) / 1000 if told.isdecimal() else policy.start_seconds


def call_seconds(configured: Configured) -> float | None:
    """How long the host lets a call go on, where the entry says it."""
    for key in _TIMEOUTS:
        unit = configured.host.stdio.last.get(key)
        found = as_seconds(configured.entry.get(key))
        if found is not None and isinstance(unit, int):
            return found * CALL_SECONDS / unit
    return None


def _directory(configured: Configured, machine: Machine, policy: LaunchPolicy) -> str:
    named = configured.inner.get("cwd")
    if isinstance(named, str) and named:
        return str(Path(machine.directory) / _filled_in(configured, machine, named))
    in_project = configured.scope != "user" or not policy.is_graphical
    return machine.directory if in_project else str(machine.locate("{home}"))


def _filled_in(configured: Configured, machine: Machine, text: str) -> str:
    keeps = configured.host.launch.keeps_unset
    reference = configured.host.reference
    return filled_in(text, reference, machine.environ, keeps_unset=keeps)
