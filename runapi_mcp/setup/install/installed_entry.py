"""This server's entry as a host's file has it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host
from runapi_mcp.base.texts import KeyPath, ServerEntry, UnusableText, put_entry, read_entry
from runapi_mcp.setup.install.host_entry import entry_url, owner_of
from runapi_mcp.setup.install.host_file import HostFile, read_host_file
from runapi_mcp.setup.install.install_log import InstallLog


def entry_path(host: Host) -> KeyPath:
    """Where in its file a host keeps this server."""
    return (*host.container, ENTRY_NAME)


def entry_text(host: Host, entry: ServerEntry, text: str = "") -> str:
    """A host's file with this entry, as text: with nothing else in it, for pasting."""
    return put_entry(text, host.dialect, entry_path(host), entry)[0]


def installed_entry(host: Host, path: Path, project: Path | None = None) -> ServerEntry | None:
    """What a host's file says of this server; raises as reading the file does."""
    return entry_in(host, read_host_file(path, host.dialect, project))


def entry_in(host: Host, file: HostFile) -> ServerEntry | None:
    with naming_file(file):
        return read_entry(file.text, host.dialect, entry_path(host))


def is_ours_in(host: Host, entry: ServerEntry, path: Path, log: InstallLog) -> bool:
    """Whether an entry is ours: it says so, or is an address where install noted that it wrote."""
    owner = owner_of(host, entry)
    if owner == "another's" and entry_url(host, entry):
        return log.has(Path(os.path.realpath(path)))
    return owner == "ours"


@contextmanager
def naming_file(file: HostFile) -> Generator[None]:
    """Turns what cannot be done with a text into a sentence about its file."""
    try:
        yield
    except UnusableText as error:
        where = f", line {error.line}" if error.line else ""
        raise NotConfigured(
            f"{file.path}{where}: {error.why}.",
            "It was left as it is; mend it, or take what --print gives and paste it yourself.",
        ) from error
