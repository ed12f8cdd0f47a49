"""Putting this server into a host's file, and taking it out again."""

import difflib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path, PurePath
from typing import Literal, TypeVar

from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS, NAME, HostConfig, Scope
from runapi_mcp.base.texts import Broken, Entry, Surroundings, found, put, taken_out, understood
from runapi_mcp.base.texts import Path as Keys
from runapi_mcp.setup.install import host_file
from runapi_mcp.setup.install.hiding import hidden, plain_words_in, secrets_by_sight, secrets_in
from runapi_mcp.setup.install.host_entry import Wish, entry_of, updated
from runapi_mcp.setup.install.host_file import Opened
from runapi_mcp.setup.install.install_log import Receipt, Receipts
from runapi_mcp.setup.install.launchers import command_in
from runapi_mcp.setup.install.ownership import url_of, whose, words_of

Outcome = Literal["added", "updated", "already there", "removed", "not there", "restored"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to a host's file."""

    host: HostConfig
    opened: Opened
    outcome: Outcome
    text: str
    """The file's text afterwards."""
    receipt: Receipt
    """What is to be noted of it."""

    @property
    def changes_nothing(self) -> bool:
        same = self.opened.data is not None and self.text == self.opened.text
        return self.outcome in ("already there", "not there") or (
            self.outcome == "restored" and same
        )

    @property
    def entry(self) -> Entry | None:
        """What the file says of this server afterwards."""
        return found(self.text, self.host.dialect, keys_of(self.host))

    @property
    def deletes(self) -> bool:
        """Whether the file goes, which was made for the entry alone."""
        return self.outcome == "removed" and self.receipt.new_file and not self.text

    def diff(self) -> str:
        """The change as a unified diff that `patch` understands, but for secrets in it."""
        path = str(self.opened.path)
        before = "/dev/null" if self.opened.data is None else path
        after = "/dev/null" if self.deletes else path
        # No lines around it, which are other servers'.
        rows = difflib.unified_diff(_lines(self.opened.text), _lines(self.text), before, after, n=0)
        head, body = "".join(islice(rows, 2)), "".join(map(_whole, rows))
        return head + hidden(body, self._secrets())

    def _secrets(self) -> frozenset[str]:
        secrets, plain = frozenset[str](), frozenset[str]()
        for text in (self.opened.text, self.text):
            try:
                value = understood(text, self.host.dialect).value
            except Broken:
                secrets |= secrets_by_sight(text)
            else:
                secrets |= secrets_in(value, NAME)
                plain |= plain_words_in(value, NAME)
        return secrets - plain


_Made = TypeVar("_Made")
_NO_NEWLINE = "\\ No newline at end of file"


def keys_of(host: HostConfig) -> Keys:
    """Where in its file a host keeps this server."""
    return (*host.container, NAME)


def file_of(host: HostConfig, scope: Scope, machine: Machine) -> Path:
    """The file that a host reads: of those it would, the one with our entry, or else there.

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
    there = [path for path in paths if host_file.is_there(path)]
    if len(there) > 1:
        return next((path for path in there if _has_entry(host, path)), there[0])
    return (there or paths)[0]


def hosts_on(machine: Machine) -> list[HostConfig]:
    """The hosts that are found on a machine: their program, or what they keep."""
    return [host for host in HOSTS if _is_on(host, machine)]


def entry_in(host: HostConfig, path: Path) -> Entry | None:
    """What a host's file says of this server.

    Raises:
        NotConfigured: the file cannot be read.
    """
    opened = host_file.opened(path, host.dialect)
    return _read(host, opened)


def is_ours_in(host: HostConfig, entry: Entry, path: Path, receipts: Receipts) -> bool:
    """Whether an entry is ours: it says so, or is an address where install noted that it wrote."""
    said = whose(host, entry)
    if said == "another's" and url_of(host, entry):
        return receipts.has(Path(os.path.realpath(path)))
    return said == "ours"


def plan_install(host: HostConfig, path: Path, wish: Wish, receipts: Receipts) -> Change:
    """What installing would do.

    Raises:
        NotConfigured: the file cannot be read, or not be changed without harm.
        Refused: the host cannot say this, or has another server of this name.
    """
    opened, entry = host_file.opened(path, host.dialect), entry_of(host, wish)
    older = _read(host, opened)
    if older is not None:
        _refuse_another(host, older, opened.path, receipts)
        _refuse_unclear(host, older, opened.path)
        entry = updated(host, older, entry)
    text, around = _edited(opened, lambda: put(opened.text, host.dialect, keys_of(host), entry))
    if older is None:
        return _checked(Change(host, opened, "added", text, _receipt(opened, text, around)))
    outcome: Outcome = "already there" if text == opened.text else "updated"
    receipt = replace(receipts.of(opened.path), sha256=_sum(opened, text))
    return _checked(Change(host, opened, outcome, text, receipt))


def plan_uninstall(host: HostConfig, path: Path, receipts: Receipts) -> Change:
    """What uninstalling would do.

    Raises:
        NotConfigured: as for installing.
        Refused: as for installing.
    """
    opened = host_file.opened(path, host.dialect)
    older = _read(host, opened)
    receipt = receipts.of(opened.path)
    if older is None:
        return Change(host, opened, "not there", opened.text, receipt)
    _refuse_another(host, older, opened.path, receipts)
    text = _edited(
        opened, lambda: taken_out(opened.text, host.dialect, keys_of(host), receipt.around)
    )
    return _checked(Change(host, opened, "removed", text, receipt))


def plan_restore(host: HostConfig, path: Path, receipts: Receipts) -> Change:
    """What putting the newest backup back would do.

    Raises:
        NotConfigured: there is none, or one of the files cannot be read.
    """
    opened, backup = host_file.opened(path, host.dialect), host_file.newest_backup(path)
    if backup is None:
        raise NotConfigured(f"{path} has no backup to put back.", "Uninstall without --restore.")
    was = host_file.opened(backup, host.dialect)
    restored = replace(opened, bom=was.bom)
    return _checked(Change(host, restored, "restored", was.text, receipts.of(opened.path)))


def apply(change: Change, receipts: Receipts) -> Path | None:
    """Makes a change; returns the backup of what was there.

    Raises:
        NotConfigured: it cannot be written; then all is as it was.
    """
    if change.changes_nothing:
        return None
    if change.outcome == "restored":
        return host_file.replace(change.opened, change.text)
    path = change.opened.path
    before = receipts.of(path) if receipts.has(path) else None
    # First, so that an entry without its note cannot be; a note without its entry does no harm.
    receipts.note(path, change.receipt)
    try:
        backup = _made(change)
    except NotConfigured:
        _put_back(receipts, path, before)
        raise
    if change.outcome == "removed":
        _put_back(receipts, path, None)
    return backup


def _made(change: Change) -> Path | None:
    if not change.deletes:
        return host_file.replace(change.opened, change.text)
    is_mine = change.receipt.is_of(change.opened.data)
    # What somebody wrote into it since is not ours to lose.
    backup = None if is_mine else host_file.back_up(change.opened)
    host_file.delete(change.opened, tuple(map(Path, change.receipt.folders)))
    return backup


def _put_back(receipts: Receipts, path: Path, receipt: Receipt | None) -> None:
    with suppress(NotConfigured):
        receipts.strike(path) if receipt is None else receipts.note(path, receipt)


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


def _receipt(opened: Opened, text: str, around: Surroundings) -> Receipt:
    new = opened.data is None
    folders = tuple(map(str, host_file.missing_folders(opened.path))) if new else ()
    return Receipt(around, new, folders, _sum(opened, text))


def _sum(opened: Opened, text: str) -> str:
    return sha256(host_file.as_bytes(opened, text)).hexdigest()


def _checked(change: Change) -> Change:
    """A change that can be made, as far as can be told without making it."""
    host_file.as_bytes(change.opened, change.text)
    if change.opened.is_read_only and not change.changes_nothing:
        raise NotConfigured(
            f"{change.opened.path} is read-only.", "Make it writable, or leave it as it is."
        )
    return change


def _refuse_another(host: HostConfig, older: Entry, path: Path, receipts: Receipts) -> None:
    if not is_ours_in(host, older, path, receipts):
        happened = f"{path} has another server called {NAME}."
        raise Refused(happened, "Give it another name there, then try again.")


def _refuse_unclear(host: HostConfig, older: Entry, path: Path) -> None:
    words = words_of(host, older)
    command = command_in(words)
    if command is not None and not command.is_clear:
        raise Refused(
            f"{path} starts this server by way of {words[0]}, and how is not understood here.",
            f"It was left as it is. To replace it: uninstall {host.name}, then install again.",
        )


def _has_entry(host: HostConfig, path: Path) -> bool:
    try:
        return entry_in(host, path) is not None
    except NotConfigured:
        return False


def _user_folder(host: HostConfig, machine: Machine) -> PurePath:
    moved = machine.environ.get(host.moved_by, "").strip() if host.moved_by else ""
    if moved:
        return machine.path(machine.directory) / moved
    return machine.placed(host.folder_on(machine.platform))


def _is_on(host: HostConfig, machine: Machine) -> bool:
    signs = [Path(machine.placed(sign)) for sign in host.signs]
    if any(map(host_file.is_there, signs)) or any(map(machine.has_program, host.programs)):
        return True
    return bool(host.moved_by) and host_file.is_there(file_of(host, "user", machine))


def _whole(row: str) -> str:
    return row if row.endswith("\n") else f"{row}\n{_NO_NEWLINE}\n"


def _lines(text: str) -> list[str]:
    # Not splitlines, which also ends lines where diff and patch do not.
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
