"""How a host's start of the server went, judged."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runapi_mcp import __version__
from runapi_mcp.base.redaction import Secrets
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.configured import Configured
from runapi_mcp.setup.doctor.findings import Finding, Remedy, fine, note, problem, warning
from runapi_mcp.setup.doctor.launch_plan import Start
from runapi_mcp.setup.doctor.probe import Trial
from runapi_mcp.setup.doctor.shown_address import Address

SERVER: Final = "runapi-mcp"
_NO_TOOLS: Final = "its tools are not there"
_LONGEST_QUOTE: Final = 160
_SERVED: Final = ("127.0.0.1", "localhost")
"""Where it serves without being told."""


@dataclass(frozen=True, slots=True)
class Started:
    """A start, what became of it, and whose entry it is; None for this program itself."""

    start: Start
    trial: Trial
    entry: Configured | None
    secrets: Secrets

    @property
    def title(self) -> str:
        return self.entry.host.title if self.entry else "it"

    @property
    def address(self) -> Address | None:
        """Where the host connects to instead of starting anything."""
        return self.entry.address if self.entry else None

    @property
    def mend(self) -> str:
        """What writes the entry anew, and keeps what a user added."""
        return fix_commands.renewed(self.entry) if self.entry else fix_commands.UPDATE

    @property
    def mend_wholly(self) -> str:
        """What writes the entry anew, with nothing of the old one."""
        return fix_commands.rewritten(self.entry) if self.entry else fix_commands.UPDATE

    @property
    def remedy(self) -> Remedy | None:
        return fix_commands.remedy(self.entry) if self.entry else None


def not_to_be_started(start: Start, entry: Configured) -> Finding | None:
    """Why a start need not be tried: its program or directory is not there, or cannot be."""
    wholly, mend = fix_commands.rewritten(entry), fix_commands.renewed(entry)
    if not start.words:
        return problem("command", "the entry names no program to start", _NO_TOOLS, wholly)
    if impossible := _impossible(start):
        return problem("command", f"no program can be given {impossible}", _NO_TOOLS, wholly)
    if not start.has_directory:
        what = f"the directory to start in, {start.directory}, is not there"
        return problem("directory", what, _NO_TOOLS, wholly)
    if start.program:
        return None
    if start.is_there:
        what = f"{start.words[0]} is not executable"
        return problem("command", what, _NO_TOOLS, mend, fix_commands.remedy(entry))
    what = f"{entry.host.title} does not find {start.words[0]}"
    return problem("command", what, _where_it_is(start), mend, fix_commands.remedy(entry))


def _impossible(start: Start) -> str:
    """What of a start the system does not take."""
    if not all(map(_can_be_given, (*start.words, start.directory))):
        return "what the command has in it"
    for name, value in start.environ.items():
        if not name or "=" in name or not _can_be_given(name):
            return f"a variable called “{name}”"
        if not _can_be_given(value):
            return f"the value that {name} has"
    return ""


def _can_be_given(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _where_it_is(start: Start) -> str:
    if Path(start.words[0]).is_absolute():
        return f"it was moved or removed, and {_NO_TOOLS}"
    return f"it is not on the PATH that the host has, and {_NO_TOOLS}"


def start_findings(started: Started) -> Iterator[Finding]:
    """How the start went: one finding if it failed, else one for each thing that is wrong."""
    failure = _failure(started)
    if failure:
        yield failure
        return
    yield from _noise(started)
    troubles = [*_slowness(started), *_strangeness(started), *_age(started)]
    yield from troubles or [_well(started)]


def _failure(started: Started) -> Finding | None:
    trial, program = started.trial, started.start.words[0]
    if started.address and trial.not_started:
        return _unvisited(started, started.address)
    if trial.not_started:
        what = f"{program} cannot be started: {trial.not_started}"
        return problem("start", what, _NO_TOOLS, started.mend, started.remedy)
    if trial.is_flooded:
        what = "it floods its stdout with what is no protocol"
        return problem("protocol", what, "hosts hang or hang up on it", started.mend_wholly)
    if trial.started_seconds is not None:
        return None
    if trial.status is not None:
        return _ended(started)
    waits = f"{started.title} waits {started.start.allowed_seconds:g} s"
    what = f"it does not answer within {trial.waited_seconds:g} s, and {waits}"
    return problem("start", what, _NO_TOOLS, started.mend_wholly)


def _unvisited(started: Started, address: Address) -> Finding:
    why = started.secrets.hide_in_foreign(started.trial.not_started)
    what = f"the server at {address} does not answer: {why}"
    return problem("address", what, _NO_TOOLS, _serving(address))


def _ended(started: Started) -> Finding:
    said = _last_words(started)
    what = f"it ends at once with status {started.trial.status}: {said}"
    setting = re.match(r"runapi-mcp: (RUNAPI_[A-Z_]+)", said)
    if setting is None:
        return problem("start", what, _NO_TOOLS, started.mend, started.remedy)
    name = setting[1]
    in_entry = started.entry and name in started.entry.env
    mend = started.mend_wholly if in_entry else fix_commands.unset(name)
    return problem("start", what, _NO_TOOLS, mend)


def _last_words(started: Started) -> str:
    lines = [line for line in started.trial.stderr.splitlines() if line.strip()]
    said = started.secrets.hide_in_foreign(lines[-1]).strip() if lines else "it says nothing"
    return said if len(said) <= _LONGEST_QUOTE else f"{said[: _LONGEST_QUOTE - 1]}…"


def _noise(started: Started) -> Iterator[Finding]:
    if started.trial.noise_bytes:
        what = "it prints on stdout what is no protocol"
        yield problem("protocol", what, "strict hosts hang up on it", started.mend_wholly)


def _slowness(started: Started) -> Iterator[Finding]:
    seconds, allowed = started.trial.started_seconds or 0.0, started.start.allowed_seconds
    if seconds > allowed:
        what = f"it starts in {seconds:.1f} s, and {started.title} waits {allowed:g} s"
        yield problem("start", what, _NO_TOOLS, started.mend_wholly)
    elif seconds > allowed / 2:
        what = f"it starts in {seconds:.1f} s of the {allowed:g} s that {started.title} waits"
        yield warning("start", what, "on a busy day it is too late", started.mend)


def _strangeness(started: Started) -> Iterator[Finding]:
    trial = started.trial
    if trial.server != SERVER:
        what = "another program answers, not this server"
        yield problem("start", what, "these tools are not there", started.mend_wholly)
    elif not trial.tools:
        what = "it lists no tools"
        yield problem("tools", what, "the model has nothing to call", started.mend_wholly)
    elif not any(name.startswith("flux_2_") for name in trial.tools):
        what = "it lists no tool that draws"
        yield problem("tools", what, "RUNAPI_VARIANTS leaves none", started.mend_wholly)


def _age(started: Started) -> Iterator[Finding]:
    theirs, ours = _parts(started.trial.version), _parts(__version__)
    if started.trial.server != SERVER or theirs == ours:
        return
    what = f"{started.title} starts {SERVER} {started.trial.version}, and this is {__version__}"
    if theirs < ours:
        yield warning("version", what, "its tools are older", started.mend, started.remedy)
    else:
        yield note("version", what, "this program is older", fix_commands.UPDATE)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _well(started: Started) -> Finding:
    trial, allowed = started.trial, started.start.allowed_seconds
    tools = len(trial.tools or ())
    verb = "answers" if started.address else "starts"
    seconds = trial.started_seconds or 0
    return fine("start", f"{verb} in {seconds:.1f} s of {allowed:g} s, and lists {tools} tools")


def _serving(address: Address) -> str:
    """What serves there, or looks whether somebody does."""
    if not address.is_here:
        return f"curl -I {shlex.quote(str(address))}"
    host = "" if address.host in _SERVED else f" --host {shlex.quote(address.host)}"
    return fix_commands.runapi(f"serve --http{host} --port {address.port or 80}")
