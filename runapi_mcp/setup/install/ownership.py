"""Whose server stands under our name in a host's file. One rule, for installing and for looking."""

import re
from collections.abc import Mapping
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from runapi_mcp.base.hosts.table import KEY, HostConfig, Http
from runapi_mcp.base.texts import Entry
from runapi_mcp.setup.install.launchers import command_in

Whose = Literal["ours", "RunAPI's own", "another's"]

_RUNAPIS_OWN: Final = re.compile(r"@runapi|runapi\.ai", re.IGNORECASE)
_OUR_PATHS: Final = ("/mcp", "/sse")
"""Where `serve --http` answers, behind whatever stands before it."""


def whose(host: HostConfig, entry: Entry) -> Whose:
    """Whose server an entry called `runapi` starts or connects to, as far as it tells."""
    words, url = words_of(host, entry), url_of(host, entry)
    if command_in(words) is not None:
        return "ours"
    if _RUNAPIS_OWN.search(" ".join((*words, url))):
        return "RunAPI's own"
    if url and (_has_our_path(url) or _sends_our_key(host, inside(host, entry))):
        return "ours"
    return "another's"


def words_of(host: HostConfig, entry: Entry) -> list[str]:
    """The command of an entry, word by word."""
    inner, words = inside(host, entry), list[object]()
    for key in filter(None, (host.stdio.command, host.stdio.args)):
        value = inner.get(key)
        words += cast("list[object]", value) if isinstance(value, list) else [value]
    return [word for word in words if isinstance(word, str)]


def url_of(host: HostConfig, entry: Entry) -> str:
    """The address that an entry connects to; empty for a command."""
    found = inside(host, entry).get((host.http or Http()).url)
    return found if isinstance(found, str) else ""


def inside(host: HostConfig, entry: Entry) -> Entry:
    """An entry without what it is wrapped in."""
    inner = entry.get(host.wrapped) if host.wrapped else entry
    # Cline once kept all of it outside.
    return cast("Entry", inner) if isinstance(inner, Mapping) else entry


def _has_our_path(url: str) -> bool:
    try:
        return urlsplit(url).path.rstrip("/").endswith(_OUR_PATHS)
    except ValueError:
        return False


def _sends_our_key(host: HostConfig, inner: Entry) -> bool:
    """Whether it names the variable of our key where a host names what it sends."""
    shape = host.http or Http()
    sent = [inner.get(key) for key in (shape.headers, shape.bearer) if key]
    return KEY in str(sent)
