"""Which hosts a machine has, and the file that each reads."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.hosts.host import Host, InstallScope
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.setup.install.host_file import is_there
from runapi_mcp.setup.install.installed_entry import installed_entry


def host_file_path(host: Host, scope: InstallScope, machine: Machine) -> Path:
    """The file that a host reads: of those it would, the one with our entry, or else there.

    Raises:
        Refused: it has none of this scope.
    """
    if scope == "user":
        folder, names = _user_folder(host, machine), host.files
    elif host.project:
        folder, names = machine.path(machine.directory), host.project
    else:
        raise Refused(f"{host.title} reads no file of a project.", "Use --scope user.")
    # By way of text: a path of another platform keeps its own separators.
    paths = [Path(str(folder / name)) for name in names]
    there = [path for path in paths if is_there(path)]
    if len(there) > 1:
        return next((path for path in there if _has_entry(host, path)), there[0])
    return (there or paths)[0]


def detect_hosts(machine: Machine, hosts: Iterable[Host] = HOSTS) -> list[Host]:
    """The hosts that are found on a machine: their program, or what they keep."""
    return [host for host in hosts if _is_on(host, machine)]


def _has_entry(host: Host, path: Path) -> bool:
    try:
        return installed_entry(host, path) is not None
    except NotConfigured:
        return False


def _user_folder(host: Host, machine: Machine) -> PurePath:
    moved = machine.environ.get(host.folder_variable, "").strip()
    if moved:
        return machine.path(machine.directory) / moved
    return machine.locate(host.folder_on(machine.platform))


def _is_on(host: Host, machine: Machine) -> bool:
    signs = host.signs or (host.folder_on(machine.platform),)
    if any(is_there(Path(machine.locate(sign))) for sign in signs):
        return True
    programs = (host.name,) if host.programs is None else host.programs
    if any(map(machine.has_program, programs)):
        return True
    return bool(host.folder_variable) and is_there(host_file_path(host, "user", machine))
