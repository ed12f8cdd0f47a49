"""What hosts' files say, judged: what cannot be read, stands twice, or should not stand there."""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.doctor import mends
from runapi_mcp.doctor.entries import Configured, Shelf, Unreadable
from runapi_mcp.doctor.findings import Finding, note, problem, warning
from runapi_mcp.doctor.means import ASKED_FOR, KEY_NAMES
from runapi_mcp.doctor.starts import call_seconds
from runapi_mcp.hosts.places import Machine
from runapi_mcp.hosts.table import NAME
from runapi_mcp.settings import given_key
from runapi_mcp.sockets import is_loopback

SHORTEST_CALL_SECONDS: Final = 45
"""A picture takes up to this long."""
_TWICE: Final = "the model sees every tool twice, and pays by either"


def unreadable(found: Unreadable) -> Finding:
    """A host's file that nobody can read."""
    where = f"line {found.line}" if found.line else "the file"
    why = f"{found.host.title} cannot read it either, so it starts no server"
    mend = mends.edit(found.path, found.line)
    return problem("file", f"{where} is broken: {found.why}", why, mend)


def entry_findings(configured: Configured, machine: Machine) -> Iterator[Finding]:
    """What one entry of ours says."""
    yield from _off(configured)
    yield from _leftovers(configured, machine)
    yield from _key_in_clear(configured)
    yield from _short_calls(configured)
    yield from _insecure(configured)


def shelf_findings(shelves: Sequence[Shelf]) -> Iterator[Finding]:
    """How the entries of one host stand to each other."""
    everything = [entry for shelf in shelves for entry in shelf.entries]
    ours = [entry for entry in everything if entry.is_ours]
    yield from _doubles(ours)
    yield from _strangers(everything)
    for entry in everything:
        if entry.is_runapis and entry.name != NAME:
            yield note("entries", f"RunAPI's own server “{entry.name}” stands beside this one")


def _off(configured: Configured) -> Iterator[Finding]:
    if configured.is_off:
        what = f"the entry is turned off in {configured.host.title}"
        mend = mends.reinstall(configured.host, configured.scope)
        yield problem("entry", what, "it is not started, and its tools are not there", mend)


def _leftovers(configured: Configured, machine: Machine) -> Iterator[Finding]:
    """Templates that neither a person nor the host fills in."""
    for name in KEY_NAMES:
        value = configured.env.get(name, "")
        if not value.strip() or ASKED_FOR.match(value) or not _is_template(value):
            continue
        referred = _referred(configured, value)
        if referred and machine.environ.get(referred):
            continue
        what = f"{name} in this file is a template that nothing fills in"
        yield warning("template", what, "the key is looked for elsewhere", mends.LOGIN)


def _is_template(value: str) -> bool:
    refusal = given_key(value, "").missing
    return refusal is not None and "holds no" in refusal.happened


def _referred(configured: Configured, value: str) -> str:
    """The variable that a template names, in the host's own way."""
    if not configured.host.reference:
        return ""
    pattern = re.escape(configured.host.reference).replace("%s", r"([A-Za-z_]\w*)")
    found = re.fullmatch(pattern, value.strip())
    return found[1] if found else ""


def _key_in_clear(configured: Configured) -> Iterator[Finding]:
    if not any(map(_is_key, _key_candidates(configured))):
        return
    committed = configured.scope == "project"
    judge = problem if committed else warning
    why = "it is committed with the project" if committed else "backups and other programs read it"
    mend = f"{mends.reinstall(configured.host, configured.scope)} && {mends.LOGIN}"
    yield judge("secret", "an API key stands in this file in clear text", why, mend)


def _key_candidates(configured: Configured) -> Iterator[str]:
    yield from (configured.env.get(name, "") for name in KEY_NAMES)
    for name, value in configured.headers.items():
        if name.lower() == "authorization":
            yield value.removeprefix("Bearer ")


def _is_key(value: str) -> bool:
    return "{" not in value and given_key(value, "").missing is None


def _short_calls(configured: Configured) -> Iterator[Finding]:
    seconds = call_seconds(configured)
    if seconds is not None and seconds < SHORTEST_CALL_SECONDS:
        what = f"{configured.host.title} gives up a call after {seconds:g} s"
        mend = mends.reinstall(configured.host, configured.scope)
        yield warning("timeout", what, "a picture takes longer, and comes only by get_task", mend)


def _insecure(configured: Configured) -> Iterator[Finding]:
    address = urlsplit(configured.url)
    if address.scheme == "http" and not is_loopback(configured.url):
        mend = f"{mends.install(configured.host)} --http https://{address.hostname}{address.path}"
        what = "the server's address is not https"
        yield problem("address", what, "your key travels where others can read it", mend)


def _doubles(ours: Sequence[Configured]) -> Iterator[Finding]:
    if not ours:
        return
    first, *others = sorted(ours, key=lambda entry: entry.name != NAME)
    for other in others:
        if other.name != first.name:
            what = f"“{other.name}” ({other.scope}) starts this server too"
            yield warning("duplicate", what, _TWICE, mends.remove(other))
        elif other.path != first.path or other.scope != first.scope:
            what = f"“{first.name}” stands in the {first.scope} and the {other.scope} file"
            yield warning("duplicate", what, "only one of them is used", _taking_out(other))


def _taking_out(configured: Configured) -> str:
    if configured.scope == "local":
        return mends.remove(configured)
    return mends.uninstall(configured.host, configured.scope)


def _strangers(everything: Sequence[Configured]) -> Iterator[Finding]:
    """Another server under our name."""
    for entry in everything:
        if entry.name == NAME and not entry.is_ours:
            whose = "RunAPI's own server" if entry.is_runapis else "another server"
            what = f"“{NAME}” in this file is {whose}, not this one"
            mend = f"{mends.remove(entry)} && {mends.install(entry.host, entry.scope)}"
            yield problem("entry", what, "these tools are not there", mend)
