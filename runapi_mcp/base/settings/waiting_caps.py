"""What all waits together may take: of RunAPI, and of this process."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.settings import values

_MOST: Final = 10_000


class WaitingCaps(NamedTuple):
    """Each is set by a variable of its name: `RUNAPI_CONNECTIONS`."""

    connections: int = 100
    """To RunAPI at once,"""
    connections_per_key: int = 50
    """and those of one key."""
    looks_per_second: int = 500
    """At tasks, of all keys; when the process is busy there are fewer."""


def read_waiting_caps(environ: Mapping[str, str]) -> WaitingCaps:
    """
    Raises:
        NotConfigured: a value is none.
    """
    given = {
        name: values.number(environ, f"RUNAPI_{name.upper()}", "units", _MOST, 1)
        for name in WaitingCaps._fields
    }
    return WaitingCaps(**{name: int(value) for name, value in given.items() if value is not None})
