"""What hosts' files say of this server: every entry that starts it, and those beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runapi_mcp.base.errors import Failure, NotConfigured
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host, Http
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.json_values import as_object
from runapi_mcp.base.texts import UnusableText, parse_text
from runapi_mcp.setup.doctor.read_values import as_texts, as_variables
from runapi_mcp.setup.doctor.shown_address import Address, address_of
from runapi_mcp.setup.install.host_file import read_host_file
from runapi_mcp.setup.install.installer import host_file_path
from runapi_mcp.setup.install.launchers import Command, command_in
from runapi_mcp.setup.install.ownership import command_words, entry_url, owner_of, unwrap_entry

Scope = Literal["user", "project", "local"]
"""`local` is Claude Code's: one project, in the user's file."""

Trouble = Literal["broken", "odd", "closed", "out of reach"]
"""Its text is none; it is no regular file; nobody may read it; there is no way to it."""


@dataclass(frozen=True, slots=True)
class Configured:
    """One entry of a host's file."""

    host: Host
    scope: Scope
    path: Path
    name: str
    entry: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def inner(self) -> Mapping[str, object]:
        """The entry without what it is wrapped in."""
        return unwrap_entry(self.host, self.entry)

    @property
    def words(self) -> tuple[str, ...]:
        """The command, as it is written."""
        return tuple(command_words(self.host, self.entry))

    @property
    def command(self) -> Command | None:
        """How the command starts this program; None where it does not."""
        return command_in(self.words)

    @property
    def url(self) -> str:
        """The address to connect to; empty for a command."""
        return entry_url(self.host, self.entry)

    @property
    def address(self) -> Address | None:
        """The address; None for a command, and for what is no address."""
        return address_of(self.url) if self.url else None

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
        if self.command:
            return True
        return self.name == ENTRY_NAME and bool(self.url) and not self.is_runapis

    @property
    def is_installs(self) -> bool:
        """Whether it is the one that install writes and uninstall takes out."""
        stands_there = self.name == ENTRY_NAME and self.scope != "local"
        return stands_there and owner_of(self.host, self.entry) == "ours"

    @property
    def is_renewable(self) -> bool:
        """Whether install takes it over, with what a user added to it."""
        return self.is_installs and (self.command is None or self.command.is_clear)

    @property
    def is_runapis(self) -> bool:
        """Whether it is one of RunAPI's own servers."""
        return owner_of(self.host, self.entry) == "RunAPI's own"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A host's file that cannot be read, and so says nothing to the host either."""

    host: Host
    scope: Scope
    path: Path
    trouble: Trouble
    what: str
    """What is wrong, and nothing of what stands in the file."""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """One host's file as it was read: its servers, and everything else in it."""

    host: Host
    path: Path
    everything: object = None
    entries: tuple[Configured, ...] = ()
    unreadable: Unreadable | None = None


def shelves_of(host: Host, machine: Machine) -> list[Shelf]:
    """The files that a host reads here: the user's, and the project's where it has one."""
    scopes: tuple[Scope, ...] = ("user", "project") if host.project else ("user",)
    shelves: dict[Path, Shelf] = {}
    for scope in scopes:
        shelf = _shelf(host, scope, machine)
        if shelf is not None:
            shelves.setdefault(shelf.path, shelf)
    return list(shelves.values())


def _shelf(host: Host, scope: Scope, machine: Machine) -> Shelf | None:
    try:
        path = host_file_path(host, "project" if scope == "project" else "user", machine)
        return _read(host, scope, path, machine) if _is_there(path) else None
    except Failure:
        return None  # without a home there are no files
    except OSError as error:
        path = Path(str(error.filename))
        return Shelf(host, path, unreadable=_unreached(host, scope, path, error))


def _is_there(path: Path) -> bool:
    # Not Path.exists, which says no or raises for what may not be seen, as Python's version has it.
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _read(host: Host, scope: Scope, path: Path, machine: Machine) -> Shelf:
    try:
        everything = parse_text(read_host_file(path, host.dialect).text, host.dialect).value
    except UnusableText as broken:
        unreadable = _broken(host, scope, path, broken)
    except NotConfigured as refusal:
        unreadable = _refused(host, scope, path, refusal)
    else:
        found = [*_entries(host, scope, path, everything)]
        if host.projects_key and scope == "user":
            found += _of_this_project(host, path, everything, machine)
        return Shelf(host, path, everything, tuple(found))
    return Shelf(host, path, unreadable=unreadable)


def _broken(host: Host, scope: Scope, path: Path, broken: UnusableText) -> Unreadable:
    where = f"line {broken.line}" if broken.line else "the file"
    return Unreadable(host, scope, path, "broken", f"{where} is broken: {broken.why}", broken.line)


def _refused(host: Host, scope: Scope, path: Path, refusal: NotConfigured) -> Unreadable:
    if isinstance(refusal.__cause__, OSError):
        return _unreached(host, scope, path, refusal.__cause__)
    trouble: Trouble = "broken" if path.is_file() else "odd"
    return Unreadable(host, scope, path, trouble, refusal.happened.rstrip("."))


def _unreached(host: Host, scope: Scope, path: Path, error: OSError) -> Unreadable:
    trouble: Trouble = "closed" if isinstance(error, PermissionError) else "out of reach"
    what = f"{path} cannot be read: {error.strerror}"
    return Unreadable(host, scope, path, trouble, what)


def _entries(host: Host, scope: Scope, path: Path, everything: object) -> Iterator[Configured]:
    servers = as_object(everything)
    for key in host.container:
        servers = as_object(servers.get(key))
    for name, entry in servers.items():
        # To YAML, a name may be a number.
        yield Configured(host, scope, path, str(name), as_object(entry))


def _of_this_project(
    host: Host, path: Path, everything: object, machine: Machine
) -> Iterator[Configured]:
    projects = as_object(as_object(everything).get(host.projects_key))
    yield from _entries(host, "local", path, projects.get(machine.directory))
