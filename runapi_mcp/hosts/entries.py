"""The entry that a host is given for this server, in the host's own words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from runapi_mcp.errors import Refused
from runapi_mcp.hosts.starting import own_words, starts_us
from runapi_mcp.hosts.table import KEY, Fields, HostConfig, Http
from runapi_mcp.texts import Entry


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
    if host.wrapped:
        was, now = _inside(host, older), _inside(host, newer)
        return {
            **newer,
            **older,
            host.wrapped: _merged(host, was, now),
        }
    return _merged(host, older, newer)


def is_ours(host: HostConfig, entry: Entry) -> bool:
    """Whether an entry starts this program."""
    return starts_us(_words(host, _inside(host, entry)))


def starts_nothing(host: HostConfig, entry: Entry) -> bool:
    """Whether an entry is an address, which does not tell whose it is."""
    return not _words(host, _inside(host, entry))


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
    """With the arguments that a user wrote after our own."""
    before = _words(host, older)
    own = own_words(before)
    key = host.stdio.args or host.stdio.command
    if not own or key not in merged:
        return merged
    return {**merged, key: [*cast("list[str]", merged[key]), *before[own:]]}


def _words(host: HostConfig, entry: Entry) -> list[str]:
    """The command of an entry, word by word."""
    words: list[object] = []
    for key in filter(None, (host.stdio.command, host.stdio.args)):
        value = entry.get(key)
        words += cast("list[object]", value) if isinstance(value, list) else [value]
    return [word for word in words if isinstance(word, str)]


def _inside(host: HostConfig, entry: Entry) -> Entry:
    inner = entry.get(host.wrapped) if host.wrapped else entry
    # Cline once kept all of it outside.
    return cast("Entry", inner) if isinstance(inner, Mapping) else entry
