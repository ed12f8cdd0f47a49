"""The entry that a host is given for this server, in the host's own words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.table import KEY, Fields, HostConfig, Http
from runapi_mcp.base.texts import Entry
from runapi_mcp.setup.install.launchers import Command, command_in
from runapi_mcp.setup.install.ownership import inside, words_of

KeySent = Literal["from a variable", "from the file", "none"]
"""Where a host that connects to an address takes the key from."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an entry shall say."""

    command: tuple[str, ...] = ()
    url: str | None = None
    """An address to connect to, instead of a command to start."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    handed_on: tuple[str, ...] = ()
    """Variables of the user's that the host hands on, by its own way to name one."""
    key: str | None = None
    """A key to be written into the entry itself."""


def entry_of(host: HostConfig, wish: Wish) -> Entry:
    """A new entry.

    Raises:
        Refused: the host cannot say this.
    """
    inner, limits = _http(host, wish) if wish.url is not None else _stdio(host, wish)
    return {host.wrapped: inner, **limits} if host.wrapped else {**inner, **limits}


def updated(host: HostConfig, older: Entry, newer: Entry) -> Entry:
    """An older entry of ours as the newer one says, with what a user added to it.

    How the server is started is ours to say; anything else stays as it stands there.
    """
    if not host.wrapped:
        return _merged(host, older, newer)
    limits = {key: value for key, value in newer.items() if key != host.wrapped}
    inner = _merged(host, _transport(host, older), inside(host, newer))
    return {host.wrapped: inner, **limits, **_beside(host, older)}


def key_sent(host: HostConfig, entry: Entry) -> KeySent:
    """Which key goes along to the address of an entry."""
    shape, inner = host.http or Http(), inside(host, entry)
    if shape.bearer and shape.bearer in inner:
        return "from a variable"
    headers = str(inner.get(shape.headers or ""))
    if "Bearer" not in headers:
        return "none"
    is_named = host.reference and host.reference % KEY in headers
    return "from a variable" if is_named else "from the file"


def _transport(host: HostConfig, entry: Entry) -> Entry:
    """What belongs inside of an entry that is wrapped, where it was once written flat."""
    inner = inside(host, entry)
    if inner is not entry:
        return inner
    return {key: value for key, value in entry.items() if key in _inner_keys(host)}


def _beside(host: HostConfig, entry: Entry) -> Entry:
    """What belongs beside it: limits, and what a user chose."""
    inner = {host.wrapped, *_inner_keys(host)}
    return {key: value for key, value in entry.items() if key not in inner}


def _inner_keys(host: HostConfig) -> set[str | None]:
    return {"cwd", host.stdio.env, (host.http or Http()).headers} | _start_keys(host)


def _stdio(host: HostConfig, wish: Wish) -> tuple[Fields, Fields]:
    shape, (program, *arguments) = host.stdio, wish.command
    inner: dict[str, object] = dict(shape.first)
    inner[shape.command] = program if shape.args else [program, *arguments]
    if shape.args:
        inner[shape.args] = arguments
    env = dict(wish.env) | ({KEY: wish.key} if wish.key else {})
    limits: dict[str, object] = dict(shape.last)
    if shape.names:
        names = cast("list[str]", limits[shape.names])
        limits[shape.names] = list(dict.fromkeys([*names, *wish.handed_on]))
    else:
        env |= {name: _reference(host, name) for name in wish.handed_on}
    return (inner | {shape.env: env} if env else inner), limits


def _http(host: HostConfig, wish: Wish) -> tuple[Fields, Fields]:
    shape = host.http
    if shape is None:
        raise Refused(f"{host.title} connects to no address.", "Install without --http.")
    inner: dict[str, object] = {**shape.first, shape.url: wish.url}
    bearer = wish.key or (_reference(host, KEY) if host.reference else None)
    if shape.bearer:
        inner[shape.bearer] = KEY
    elif shape.headers and bearer:
        inner[shape.headers] = {"Authorization": f"Bearer {bearer}"}
    return inner, dict(shape.last)


def _reference(host: HostConfig, name: str) -> str:
    if not host.reference:
        raise Refused(
            f"{host.title} has no way to name a variable of yours.",
            f"Give its value: --env {name}=VALUE.",
        )
    return host.reference % name


def _merged(host: HostConfig, older: Entry, newer: Entry) -> Entry:
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


def _start_keys(host: HostConfig) -> set[str | None]:
    """The keys that say how the server is reached."""
    stdio, http = host.stdio, host.http or Http()
    return {"type", stdio.command, stdio.args, http.url, http.bearer}


def _joined(older: object, newer: object) -> object:
    if isinstance(older, Mapping) and isinstance(newer, Mapping):
        return {**cast("Entry", older), **cast("Entry", newer)}
    if isinstance(older, list) and isinstance(newer, list):
        return list(dict.fromkeys([*cast("list[object]", older), *cast("list[object]", newer)]))
    return newer


def _with_added_words(host: HostConfig, older: Entry, merged: Entry) -> Entry:
    """With the arguments that a user wrote after our own, and what a launcher set."""
    key = host.stdio.args or host.stdio.command
    found = command_in(words_of(host, older))
    if found is None or key not in merged:
        return merged
    words = [*cast("list[str]", merged[key]), *found.added]
    return {**merged, **_set_by_launcher(host, found, merged), key: words}


def _set_by_launcher(host: HostConfig, found: Command, merged: Entry) -> Entry:
    name, env = host.stdio.env, found.env
    if not env:
        return {}
    own = merged.get(name)
    return {name: {**env, **(cast("Entry", own) if isinstance(own, Mapping) else {})}}
