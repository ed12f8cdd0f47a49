"""How a host's start of the server went, judged."""

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from runapi_mcp import __version__
from runapi_mcp.base.redaction import Secrets, excerpt
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.check_entries import NO_TOOLS
from runapi_mcp.setup.doctor.findings import Finding, fine, note, problem, warning
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan, LaunchPlan
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry
from runapi_mcp.setup.doctor.probe import ProbeResult

SERVER: Final = "runapi-mcp"
_LONGEST_STDERR: Final = 160
_SERVED: Final = ("127.0.0.1", "localhost")
"""Where it serves without being told."""


def check_plan(plan: LaunchPlan | ConnectPlan, entry: ConfigEntry) -> Finding | None:
    """Why a start need not be tried: its program or directory is not there, or cannot be."""
    if isinstance(plan, ConnectPlan):
        return None
    if not plan.words:
        return _wrong(entry, "command", "the entry names no program to start")
    if impossible := _impossible(plan):
        return _wrong(entry, "command", f"no program can be given {impossible}")
    if not plan.has_directory:
        what = f"the directory to start in, {plan.directory}, is not there"
        return _wrong(entry, "directory", what)
    if plan.program:
        return None
    word = plan.words[0]
    if plan.is_there:
        return _stale(entry, "command", f"{word} is not executable")
    is_path = Path(word).is_absolute()
    reason = "it was moved or removed" if is_path else "it is not on the PATH that the host has"
    what = f"{entry.host.title} does not find {word}"
    return _stale(entry, "command", what, f"{reason}, and {NO_TOOLS}")


def _wrong(entry: ConfigEntry | None, check: str, what: str, why: str = NO_TOOLS) -> Finding:
    """What only an entry written wholly anew mends."""
    return problem(check, what, why, fix_commands.rewrite(entry))


def _stale(entry: ConfigEntry | None, check: str, what: str, why: str = NO_TOOLS) -> Finding:
    """What installing again mends."""
    return problem(check, what, why, fix_commands.renew(entry), fix_commands.install_remedy(entry))


def _impossible(plan: LaunchPlan) -> str:
    """What of a start the system does not take."""
    if not all(map(_can_be_given, (*plan.words, plan.directory))):
        return "what the command has in it"
    for name, value in plan.environ.items():
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


@dataclass(frozen=True, slots=True)
class StartCheck:
    """A start, what became of it, and whose entry it is; None for this program itself."""

    plan: LaunchPlan | ConnectPlan
    result: ProbeResult
    entry: ConfigEntry | None
    secrets: Secrets

    def findings(self) -> Iterator[Finding]:
        """One finding if the start failed, else one for each thing that is wrong."""
        failure = self._failure()
        if failure:
            yield failure
            return
        if self.result.noise_bytes:
            what = "it prints on stdout what is no protocol"
            yield _wrong(self.entry, "protocol", what, "strict hosts hang up on it")
        yield from [*self._slowness(), *self._strangeness(), *self._age()] or [self._well()]

    @property
    def _title(self) -> str:
        return self.entry.host.title if self.entry else "it"

    @property
    def _waits(self) -> str:
        return f"{self._title} waits {self.plan.allowed_seconds:g} s"

    def _failure(self) -> Finding | None:
        result, address = self.result, self.entry.address if self.entry else None
        if address and result.not_started:
            why = self.secrets.hide_in_foreign(result.not_started)
            what = f"the server at {address} does not answer: {why}"
            return problem("address", what, NO_TOOLS, _serve_at(address))
        if result.not_started and isinstance(self.plan, LaunchPlan):
            what = f"{self.plan.words[0]} cannot be started: {result.not_started}"
            return _stale(self.entry, "start", what)
        if result.is_flooded:
            what = "it floods its stdout with what is no protocol"
            return _wrong(self.entry, "protocol", what, "hosts hang or hang up on it")
        if result.started_seconds is not None:
            return None
        if result.status is not None:
            return self._ended(result.status)
        what = f"it does not answer within {result.waited_seconds:g} s, and {self._waits}"
        return _wrong(self.entry, "start", what)

    def _ended(self, status: int) -> Finding:
        lines = [line for line in self.result.stderr.splitlines() if line.strip()]
        last = self.secrets.hide_in_foreign(lines[-1]) if lines else "it says nothing"
        said = excerpt(last, _LONGEST_STDERR)
        what = f"it ends at once with status {status}: {said}"
        setting = re.match(r"runapi-mcp: (RUNAPI_[A-Z_]+)", said)
        if setting is None:
            return _stale(self.entry, "start", what)
        if self.entry and setting[1] in self.entry.env:
            return _wrong(self.entry, "start", what)
        return problem("start", what, NO_TOOLS, f"unset {setting[1]}")

    def _slowness(self) -> Iterator[Finding]:
        seconds, allowed = self.result.started_seconds or 0.0, self.plan.allowed_seconds
        if seconds > allowed:
            yield _wrong(self.entry, "start", f"it starts in {seconds:.1f} s, and {self._waits}")
        elif seconds > allowed / 2:
            what = f"it starts in {seconds:.1f} s of the {allowed:g} s that {self._title} waits"
            mend = fix_commands.renew(self.entry)
            yield warning("start", what, "on a busy day it is too late", mend)

    def _strangeness(self) -> Iterator[Finding]:
        tools, no_tools = self.result.tools, "these tools are not there"
        if self.result.server != SERVER:
            yield _wrong(self.entry, "start", "another program answers, not this server", no_tools)
        elif not tools:
            why = "the model has nothing to call"
            yield _wrong(self.entry, "tools", "it lists no tools", why)
        elif not any(name.startswith(("flux_2_", "runflow_")) for name in tools):
            why = "RUNAPI_VARIANTS leaves none"
            yield _wrong(self.entry, "tools", "it lists no tool that draws", why)

    def _age(self) -> Iterator[Finding]:
        theirs, ours = _parts(self.result.version), _parts(__version__)
        if self.result.server != SERVER or theirs == ours:
            return
        what = f"{self._title} starts {SERVER} {self.result.version}, and this is {__version__}"
        if theirs < ours:
            mend, remedy = fix_commands.renew(self.entry), fix_commands.install_remedy(self.entry)
            yield warning("version", what, "its tools are older", mend, remedy)
        else:
            yield note("version", what, "this program is older", fix_commands.UPDATE_COMMAND)

    def _well(self) -> Finding:
        verb = "answers" if isinstance(self.plan, ConnectPlan) else "starts"
        seconds, allowed = self.result.started_seconds or 0, self.plan.allowed_seconds
        listed = f"lists {len(self.result.tools or ())} tools"
        return fine("start", f"{verb} in {seconds:.1f} s of {allowed:g} s, and {listed}")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _serve_at(address: httpx.URL) -> str:
    """What serves there, or looks whether somebody does."""
    if not is_loopback(str(address)):
        return f"curl -I {shlex.quote(str(address))}"
    host = "" if address.host in _SERVED else f" --host {shlex.quote(address.host)}"
    return fix_commands.runapi(f"serve --http{host} --port {address.port or 80}")
