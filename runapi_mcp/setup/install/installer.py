"""Putting this server into a host's file, and taking it out again."""

from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from runapi_mcp.base.errors import NotConfigured, Refused
from runapi_mcp.base.hosts.host import ENTRY_NAME, Host
from runapi_mcp.base.texts import InsertionContext, ServerEntry, put_entry, remove_entry
from runapi_mcp.setup.install.change import Change, ChangeOutcome
from runapi_mcp.setup.install.host_entry import EntrySpec, command_words, new_entry, update_entry
from runapi_mcp.setup.install.host_file import (
    HostFile,
    missing_folders,
    newest_backup,
    read_host_file,
)
from runapi_mcp.setup.install.install_log import InstallLog, InstallRecord
from runapi_mcp.setup.install.installed_entry import (
    entry_in,
    entry_path,
    is_ours_in,
    naming_file,
)
from runapi_mcp.setup.install.launchers import guess_command


def plan_install(
    host: Host, path: Path, log: InstallLog, spec: EntrySpec, project: Path | None = None
) -> Change:
    """What installing would do, to a user's file or a project's.

    Raises:
        NotConfigured: the file cannot be read, or not be changed without harm.
        Refused: the host cannot say this, or has another server of this name.
    """
    file, entry = read_host_file(path, host.dialect, project), new_entry(host, spec)
    older = entry_in(host, file)
    if older is not None:
        _refuse_another(host, older, file.path, log)
        _refuse_unclear(host, older, file.path)
        entry = update_entry(host, older, entry)
    with naming_file(file):
        text, around = put_entry(file.text, host.dialect, entry_path(host), entry)
    if older is None:
        return _checked(Change(host, file, "added", text, _new_record(file, text, around)))
    outcome: ChangeOutcome = "already there" if text == file.text else "updated"
    record = replace(log.read(file.path), sha256=_sum(file, text))
    return _checked(Change(host, file, outcome, text, record))


def plan_uninstall(host: Host, path: Path, log: InstallLog, project: Path | None = None) -> Change:
    """What uninstalling would do; raises as `plan_install` does."""
    file = read_host_file(path, host.dialect, project)
    older, record = entry_in(host, file), log.read(file.path)
    if older is None:
        return Change(host, file, "not there", file.text, record)
    _refuse_another(host, older, file.path, log)
    with naming_file(file):
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


def _delete(change: Change) -> Path | None:
    is_mine = change.record.is_of(change.file.data)
    # What somebody wrote into it since is not ours to lose.
    backup = None if is_mine else change.file.back_up()
    change.file.delete(map(Path, change.record.folders))
    return backup


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
