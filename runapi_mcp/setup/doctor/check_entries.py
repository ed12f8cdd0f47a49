"""What hosts' files say, judged: what cannot be read, stands twice, or should not stand there."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from runapi_mcp.base.hosts.host import ENTRY_NAME
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.settings import parse_key
from runapi_mcp.base.settings.keys import KEY_NAMES
from runapi_mcp.base.settings.values import BASE_URL_NAME, is_own_address
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, note, problem, warning
from runapi_mcp.setup.doctor.launch_plan import call_seconds
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry, McpConfig

SHORTEST_CALL_SECONDS: Final = 45
"""A picture takes up to this long."""
NO_TOOLS: Final = "its tools are not there"
_TWICE: Final = "the model sees every tool twice, and pays by either"


def check_file(config: McpConfig, machine: Machine) -> Iterator[Finding]:
    """A host's file that nobody can read."""
    if config.unreadable:
        why = f"{config.host.title} cannot read it either, so it starts no server"
        yield problem("file", config.what, why, _make_readable(config, machine))


def _make_readable(config: McpConfig, machine: Machine) -> str:
    match config.unreadable:
        case "broken":
            return fix_commands.edit(config.path, config.line)
        case "odd":
            return fix_commands.move_away(config.path)
        case "closed":
            # The first on the way to it that lets nobody through.
            way = reversed(config.path.parents)
            closed = (folder for folder in way if not os.access(folder, os.X_OK))
            return fix_commands.unlock(next(closed, config.path))
        case _:
            variable = config.host.folder_variable
            is_set = machine.environ.get(variable)
            return f"unset {variable}" if is_set else fix_commands.look_at(config.path)


def check_entry(entry: ConfigEntry) -> Iterator[Finding]:
    title, anew = entry.host.title, fix_commands.rewrite(entry)
    if entry.is_off:
        what = f"the entry is turned off in {title}"
        yield problem("entry", what, f"it is not started, and {NO_TOOLS}", anew)
    given = (value for value in _key_candidates(entry) if "{" not in value)
    if any(parse_key(value, "").missing is None for value in given):
        what, mend = "an API key stands in this file in clear text", fix_commands.login()
        judge, why = warning, "backups and other programs read it"
        if entry.scope == "project":
            judge, why = problem, "it is committed with the project"
        yield judge("secret", what, why, f"{anew} && {mend}")
    seconds = call_seconds(entry)
    if seconds is not None and seconds < SHORTEST_CALL_SECONDS:
        what = f"{title} gives up a call after {seconds:g} s"
        yield warning("timeout", what, "a picture takes longer, and comes only by get_task", anew)
    yield from _check_address(entry)
    yield from _check_key_target(entry)


def _key_candidates(entry: ConfigEntry) -> Iterator[str]:
    yield from (entry.env.get(name, "") for name in KEY_NAMES)
    for name, value in entry.headers.items():
        if name.lower() == "authorization":
            yield value.removeprefix("Bearer ")


def _check_address(entry: ConfigEntry) -> Iterator[Finding]:
    address = entry.address
    if not entry.url:
        return
    if address is None:
        what = "the address to connect to is none"
        yield problem("address", what, NO_TOOLS, fix_commands.rewrite(entry))
    elif not entry.is_safe:
        what, why = "the server's address is not https", "your key travels where others can read it"
        safe = address.copy_with(scheme="https", port=None)
        yield problem("address", what, why, fix_commands.connect_to(entry, str(safe)))


def _check_key_target(entry: ConfigEntry) -> Iterator[Finding]:
    address = entry.env.get(BASE_URL_NAME, "").strip()
    if entry.is_of_project and not entry.url and address and not is_own_address(address):
        what = f"the project's file has your key sent to {address}"
        why = "whoever runs that address gets it, where the host hands a key on"
        yield problem("address", what, why, fix_commands.rewrite(entry))


def check_neighbours(configs: Sequence[McpConfig]) -> Iterator[tuple[ConfigEntry, Finding]]:
    """How the entries of one host stand to each other, each finding with the entry it is about."""
    entries = [entry for config in configs for entry in config.entries]
    yield from _check_doubles([entry for entry in entries if entry.is_ours])
    for entry in entries:
        if entry.name == ENTRY_NAME and not entry.is_ours:
            whose = "RunAPI's own server" if entry.is_runapis else "another server"
            what = f"“{ENTRY_NAME}” in this file is {whose}, not this one"
            why, mend = "these tools are not there", fix_commands.rewrite(entry)
            yield entry, problem("entry", what, why, mend)


def note_neighbours(configs: Sequence[McpConfig]) -> Iterator[Finding]:
    """What is good to know of the entries that are not ours."""
    for entry in (entry for config in configs for entry in config.entries):
        if entry.is_runapis and entry.name != ENTRY_NAME:
            yield note("entries", f"RunAPI's own server “{entry.name}” stands beside this one")


def _check_doubles(ours: Sequence[ConfigEntry]) -> Iterator[tuple[ConfigEntry, Finding]]:
    by_name = sorted(ours, key=lambda entry: entry.name != ENTRY_NAME)
    for first, other in zip(by_name[:1] * len(ours), by_name[1:], strict=False):
        mend = fix_commands.take_out(other)
        if other.name != first.name:
            what = f"“{other.name}” ({other.scope}) starts this server too"
            yield other, warning("duplicate", what, _TWICE, mend)
        elif (other.path, other.scope) != (first.path, first.scope):
            what = f"“{first.name}” stands in the {first.scope} and the {other.scope} file"
            yield other, warning("duplicate", what, "only one of them is used", mend)
