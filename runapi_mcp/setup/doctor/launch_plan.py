"""What a host would start or connect to for an entry: the very words, environment and directory."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import CALL_SECONDS, LaunchPolicy
from runapi_mcp.base.hosts.machine import Machine, Platform
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry

SYSTEM_PATH: Final[Mapping[Platform, str]] = {
    "linux": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "macos": "/usr/bin:/bin:/usr/sbin:/sbin",
}
"""What the desktop's programs have. On Windows they have the user's own."""

_FEW: Final = re.compile(
    r"HOME|LOGNAME|PATH|SHELL|USER|__CF_USER_TEXT_ENCODING|LANG|LC_ALL|TERM|TMPDIR|TZ"
    r"|APPDATA|COMSPEC|HOMEDRIVE|HOMEPATH|LOCALAPPDATA|PATHEXT|POWERSHELL|PROGRAMDATA"
    r"|PROGRAMFILES(\(X86\))?|PROGRAMW6432|PWSH|SYSTEMDRIVE|SYSTEMROOT|TEMP|TMP|USERDOMAIN"
    r"|USERNAME|USERPROFILE|WINDIR",
    re.IGNORECASE,
)
"""Codex's own list."""
_SESSION: Final = re.compile(
    r"HOME|LOGNAME|USER|SHELL|TMPDIR|TZ|LANG|LC_.*|DISPLAY|WAYLAND_DISPLAY|DBUS_.*|XDG_.*"
)
_SECRET: Final = re.compile(
    "TOKEN|SECRET|PASSWORD|PASSWD|KEY|AUTH|CREDENTIAL|CREDS|PRIVATE|CERT", re.IGNORECASE
)
"""Gemini CLI's own list of names that it holds back."""
_TIMEOUTS: Final = ("timeout", "tool_timeout_sec")


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How a program is started."""

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
    """What the entry's host does to have its server."""
    allowed_seconds = _allowed_seconds(entry, machine)
    if entry.url:
        return ConnectPlan(entry.url, _headers(entry, machine), allowed_seconds)
    words = tuple(_fill_in(entry, machine, word) for word in entry.words)
    directory = _directory(entry, machine)
    return LaunchPlan(words, environment_of(entry, machine), directory, allowed_seconds)


def environment_of(entry: ConfigEntry, machine: Machine) -> dict[str, str]:
    """What the host's server finds in its environment."""
    environ = machine.environ
    named = {name: environ[name] for name in entry.handed_on if name in environ}
    given = {name: _fill_in(entry, machine, value) for name, value in entry.env.items()}
    return _handed_on(entry.host.launch, machine) | named | given


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
    return {name: _fill_in(entry, machine, text) for name, text in headers.items()}


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
        return str(Path(machine.directory) / _fill_in(entry, machine, named))
    in_project = entry.scope != "user" or not entry.host.launch.is_graphical
    return machine.directory if in_project else str(machine.locate("{home}"))


def _handed_on(policy: LaunchPolicy, machine: Machine) -> dict[str, str]:
    """What a host hands on of its own accord."""
    environ = machine.environ
    match policy.hands_on:
        case "few":
            return {name: value for name, value in environ.items() if _FEW.fullmatch(name)}
        case "no secrets":
            return {name: value for name, value in environ.items() if not _SECRET.search(name)}
        case "session" if machine.platform in SYSTEM_PATH:
            kept = {name: value for name, value in environ.items() if _SESSION.fullmatch(name)}
            return kept | {"PATH": SYSTEM_PATH[machine.platform]}
        case _:
            return dict(environ)


def _fill_in(entry: ConfigEntry, machine: Machine, text: str) -> str:
    """A text with the host's references to variables replaced."""
    keeps_unset = entry.host.launch.keeps_unset

    def value(found: re.Match[str]) -> str:
        name, default = found["name"], found.groupdict().get("default")
        unset = found[0] if keeps_unset and default is None else default or ""
        return machine.environ.get(name) or unset

    for pattern in _reference_patterns(entry.host.reference):
        text = re.sub(pattern, value, text)
    return text


def _reference_patterns(reference: str) -> list[str]:
    name = r"(?P<name>[A-Za-z_]\w*)"
    match reference:
        case "":
            return []
        case "${%s}":
            return [rf"\$\{{{name}(?::-(?P<default>[^}}]*))?\}}"]
        case "$%s":
            return [rf"\$\{{{name}\}}", rf"\${name}"]
        case _:
            return [re.escape(reference).replace("%s", name)]
