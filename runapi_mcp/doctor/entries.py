"""What hosts' files say of this server: every entry that starts it, and those beside it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from runapi_mcp.doctor.reading import as_mapping, as_texts, as_variables
from runapi_mcp.errors import Failure
from runapi_mcp.hosts.files import MOST_BYTES
from runapi_mcp.hosts.installing import file_of
from runapi_mcp.hosts.places import Machine
from runapi_mcp.hosts.starting import starts_us
from runapi_mcp.hosts.table import NAME, HostConfig, Http
from runapi_mcp.texts import Broken, understood

Scope = Literal["user", "project", "local"]
"""`local` is Claude Code's: one project, in the user's file."""

_RUNAPIS_OWN: Final = re.compile(r"@runapi|runapi\.ai", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Configured:
    """One entry of a host's file."""

    host: HostConfig
    scope: Scope
    path: Path
    name: str
    entry: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def inner(self) -> Mapping[str, object]:
        """The entry without what it is wrapped in."""
        return as_mapping(self.entry.get(self.host.wrapped)) or self.entry

    @property
    def words(self) -> tuple[str, ...]:
        """The command, as it is written."""
        shape = self.host.stdio
        keys = [key for key in (shape.command, shape.args) if key]
        return tuple(word for key in keys for word in as_texts(self.inner.get(key)))

    @property
    def url(self) -> str:
        """The address to connect to; empty for a command."""
        found = self.inner.get((self.host.http or Http()).url)
        return found if isinstance(found, str) else ""

    @property
    def env(self) -> dict[str, str]:
        return as_variables(self.inner.get(self.host.stdio.env))

    @property
    def headers(self) -> dict[str, str]:
        return as_variables(self.inner.get((self.host.http or Http()).headers or ""))

    @property
    def handed_on(self) -> tuple[str, ...]:
        """The variables that it asks the host to hand on."""
        names = self.host.stdio.names
        return as_texts(self.entry.get(names)) if names else ()

    @property
    def is_off(self) -> bool:
        return self.entry.get("enabled") is False or self.entry.get("disabled") is True

    @property
    def is_ours(self) -> bool:
        """Whether it starts this program, or stands where this program does and might."""
        if starts_us(list(self.words)):
            return True
        return self.name == NAME and bool(self.url) and not self.is_runapis

    @property
    def is_runapis(self) -> bool:
        """Whether it is one of RunAPI's own servers."""
        reached = " ".join((*self.words, self.url))
        return not starts_us(list(self.words)) and _RUNAPIS_OWN.search(reached) is not None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A host's file that cannot be read, and so says nothing to the host either."""

    host: HostConfig
    scope: Scope
    path: Path
    why: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """One host's file as it was read: its servers, and everything else in it."""

    host: HostConfig
    path: Path
    everything: object = None
    entries: tuple[Configured, ...] = ()
    unreadable: Unreadable | None = None


def shelves_of(host: HostConfig, machine: Machine) -> list[Shelf]:
    """The files that a host reads here: the user's, and the project's where it has one."""
    try:
        paths: dict[Path, Scope] = {file_of(host, "user", machine): "user"}
        if host.project:
            paths.setdefault(file_of(host, "project", machine), "project")
    except Failure:
        return []  # without a home there are no files
    return [_shelf(host, scope, path, machine) for path, scope in paths.items() if path.exists()]


def _shelf(host: HostConfig, scope: Scope, path: Path, machine: Machine) -> Shelf:
    try:
        everything = _read(host, path)
    except Broken as broken:
        unreadable = Unreadable(host, scope, path, broken.why, broken.line)
        return Shelf(host, path, unreadable=unreadable)
    found = [*_entries(host, scope, path, everything)]
    if host.name == "claude-code" and scope == "user":
        found += _of_this_project(host, path, everything, machine)
    return Shelf(host, path, everything, tuple(found))


def _read(host: HostConfig, path: Path) -> object:
    try:
        if path.stat().st_size > MOST_BYTES[host.dialect]:
            raise Broken("it is far larger than such a file is")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise Broken(error.strerror or "it cannot be read") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Broken("it is not UTF-8", line) from error
    return understood(text, host.dialect).value


def _entries(
    host: HostConfig, scope: Scope, path: Path, everything: object
) -> Iterator[Configured]:
    servers = as_mapping(everything)
    for key in host.container:
        servers = as_mapping(servers.get(key))
    for name, entry in servers.items():
        yield Configured(host, scope, path, name, as_mapping(entry))


def _of_this_project(
    host: HostConfig, path: Path, everything: object, machine: Machine
) -> Iterator[Configured]:
    projects = as_mapping(as_mapping(everything).get("projects"))
    yield from _entries(host, "local", path, projects.get(machine.directory))
