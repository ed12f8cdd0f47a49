"""What callers over HTTP may take of a server, one and all together."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.settings import values

_MOST: Final = 1_000_000_000


class HttpCaps(NamedTuple):
    """Each is set by a variable of its name: `RUNAPI_HTTP_SESSIONS`.

    A caller is a key; without one it is an address. "Keyless" are requests without a key to a
    server whose callers need one.
    """

    connections: int = 4_000
    connections_per_address: int = 500
    head_seconds: int = 15
    """How long the head of a request may take,"""
    body_seconds: int = 30
    """its body,"""
    unread_seconds: int = 60
    """and whoever leaves unread what was sent."""
    body_bytes: int = 262_144
    calls_per_caller: int = 200
    """Requests in hand at once."""
    requests_per_second: int = 20
    """From one address, this machine's own aside; what comes sooner waits for its turn."""
    streams: int = 2_000
    streams_per_caller: int = 200
    """Event streams that are held open for what the server may have to say."""
    sessions: int = 10_000
    sessions_per_caller: int = 500
    session_idle_hours: int = 24
    """How long a session with a key is kept that nobody uses."""
    keyless_body_bytes: int = 65_536
    keyless_calls_per_address: int = 10
    keyless_requests_per_second: int = 10
    """From one address,"""
    keyless_requests_per_second_in_all: int = 30
    """and from all."""


def read_caps(environ: Mapping[str, str]) -> HttpCaps:
    given = {
        name: values.number(environ, f"RUNAPI_HTTP_{name.upper()}", "units", _MOST, 1)
        for name in HttpCaps._fields
    }
    return HttpCaps(**{name: int(value) for name, value in given.items() if value is not None})
