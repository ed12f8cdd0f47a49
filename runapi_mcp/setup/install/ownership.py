"""Whose server stands under our name in a host's file. One rule, for installing and for looking."""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from runapi_mcp.base.hosts.host import KEY_VARIABLE, Host, Http
from runapi_mcp.base.json_values import as_list, is_object
from runapi_mcp.base.texts import ServerEntry
from runapi_mcp.setup.install.launchers import command_in

Owner = Literal["ours", "RunAPI's own", "another's"]

_RUNAPIS_OWN: Final = re.compile(r"@runapi|runapi\.ai", re.IGNORECASE)
_OUR_PATHS: Final = ("/mcp", "/sse")
"""Where `serve --http` answers, behind whatever stands before it."""


def owner_of(host: Host, entry: ServerEntry) -> Owner:
    """Whose server an entry called `runapi` starts or connects to, as far as it tells."""
    words, url = command_words(host, entry), entry_url(host, entry)
    if command_in(words) is not None:
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
