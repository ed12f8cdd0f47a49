"""What a host would start or connect to for an entry: the very words, environment and directory."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import CALL_SECONDS
from runapi_mcp.base.hosts.launch_environment import fill_in, handed_on, without_secrets
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.settings.values import is_leftover
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
        return shutil.which(self._named(), path=self.environ.get("PATH") or os.devnull)

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
    lacks_key: bool = False
    """Whether the entry names a variable for the key, and none is in the host's environment."""

    @property
    def identity(self) -> tuple[object, ...]:
        return self.url, *sorted(self.headers.items())


def plan_launch(entry: ConfigEntry, machine: Machine) -> LaunchPlan | ConnectPlan:
    allowed_seconds = _allowed_seconds(entry, machine)
    if entry.url:
        named = _headers(entry, machine)
        sent = {name: text for name, text in named.items() if not _is_unfilled(text)}
        return ConnectPlan(entry.url, sent, allowed_seconds, lacks_key=len(sent) < len(named))
    words = tuple(_filled(word, entry, machine) for word in entry.words)
    environ = environment_of(entry, machine)
    if entry.is_of_project:
        # Whoever wrote it gets no secret by a person's yes to its words.
        environ = without_secrets(environ)
    environ |= {"PATH": machine.safe_path(environ.get("PATH", ""))}
    return LaunchPlan(words, environ, _directory(entry, machine), allowed_seconds)


def environment_of(entry: ConfigEntry, machine: Machine) -> dict[str, str]:
    """What the host's server finds in its environment.

    Of what a project's file sets, only our own settings: else it would decide what runs.
    """
    environ, host = machine.environ, entry.host
    by_own_name = (
        (name for name, text in entry.env.items() if host.reference % name == text)
        if host.reference
        else ()
    )
    named = {name: environ[name] for name in (*entry.handed_on, *by_own_name) if name in environ}
    given = {
        name: _filled(text, entry, machine)
        for name, text in entry.env.items()
        if name not in named and not (entry.is_of_project and not name.startswith("RUNAPI_"))
    }
    return handed_on(host.launch, machine) | named | given


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
    if entry.is_of_project:
        return {}
    if shape and shape.bearer:
        name = entry.inner.get(shape.bearer)
        key = machine.environ.get(name, "") if isinstance(name, str) else ""
        headers = {"Authorization": f"Bearer {key}"}
    return {name: fill_in(text, entry.host, machine.environ) for name, text in headers.items()}


def _is_unfilled(header: str) -> bool:
    key = header.removeprefix("Bearer").strip()
    return not key or is_leftover(key)


def _allowed_seconds(entry: ConfigEntry, machine: Machine) -> float:
    policy = entry.host.launch
    own = entry.seconds(policy.start_key)
    if own is not None:
        return own
    told = machine.environ.get(policy.start_variable, "")
    return float(told) / 1000 if told.isdecimal() else policy.start_seconds


def _directory(entry: ConfigEntry, machine: Machine) -> str:
    """Where it is started: never in the project, which may hold files that a program reads there,
    unless the project's own file is."""
    if entry.is_of_project:
        return str(Path(machine.directory) / entry.directory)
    named = fill_in(entry.directory, entry.host, machine.environ)
    return named or str(machine.locate("{home}"))


def _filled(text: str, entry: ConfigEntry, machine: Machine) -> str:
    """A text with the variables that it names: of a project's file, none."""
    return text if entry.is_of_project else fill_in(text, entry.host, machine.environ)
