"""Putting this server into a host's file, and taking it out again."""

import difflib
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from io import StringIO
from itertools import islice
from pathlib import Path, PurePath
from typing import Final, Literal

from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host, InstallScope
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.base.json_values import as_object
from runapi_mcp.base.redaction import Secrets, plain_words_in, secrets_by_sight, secrets_in
from runapi_mcp.base.texts import (
    InsertionContext,
    KeyPath,
    ServerEntry,
    UnusableText,
    parse_text,
    put_entry,
    read_entry,
    remove_entry,
)
from runapi_mcp.setup.install.host_entry import (
    EntrySpec,
    command_words,
    entry_url,
    new_entry,
    owner_of,
    update_entry,
)
from runapi_mcp.setup.install.host_file import (
    HostFile,
    is_there,
    missing_folders,
    newest_backup,
    read_host_file,
)
from runapi_mcp.setup.install.install_log import InstallLog, InstallRecord
from runapi_mcp.setup.install.launchers import guess_command

ChangeOutcome = Literal["added", "updated", "already there", "removed", "not there", "restored"]

_NO_NEWLINE: Final = "\\ No newline at end of file"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to a host's file."""

    host: Host
    file: HostFile
    outcome: ChangeOutcome
    text: str
    """The file's text afterwards."""
    record: InstallRecord

    @property
    def changes_nothing(self) -> bool:
        if self.outcome == "restored":
            return self.file.data is not None and self.text == self.file.text
        return self.outcome in ("already there", "not there")

    @property
    def entry(self) -> ServerEntry | None:
        """What the file says of this server afterwards."""
        return read_entry(self.text, self.host.dialect, entry_path(self.host))

    @property
    def deletes(self) -> bool:
        """Whether the file goes, which was made for the entry alone."""
        return self.outcome == "removed" and self.record.new_file and not self.text

    def diff(self) -> str:
        """The change as a unified diff that `patch` understands, but for secrets in it."""
        path = str(self.file.path)
        before = "/dev/null" if self.file.data is None else path
        after = "/dev/null" if self.deletes else path
        # No lines around it, which are other servers'.
        rows = difflib.unified_diff(_lines(self.file.text), _lines(self.text), before, after, n=0)
        head, body = "".join(islice(rows, 2)), "".join(map(_whole, rows))
        return head + self._secrets().hide(body)

    def _secrets(self) -> Secrets:
        secrets, plain = set[str](), set[str]()
        for text in (self.file.text, self.text):
            try:
                value = parse_text(text, self.host.dialect).value
            except UnusableText:
                secrets.update(secrets_by_sight(text))
            else:
                secrets.update(secrets_in(value, ENTRY_NAME))
                plain.update(plain_words_in(value, ENTRY_NAME))
        return Secrets(secrets - plain)


def entry_path(host: Host) -> KeyPath:
    """Where in its file a host keeps this server."""
    return (*host.container, ENTRY_NAME)


def entry_text(host: Host, entry: ServerEntry, text: str = "") -> str:
    """A host's file with this entry, as text: with nothing else in it, for pasting."""
    return put_entry(text, host.dialect, entry_path(host), entry)[0]


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


def installed_entry(host: Host, path: Path, project: Path | None = None) -> ServerEntry | None:
    """What a host's file says of this server; raises as reading the file does."""
    return _entry_in(host, read_host_file(path, host.dialect, project))


def is_ours_in(host: Host, entry: ServerEntry, path: Path, log: InstallLog) -> bool:
    """Whether an entry is ours: it says so, or is an address where install noted that it wrote."""
    owner = owner_of(host, entry)
    if owner == "another's" and entry_url(host, entry):
        return log.has(Path(os.path.realpath(path)))
    return owner == "ours"


def plan_install(
    host: Host, path: Path, log: InstallLog, spec: EntrySpec, project: Path | None = None
) -> Change:
    """What installing would do, to a user's file or a project's.

    Raises:
        NotConfigured: the file cannot be read, or not be changed without harm.
        Refused: the host cannot say this, or has another server of this name.
    """
    file, entry = read_host_file(path, host.dialect, project), new_entry(host, spec)
    older = _entry_in(host, file)
    if older is not None:
        _refuse_another(host, older, file.path, log)
        _refuse_unclear(host, older, file.path)
        entry = update_entry(host, older, entry)
    with _naming(file):
        text, around = put_entry(file.text, host.dialect, entry_path(host), entry)
    if older is None:
        return _checked(Change(host, file, "added", text, _new_record(file, text, around)))
    outcome: ChangeOutcome = "already there" if text == file.text else "updated"
    record = replace(log.read(file.path), sha256=_sum(file, text))
    return _checked(Change(host, file, outcome, text, record))


def plan_uninstall(host: Host, path: Path, log: InstallLog, project: Path | None = None) -> Change:
    """What uninstalling would do; raises as `plan_install` does."""
    file = read_host_file(path, host.dialect, project)
    older, record = _entry_in(host, file), log.read(file.path)
    if older is None:
        return Change(host, file, "not there", file.text, record)
    _refuse_another(host, older, file.path, log)
    with _naming(file):
        text = remove_entry(file.text, host.dialect, entry_path(host), record.around)
    return _checked(Change(host, file, "removed", text, record))


def plan_restore(host: Host, path: Path, log: InstallLog, project: Path | None = None) -> Change:
    """What putting the newest backup back would do; raises as `plan_install` does."""
    file = read_host_file(path, host.dialect, project)
    backup = newest_backup(file)
    if backup is None:
        raise NotConfigured(f"{path} has no backup to put back.", "Uninstall without --restore.")
    was = read_host_file(backup, host.dialect, project)
    restored = replace(file, bom=was.bom)
    return _checked(Change(host, restored, "restored", was.text, log.read(file.path)))


def written_since(change: Change) -> str:
    """What a restored backup undoes besides this server's entry, as a diff; empty for nothing."""
    if change.file.data is None:
        return ""
    now, then = (_without_entry(change, text) for text in (change.file.text, change.text))
    if not change.record.sha256 and _others(change, now) == _others(change, then):
        # What uninstall left behind can only be told by what it means.
        return ""
    return replace(change, file=replace(change.file, text=now), text=then).diff()


def apply(change: Change, log: InstallLog) -> Path | None:
    """Makes a change; returns the backup of what was there.

    Raises:
        NotConfigured: it cannot be written; then all is as it was.
    """
    if change.changes_nothing:
        return None
    file = change.file
    if change.outcome == "restored":
        return file.replace(change.text)
    # First, so that an entry without its record cannot be. A record without its entry, such as a
    # failed write or a killed process leaves, does no harm, and the next install writes it anew.
    log.write(file.path, change.record)
    backup = _delete(change) if change.deletes else file.replace(change.text)
    if change.outcome == "removed":
        with suppress(NotConfigured):
            log.erase(file.path)
    return backup


def _without_entry(change: Change, text: str) -> str:
    dialect, path = change.host.dialect, entry_path(change.host)
    try:
        if read_entry(text, dialect, path) is None:
            return text
        return remove_entry(text, dialect, path, change.record.around)
    except UnusableText:
        return text


def _others(change: Change, text: str) -> object:
    """What a text says without this server's entry and what only leads to it."""
    try:
        return _pruned(parse_text(text, change.host.dialect).value, entry_path(change.host))
    except UnusableText:
        return text


def _pruned(value: object, path: KeyPath) -> object:
    name, *rest = path
    kept = dict(as_object(value))
    if name not in kept:
        return value
    below = kept.pop(name)
    inner = _pruned(below, tuple(rest)) if rest else None
    return {**kept, name: inner} if inner else kept


def _delete(change: Change) -> Path | None:
    is_mine = change.record.is_of(change.file.data)
    # What somebody wrote into it since is not ours to lose.
    backup = None if is_mine else change.file.back_up()
    change.file.delete(map(Path, change.record.folders))
    return backup


def _entry_in(host: Host, file: HostFile) -> ServerEntry | None:
    with _naming(file):
        return read_entry(file.text, host.dialect, entry_path(host))


@contextmanager
def _naming(file: HostFile) -> Generator[None]:
    """Turns what cannot be done with a text into a sentence about its file."""
    try:
        yield
    except UnusableText as error:
        where = f", line {error.line}" if error.line else ""
        raise NotConfigured(
            f"{file.path}{where}: {error.why}.",
            "It was left as it is; mend it, or take what --print gives and paste it yourself.",
        ) from error


def _new_record(file: HostFile, text: str, around: InsertionContext) -> InstallRecord:
    new = file.data is None
    folders = tuple(map(str, missing_folders(file.path))) if new else ()
    return InstallRecord(around, new, folders, _sum(file, text))


def _sum(file: HostFile, text: str) -> str:
    return sha256(file.encode(text)).hexdigest()


def _checked(change: Change) -> Change:
    """A change that can be made, as far as can be told without making it."""
    change.file.encode(change.text)
    if not change.file.mode & 0o222 and not change.changes_nothing:
        happened = f"{change.file.path} is read-only."
        raise NotConfigured(happened, "Make it writable, or leave it as it is.")
    return change


def _refuse_another(host: Host, older: ServerEntry, path: Path, log: InstallLog) -> None:
    if not is_ours_in(host, older, path, log):
        happened = f"{path} has another server called {ENTRY_NAME}."
        raise Refused(happened, "Give it another name there, then try again.")


def _refuse_unclear(host: Host, older: ServerEntry, path: Path) -> None:
    words = command_words(host, older)
    command = guess_command(words)
    if command is not None and not command.is_clear:
        raise Refused(
            f"{path} starts this server by way of {words[0]}, and how is not understood here.",
            f"It was left as it is. To replace it: uninstall {host.name}, then install again.",
        )


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


def _whole(row: str) -> str:
    return row if row.endswith("\n") else f"{row}\n{_NO_NEWLINE}\n"


def _lines(text: str) -> list[str]:
    # Not splitlines, which also ends lines where diff and patch do not.
    return list(StringIO(text, newline="\n"))
