"""Putting this server into a host's file, and taking it out again."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal, TypeVar

from runapi_mcp.errors import NotConfigured, Refused
from runapi_mcp.hosts import files
from runapi_mcp.hosts.entries import Wish, entry_of, is_ours, starts_nothing, updated
from runapi_mcp.hosts.files import Opened
from runapi_mcp.hosts.places import Machine
from runapi_mcp.hosts.receipts import Receipt, Receipts
from runapi_mcp.hosts.table import HOSTS, NAME, HostConfig, Scope
from runapi_mcp.texts import Broken, Entry, Surroundings, found, put, taken_out
from runapi_mcp.texts import Path as Keys

Outcome = Literal["added", "updated", "already there", "removed", "not there", "restored"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to a host's file."""

    host: HostConfig
    opened: Opened
    outcome: Outcome
    text: str
    """The file's text afterwards."""
    receipt: Receipt | None = None
    """What is to be noted of it; None for nothing any more."""

    @property
    def changes_nothing(self) -> bool:
        return self.text == self.opened.text and self.outcome != "removed"

    @property
    def deletes(self) -> bool:
        """Whether the file goes, which was made for the entry alone."""
        return self.outcome == "removed" and self.receipt is not None and not self.text

    def diff(self) -> str:
        """The change as a unified diff that `patch` understands."""
        path = str(self.opened.path)
        before = "/dev/null" if self.opened.data is None else path
        after = "/dev/null" if self.deletes else path
        rows = difflib.unified_diff(_lines(self.opened.text), _lines(self.text), before, after)
        return "".join(row if row.endswith("\n") else f"{row}\n{_NO_NEWLINE}\n" for row in rows)


_Made = TypeVar("_Made")
_NO_NEWLINE = "\\ No newline at end of file"


def keys_of(host: HostConfig) -> Keys:
    """Where in its file a host keeps this server."""
    return (*host.container, NAME)


def file_of(host: HostConfig, scope: Scope, machine: Machine) -> Path:
    """The file that a host reads: of those it would, the one that is there.

    Raises:
        Refused: it has none of this scope.
    """
    if scope == "project":
        if not host.project:
            raise Refused(f"{host.title} reads no file of a project.", "Use --scope user.")
        folder, names = machine.path(machine.directory), host.project
    else:
        folder, names = _user_folder(host, machine), host.files
    # By way of text: a path of another platform keeps its own separators.
    paths = [Path(str(folder / name)) for name in names]
    return next((path for path in paths if path.exists()), paths[0])


def hosts_on(machine: Machine) -> list[HostConfig]:
    """The hosts that are found on a machine: their program, or what they keep."""
    return [host for host in HOSTS if _is_on(host, machine)]


def entry_in(host: HostConfig, path: Path) -> Entry | None:
    """What a host's file says of this server.

    Raises:
        NotConfigured: the file cannot be read.
    """
    opened = files.opened(path, host.dialect)
    return _read(host, opened)


def installed(host: HostConfig, path: Path, wish: Wish, receipts: Receipts) -> Change:
    """What installing would do.

    Raises:
        NotConfigured: the file cannot be read, or not be changed without harm.
        Refused: the host cannot say this, or has another server of this name.
    """
    opened, entry = files.opened(path, host.dialect), entry_of(host, wish)
    older = _read(host, opened)
    if older is not None:
        _refuse_another(host, older, opened.path, receipts)
        entry = updated(host, older, entry)
    text, around = _edited(opened, lambda: put(opened.text, host.dialect, keys_of(host), entry))
    if older is not None:
        outcome: Outcome = "already there" if text == opened.text else "updated"
        return Change(host, opened, outcome, text, receipts.of(opened.path))
    return Change(host, opened, "added", text, _receipt(opened, around))


def uninstalled(host: HostConfig, path: Path, receipts: Receipts) -> Change:
    """What uninstalling would do.

    Raises:
        NotConfigured: as for installing.
        Refused: as for installing.
    """
    opened = files.opened(path, host.dialect)
    older = _read(host, opened)
    if older is None:
        return Change(host, opened, "not there", opened.text)
    _refuse_another(host, older, opened.path, receipts)
    receipt = receipts.of(opened.path)
    text = _edited(
        opened, lambda: taken_out(opened.text, host.dialect, keys_of(host), receipt.around)
    )
    return Change(host, opened, "removed", text, receipt if receipt.new_file else None)


def restored(host: HostConfig, path: Path) -> tuple[Change, Path]:
    """What putting the newest backup back would do, and that backup.

    Raises:
        NotConfigured: there is none.
    """
    opened, backup = files.opened(path, host.dialect), files.newest_backup(path)
    if backup is None:
        raise NotConfigured(f"{path} has no backup.", "Nothing was changed.")
    was = files.opened(backup, host.dialect)
    return Change(host, replace(opened, bom=was.bom), "restored", was.text), backup


def carried_out(change: Change, receipts: Receipts) -> Path | None:
    """Makes a change; returns the backup of what was there.

    Raises:
        NotConfigured: it cannot be written.
    """
    path = change.opened.path
    if change.changes_nothing:
        return None
    backup = None
    if change.deletes and change.receipt:
        files.deleted(change.opened, tuple(map(Path, change.receipt.folders)))
    else:
        backup = files.replaced(change.opened, change.text)
    receipts.note(path, change.receipt if change.outcome in ("added", "updated") else None)
    return backup


def _read(host: HostConfig, opened: Opened) -> Entry | None:
    return _edited(opened, lambda: found(opened.text, host.dialect, keys_of(host)))


def _edited(opened: Opened, edit: Callable[[], _Made]) -> _Made:
    try:
        return edit()
    except Broken as broken:
        where = f", line {broken.line}" if broken.line else ""
        raise NotConfigured(
            f"{opened.path}{where}: {broken.why}.",
            "It was left as it is; mend it, or take what --print gives and paste it yourself.",
        ) from broken


def _receipt(opened: Opened, around: Surroundings) -> Receipt:
    new = opened.data is None
    folders = tuple(map(str, files.missing_folders(opened.path))) if new else ()
    return Receipt(around, new, folders)


def _refuse_another(host: HostConfig, older: Entry, path: Path, receipts: Receipts) -> None:
    if is_ours(host, older) or (receipts.has(path) and starts_nothing(host, older)):
        return
    raise Refused(
        f"{path} has another server called {NAME}.", "Give it another name there, then try again."
    )


def _user_folder(host: HostConfig, machine: Machine) -> PurePath:
    moved = machine.environ.get(host.moved_by, "").strip() if host.moved_by else ""
    if moved:
        return machine.path(machine.directory) / moved
    return machine.placed(host.folder_on(machine.platform))


def _is_on(host: HostConfig, machine: Machine) -> bool:
    signs = [Path(machine.placed(sign)) for sign in host.signs]
    if any(sign.exists() for sign in signs) or any(map(machine.has_program, host.programs)):
        return True
    return bool(host.moved_by) and file_of(host, "user", machine).exists()


def _lines(text: str) -> list[str]:
    # Not splitlines, which also ends lines where diff and patch do not.
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
