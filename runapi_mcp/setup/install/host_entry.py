"""The entry that a host has for this server, in the host's own words: written, and read again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.host import KEY_VARIABLE, Fields, Host, Http
from runapi_mcp.base.json_values import as_list, as_object, is_object
from runapi_mcp.base.texts import ServerEntry
from runapi_mcp.setup.install.launchers import guess_command

KeySource = Literal["from a variable", "from the file", "none"]
"""Where a host that connects to an address takes the key from."""
Owner = Literal["ours", "RunAPI's own", "another's"]

_RUNAPIS_OWN: Final = re.compile(r"@runapi|runapi\.ai", re.IGNORECASE)
_OUR_PATHS: Final = ("/mcp", "/sse")
"""Where `serve --http` answers, behind whatever stands before it."""


@dataclass(frozen=True, slots=True)
class EntrySpec:
    command: tuple[str, ...] = ()
    url: str | None = None
    """An address to connect to, instead of a command to start."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    handed_on: tuple[str, ...] = ()
    """Variables of the user's that the host hands on, by its own way to name one."""
    key: str | None = None
    """A key to be written into the entry itself."""


def new_entry(host: Host, spec: EntrySpec) -> ServerEntry:
    """
    Raises:
        Refused: the host cannot say this.
    """
    inner, limits = _http(host, spec) if spec.url is not None else _stdio(host, spec)
    return {host.wrapper_key: inner, **limits} if host.wrapper_key else {**inner, **limits}


def update_entry(host: Host, older: ServerEntry, newer: ServerEntry) -> ServerEntry:
    """An older entry of ours as the newer one says, with what a user added to it.

    How the server is started is ours to say; anything else stays as it stands there.
    """
    if not host.wrapper_key:
        return _merged(host, older, newer)
    limits = {key: value for key, value in newer.items() if key != host.wrapper_key}
    inner = _merged(host, _transport(host, older), unwrap_entry(host, newer))
    return {host.wrapper_key: inner, **limits, **_beside(host, older)}


def key_source(host: Host, entry: ServerEntry) -> KeySource:
    """Which key goes along to the address of an entry."""
    shape, inner = host.http or Http(), unwrap_entry(host, entry)
    if shape.bearer and shape.bearer in inner:
        return "from a variable"
    headers = str(inner.get(shape.headers or ""))
    if "Bearer" not in headers:
        return "none"
    is_named = host.reference and host.reference % KEY_VARIABLE in headers
    return "from a variable" if is_named else "from the file"


def owner_of(host: Host, entry: ServerEntry) -> Owner:
    """Whose server an entry called `runapi` starts or connects to, as far as it tells."""
    words, url = command_words(host, entry), entry_url(host, entry)
    if guess_command(words) is not None:
        return "ours"
    if _RUNAPIS_OWN.search(" ".join((*words, url))):
        return "RunAPI's own"
    if url and (_has_our_path(url) or _sends_our_key(host, unwrap_entry(host, entry))):
        return "ours"
    return "another's"


def command_words(host: Host, entry: ServerEntry) -> list[str]:
    inner, words = unwrap_entry(host, entry), list[object]()
    for key in filter(None, (host.stdio.command, host.stdio.args)):
        words += as_list(inner.get(key)) or [inner.get(key)]
    return [word for word in words if isinstance(word, str)]


def entry_url(host: Host, entry: ServerEntry) -> str:
    """The address that an entry connects to; empty for a command."""
    found = unwrap_entry(host, entry).get((host.http or Http()).url)
    return found if isinstance(found, str) else ""


def unwrap_entry(host: Host, entry: ServerEntry) -> ServerEntry:
    inner = entry.get(host.wrapper_key)
    # Cline once kept all of it outside.
    return inner if host.wrapper_key and is_object(inner) else entry


def _transport(host: Host, entry: ServerEntry) -> ServerEntry:
    """What belongs inside of an entry that is wrapped, where it was once written flat."""
    inner = unwrap_entry(host, entry)
    if inner is not entry:
        return inner
    return {key: value for key, value in entry.items() if key in _inner_keys(host)}


def _beside(host: Host, entry: ServerEntry) -> ServerEntry:
    """What belongs beside it: limits, and what a user chose."""
    inner = {host.wrapper_key, *_inner_keys(host)}
    return {key: value for key, value in entry.items() if key not in inner}


def _inner_keys(host: Host) -> set[str | None]:
    return {"cwd", host.stdio.env, (host.http or Http()).headers} | _start_keys(host)


def _stdio(host: Host, spec: EntrySpec) -> tuple[Fields, Fields]:
    shape, (program, *arguments) = host.stdio, spec.command
    inner: dict[str, object] = dict(shape.first)
    inner[shape.command] = program if shape.args else [program, *arguments]
    if shape.args:
        inner[shape.args] = arguments
    env = dict(spec.env) | ({KEY_VARIABLE: spec.key} if spec.key else {})
    limits: dict[str, object] = dict(shape.last)
    if shape.names:
        names = as_list(limits[shape.names])
        limits[shape.names] = list(dict.fromkeys([*names, *spec.handed_on]))
    else:
        env |= {name: _reference(host, name) for name in spec.handed_on}
    return (inner | {shape.env: env} if env else inner), limits


def _http(host: Host, spec: EntrySpec) -> tuple[Fields, Fields]:
    shape = host.http
    if shape is None:
        raise Refused(f"{host.title} connects to no address.", "Install without --http.")
    inner: dict[str, object] = {**shape.first, shape.url: spec.url}
    bearer = spec.key or (_reference(host, KEY_VARIABLE) if host.reference else None)
    if shape.bearer:
        inner[shape.bearer] = KEY_VARIABLE
    elif shape.headers and bearer:
        inner[shape.headers] = {"Authorization": f"Bearer {bearer}"}
    return inner, dict(shape.last)


def _reference(host: Host, name: str) -> str:
    if not host.reference:
        happened = f"{host.title} has no way to name a variable of yours."
        raise Refused(happened, f"Give its value: --env {name}=VALUE.")
    return host.reference % name


def _merged(host: Host, older: ServerEntry, newer: ServerEntry) -> ServerEntry:
    stdio, http = host.stdio, host.http or Http()
    merged = dict(older)
    if (stdio.command in older) != (stdio.command in newer):
        ways = {stdio.env, http.headers, *stdio.last, *http.last} | _start_keys(host)
        merged = {key: value for key, value in older.items() if key not in ways}
    for key, value in newer.items():
        if key in merged and key in (stdio.env, stdio.names, http.headers):
            merged[key] = _joined(merged[key], value)
        elif key not in merged or key in _start_keys(host):
            merged[key] = value
    return _with_added_words(host, older, merged)


def _start_keys(host: Host) -> set[str | None]:
    """The keys that say how the server is reached."""
    stdio, http = host.stdio, host.http or Http()
    return {"type", stdio.command, stdio.args, http.url, http.bearer}


def _joined(older: object, newer: object) -> object:
    if is_object(older) and is_object(newer):
        return {**older, **newer}
    before, added = as_list(older), as_list(newer)
    if before and isinstance(newer, list):
        return list(dict.fromkeys([*before, *added]))
    return newer


def _with_added_words(host: Host, older: ServerEntry, merged: ServerEntry) -> ServerEntry:
    """With the arguments that a user wrote after our own, and what a launcher set."""
    key, env = host.stdio.args or host.stdio.command, host.stdio.env
    found = guess_command(command_words(host, older))
    if found is None or key not in merged:
        return merged
    variables = {env: {**found.env, **as_object(merged.get(env))}} if found.env else {}
    return {**merged, **variables, key: [*as_list(merged[key]), *found.added]}


def _has_our_path(url: str) -> bool:
    try:
        return urlsplit(url).path.rstrip("/").endswith(_OUR_PATHS)
    except ValueError:
        return False


def _sends_our_key(host: Host, inner: ServerEntry) -> bool:
    """Whether it names the variable of our key where a host names what it sends."""
    shape = host.http or Http()
    sent = [inner.get(key) for key in (shape.headers, shape.bearer) if key]
    return KEY_VARIABLE in str(sent)
