"""What hosts' files say, judged: what cannot be read, stands twice, or should not stand there."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from runapi_mcp.base.hosts.host import ENTRY_NAME
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.settings import parse_key
from runapi_mcp.base.settings.keys import KEY_NAMES
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.configured import Configured, Shelf, Unreadable
from runapi_mcp.setup.doctor.findings import Finding, note, problem, warning
from runapi_mcp.setup.doctor.launch_plan import call_seconds

SHORTEST_CALL_SECONDS: Final = 45
"""A picture takes up to this long."""
_TWICE: Final = "the model sees every tool twice, and pays by either"
_NO_TOOLS: Final = "its tools are not there"


def unreadable(found: Unreadable, machine: Machine) -> Finding:
    """A host's file that nobody can read."""
    why = f"{found.host.title} cannot read it either, so it starts no server"
    return problem("file", found.what, why, _readable(found, machine))


def _readable(found: Unreadable, machine: Machine) -> str:
    match found.trouble:
        case "broken":
            return fix_commands.edit(found.path, found.line)
        case "odd":
            return fix_commands.move_away(found.path)
        case "closed":
            barrier = _barrier(found.path)
            return fix_commands.unlock(barrier, is_mine=_is_mine(barrier))
        case "out of reach":
            moved = found.host.folder_variable
            return (
                fix_commands.unset(moved)
                if machine.environ.get(moved)
                else fix_commands.look_at(found.path)
            )


def _barrier(path: Path) -> Path:
    """The first on the way to a file that lets nobody through."""
    way = [*reversed(path.parents)]
    return next((folder for folder in way if not os.access(folder, os.X_OK)), path)


def _is_mine(path: Path) -> bool:
    return sys.platform == "win32" or path.stat().st_uid == os.geteuid()


def entry_findings(configured: Configured) -> Iterator[Finding]:
    """What one entry of ours says."""
    yield from _off(configured)
    yield from _key_in_clear(configured)
    yield from _short_calls(configured)
    yield from _address(configured)


def standing_findings(shelves: Sequence[Shelf]) -> Iterator[tuple[Configured, Finding]]:
    """How the entries of one host stand to each other, each finding with the entry it is about."""
    everything = [entry for shelf in shelves for entry in shelf.entries]
    yield from _doubles([entry for entry in everything if entry.is_ours])
    for entry in everything:
        if entry.name == ENTRY_NAME and not entry.is_ours:
            yield entry, _stranger(entry)


def note_findings(shelves: Sequence[Shelf]) -> Iterator[Finding]:
    """What is good to know of the entries that are not ours."""
    for entry in (entry for shelf in shelves for entry in shelf.entries):
        if entry.is_runapis and entry.name != ENTRY_NAME:
            yield note("entries", f"RunAPI's own server “{entry.name}” stands beside this one")


def _off(configured: Configured) -> Iterator[Finding]:
    if configured.is_off:
        what = f"the entry is turned off in {configured.host.title}"
        why = f"it is not started, and {_NO_TOOLS}"
        yield problem("entry", what, why, fix_commands.rewritten(configured))


def _key_in_clear(configured: Configured) -> Iterator[Finding]:
    if not any(map(_is_key, _key_candidates(configured))):
        return
    committed = configured.scope == "project"
    judge = problem if committed else warning
    why = "it is committed with the project" if committed else "backups and other programs read it"
    mend = f"{fix_commands.rewritten(configured)} && {fix_commands.login()}"
    yield judge("secret", "an API key stands in this file in clear text", why, mend)


def _key_candidates(configured: Configured) -> Iterator[str]:
    yield from (configured.env.get(name, "") for name in KEY_NAMES)
    for name, value in configured.headers.items():
        if name.lower() == "authorization":
            yield value.removeprefix("Bearer ")


def _is_key(value: str) -> bool:
    return "{" not in value and parse_key(value, "").missing is None


def _short_calls(configured: Configured) -> Iterator[Finding]:
    seconds = call_seconds(configured)
    if seconds is not None and seconds < SHORTEST_CALL_SECONDS:
        what = f"{configured.host.title} gives up a call after {seconds:g} s"
        why = "a picture takes longer, and comes only by get_task"
        yield warning("timeout", what, why, fix_commands.rewritten(configured))


def _address(configured: Configured) -> Iterator[Finding]:
    if not configured.url:
        return
    address = configured.address
    if address is None:
        what = "the address to connect to is none"
        yield problem("address", what, _NO_TOOLS, fix_commands.rewritten(configured))
    elif not address.is_safe:
        what, why = "the server's address is not https", "your key travels where others can read it"
        mend = fix_commands.served_at(configured, str(replace(address, scheme="https", port=None)))
        yield problem("address", what, why, mend)


def _doubles(ours: Sequence[Configured]) -> Iterator[tuple[Configured, Finding]]:
    if not ours:
        return
    first, *others = sorted(ours, key=lambda entry: entry.name != ENTRY_NAME)
    for other in others:
        mend = fix_commands.taken_out(other)
        if other.name != first.name:
            what = f"“{other.name}” ({other.scope}) starts this server too"
            yield other, warning("duplicate", what, _TWICE, mend)
        elif other.path != first.path or other.scope != first.scope:
            what = f"“{first.name}” stands in the {first.scope} and the {other.scope} file"
            yield other, warning("duplicate", what, "only one of them is used", mend)


def _stranger(entry: Configured) -> Finding:
    """Another server under our name."""
    whose = "RunAPI's own server" if entry.is_runapis else "another server"
    what = f"“{ENTRY_NAME}” in this file is {whose}, not this one"
    return problem("entry", what, "these tools are not there", fix_commands.rewritten(entry))
