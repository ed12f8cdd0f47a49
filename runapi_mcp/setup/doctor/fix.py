"""What --fix does: only what is safe, and each of it said."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.hosts.table import host_named
from runapi_mcp.base.json_values import as_object
from runapi_mcp.base.settings import config_path
from runapi_mcp.base.texts import read_entry
from runapi_mcp.setup.doctor.findings import Diagnosis, Section
from runapi_mcp.setup.install.change import Change
from runapi_mcp.setup.install.host_entry import EntrySpec
from runapi_mcp.setup.install.install_log import InstallLog
from runapi_mcp.setup.install.installed_entry import entry_path
from runapi_mcp.setup.install.installer import apply, plan_install
from runapi_mcp.setup.install.start_command import Program, launch_command


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing that --fix did, or could not do."""

    what: str
    worked: bool = True
    place: tuple[str, ...] = ()
    """The section that it was about."""


def fix(diagnosis: Diagnosis, log: InstallLog) -> list[Fix]:
    done: list[Fix] = []
    for section in diagnosis.sections:
        if "protect" in section.remedies:
            done.append(_protect_config())
        if "install" in section.remedies:
            done.append(_install(section, log))
    return done


def confirm(done: Sequence[Fix], diagnosis: Diagnosis) -> list[Fix]:
    """What was done, as a second look has it: what it did not help is no mending."""
    still = {each.place for each in diagnosis.sections if "install" in each.remedies}
    return [
        replace(each, what=f"{each.what}; it did not help", worked=False)
        if each.worked and each.place in still
        else each
        for each in done
    ]


def _protect_config() -> Fix:
    path = config_path(os.environ)
    if path is None:
        return Fix("the config file is not to be found", worked=False)
    try:
        path.chmod(0o600)
    except OSError as error:
        return Fix(f"{path} stays open to others: {error.strerror}", worked=False)
    return Fix(f"{path} is yours alone now")


def _install(section: Section, log: InstallLog) -> Fix:
    host = host_named(section.host)
    try:
        spec = EntrySpec(launch_command(Program.current()))
        with log.lock():
            change = plan_install(host, Path(section.file), log, spec)
            backup = apply(change, log)
    except Failure as failure:
        return Fix(f"{host.title} stays as it is: {failure}", worked=False)
    if change.changes_nothing:
        return Fix(f"{host.title} stays as it is: install writes the same", worked=False)
    kept = f"; backup: {backup}" if backup else ""
    what = f"{host.title}: {', '.join(_changed(change))} anew in {section.file}{kept}"
    return Fix(what, place=section.place)


def _changed(change: Change) -> list[str]:
    """The names of what is not as it was; values and what is around them may be secret."""
    before, after = _fields(change, change.file.text), _fields(change, change.text)
    return [name for name in after | before if before.get(name) != after.get(name)]


def _fields(change: Change, text: str) -> dict[str, object]:
    """What an entry says, without what it is wrapped in."""
    host = change.host
    entry = as_object(read_entry(text, host.dialect, entry_path(host)))
    return {**entry, **as_object(entry.get(host.wrapper_key))}
