"""What hosts' files say of this server: every entry that starts it, and those beside it."""

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from runapi_mcp.base.errors import Failure, NotConfigured
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host, Http
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.json_values import Json, as_list, as_number, as_object
from runapi_mcp.base.texts import UnusableText, parse_text
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.setup.install.host_entry import command_words, entry_url, owner_of, unwrap_entry
from runapi_mcp.setup.install.host_file import read_host_file
from runapi_mcp.setup.install.host_places import host_file_path
from runapi_mcp.setup.install.launchers import Command, guess_command

EntryScope = Literal["user", "project", "local"]
"""`local` is Claude Code's: one project, in the user's file."""

Unreadable = Literal["broken", "odd", "closed", "out of reach"]
"""Its text is none; it is no regular file; nobody may read it; there is no way to it."""


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One entry of a host's file. Who else wrote there may have written anything."""

    host: Host
    scope: EntryScope
    path: Path
    name: str
    fields: Json = field(default_factory=Json)

    @property
    def inner(self) -> Mapping[str, object]:
        """The entry without what it is wrapped in."""
        return unwrap_entry(self.host, self.fields)

    @property
    def words(self) -> tuple[str, ...]:
        """The command, as it is written."""
        return tuple(command_words(self.host, self.fields))

    @property
    def command(self) -> Command | None:
        """How the command seems to start this program; None where it does not."""
        return guess_command(self.words)

    @property
    def directory(self) -> str:
        """The directory to start in, as it is written; empty where it names none."""
        named = self.inner.get("cwd")
        return named if isinstance(named, str) else ""

    @property
    def is_of_project(self) -> bool:
        """Whether it stands in a file that came with a project, and so may be anybody's."""
        return self.scope == "project"

    @property
    def url(self) -> str:
        """The address to connect to; empty for a command."""
        return entry_url(self.host, self.fields)

    @property
    def address(self) -> httpx.URL | None:
        """The address without what may be secret in it; None for one nobody can connect to."""
        try:
            url = httpx.URL(self.url)
        except httpx.InvalidURL:
            return None
        can_be = url.scheme in ("http", "https") and url.host and 0 < (url.port or 80) < 65_536
        return url.copy_with(userinfo=b"", query=None, fragment=None) if can_be else None

    @property
    def is_safe(self) -> bool:
        """Whether nobody between can read what is sent to its address."""
        return self.url.startswith("https:") or is_loopback(self.url)

    @property
    def env(self) -> dict[str, str]:
        return _variables(self.inner.get(self.host.stdio.env))

    @property
    def headers(self) -> dict[str, str]:
        return _variables(self.inner.get((self.host.http or Http()).headers or ""))

    @property
    def handed_on(self) -> tuple[str, ...]:
        """The variables that it asks the host to hand on."""
        value = self.fields.get(self.host.stdio.names or "")
        return tuple(name for name in as_list(value) or [value] if isinstance(name, str))

    @property
    def is_off(self) -> bool:
        return self.fields.get("enabled") is False or self.fields.get("disabled") is True

    @property
    def is_ours(self) -> bool:
        """Whether it starts this program, or stands where this program does and might."""
        if self.command:
            return True
        return self.name == ENTRY_NAME and bool(self.url) and not self.is_runapis

    @property
    def is_installs(self) -> bool:
        """Whether it is the one that install writes and uninstall takes out."""
        stands_there = self.name == ENTRY_NAME and self.scope != "local"
        return stands_there and owner_of(self.host, self.fields) == "ours"

    @property
    def is_renewable(self) -> bool:
        """Whether install takes it over, with what a user added to it."""
        return self.is_installs and (self.command is None or self.command.is_clear)

    @property
    def is_runapis(self) -> bool:
        """Whether it is one of RunAPI's own servers."""
        return owner_of(self.host, self.fields) == "RunAPI's own"

    def seconds(self, key: str) -> float | None:
        """A duration that the entry sets, in the host's own unit."""
        return as_number(self.fields.get(key))


@dataclass(frozen=True, slots=True)
class McpConfig:
    """One host's file as it was read; one that cannot be says nothing to the host either."""

    host: Host
    scope: EntryScope
    path: Path
    content: object = None
    """All that stands in it, also of others."""
    entries: tuple[ConfigEntry, ...] = ()
    unreadable: Unreadable | None = None
    what: str = ""
    """Why it cannot be read, and nothing of what stands in it."""
    line: int | None = None


def read_configs(host: Host, machine: Machine) -> list[McpConfig]:
    """The files that a host reads here: the user's, and the project's where it has one."""
    scopes: tuple[EntryScope, ...] = ("user", "project") if host.project else ("user",)
    found = (_read_config(host, scope, machine) for scope in scopes)
    by_path: dict[Path, McpConfig] = {}
    for config in filter(None, found):
        by_path.setdefault(config.path, config)
    return list(by_path.values())


def is_odd(path: Path) -> bool:
    """Whether whoever reads what is there may wait for ever, as at a pipe or a terminal."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False  # reading says it at once
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _read_config(host: Host, scope: EntryScope, machine: Machine) -> McpConfig | None:
    try:
        path = host_file_path(host, "project" if scope == "project" else "user", machine)
        os.stat(path)  # noqa: PTH116 - exists() says no, or raises, for what may not be seen
    except (Failure, FileNotFoundError, NotADirectoryError):
        return None  # without a home there are no files, either
    except OSError as error:
        return _unreached(host, scope, Path(str(error.filename)), error)
    try:
        content = parse_text(read_host_file(path, host.dialect).text, host.dialect).value
    except UnusableText as broken:
        what = f"{f'line {broken.line}' if broken.line else 'the file'} is broken: {broken.why}"
        return McpConfig(host, scope, path, unreadable="broken", what=what, line=broken.line)
    except NotConfigured as refusal:
        if isinstance(refusal.__cause__, OSError):
            return _unreached(host, scope, path, refusal.__cause__)
        unreadable: Unreadable = "broken" if path.is_file() else "odd"
        what = refusal.happened.rstrip(".")
        return McpConfig(host, scope, path, unreadable=unreadable, what=what)
    entries = tuple(_entries(host, scope, path, content, machine))
    return McpConfig(host, scope, path, content, entries)


def _unreached(host: Host, scope: EntryScope, path: Path, error: OSError) -> McpConfig:
    unreadable: Unreadable = "closed" if isinstance(error, PermissionError) else "out of reach"
    what = f"{path} cannot be read: {error.strerror}"
    return McpConfig(host, scope, path, unreadable=unreadable, what=what)


def _entries(
    host: Host, scope: EntryScope, path: Path, content: object, machine: Machine
) -> Iterator[ConfigEntry]:
    yield from _servers(host, scope, path, content)
    if host.projects_key and scope == "user":
        projects = as_object(as_object(content).get(host.projects_key))
        yield from _servers(host, "local", path, projects.get(machine.directory))


def _servers(host: Host, scope: EntryScope, path: Path, content: object) -> Iterator[ConfigEntry]:
    servers = as_object(content)
    for key in host.container:
        servers = as_object(servers.get(key))
    for name, fields in servers.items():
        # To YAML, a name may be a number.
        yield ConfigEntry(host, scope, path, str(name), as_object(fields))


def _variables(value: object) -> dict[str, str]:
    """Variables and their values; numbers and switches as hosts write them out."""
    return {
        # To YAML, a name may be a number.
        str(name): str(inner).lower() if isinstance(inner, bool) else str(inner)
        for name, inner in as_object(value).items()
        if isinstance(inner, str | int | float)
    }
