"""What servers have in common that serve the same callers: an address, a secret, a pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import values
from runapi_mcp.base.urls import is_http, is_loopback

PUBLIC_URL: Final = "RUNAPI_PUBLIC_URL"
SECRET: Final = "RUNAPI_FLEET_SECRET"  # noqa: S105 - a variable's name
SECRET_FILE: Final = "RUNAPI_FLEET_SECRET_FILE"  # noqa: S105 - another one's
REQUESTS_PER_SECOND: Final = "RUNAPI_REQUESTS_PER_SECOND"
FLEET_NAMES: Final = (PUBLIC_URL, SECRET, SECRET_FILE, REQUESTS_PER_SECOND)

_SHORTEST_SECRET: Final = 16
_MOST_REQUESTS: Final = 1_000
_HOW_TO_MAKE_ONE: Final = "`openssl rand -hex 32` makes one."


class FleetSettings(NamedTuple):
    public_url: str | None
    """Where RunAPI and callers reach the servers, without a slash at the end."""
    secrets: tuple[SecretStr, ...]
    """The first signs, all verify."""
    requests_per_second: float | None
    """Of one key to RunAPI, from all servers together; None for what RunAPI is known to take."""


def read_fleet(environ: Mapping[str, str]) -> FleetSettings:
    """
    Raises:
        NotConfigured: a value cannot be used, or an address has no secret beside it.
    """
    public_url, secrets = _public_url(environ), _secrets(environ)
    if public_url is not None and not secrets:
        raise NotConfigured(
            f"{PUBLIC_URL} needs {SECRET}: what comes to it is known by its signature.",
            f"Set it, the same for all servers. {_HOW_TO_MAKE_ONE}",
        )
    rate = values.number(environ, REQUESTS_PER_SECOND, "requests", _MOST_REQUESTS, 1)
    return FleetSettings(public_url, secrets, rate)


def _public_url(environ: Mapping[str, str]) -> str | None:
    url = values.stated(environ, PUBLIC_URL)
    if url is None:
        return None
    is_plain = is_http(url) and not {"@", "?", "#", "\\"} & set(url)
    if not is_plain or not (url.lower().startswith("https:") or is_loopback(url)):
        raise NotConfigured(
            f"{PUBLIC_URL} is not an https address.",
            "Set it to where the servers are reached from outside: https://mcp.example.com.",
        )
    return url.rstrip("/")


def _secrets(environ: Mapping[str, str]) -> tuple[SecretStr, ...]:
    value, path = environ.get(SECRET, "").strip(), values.stated(environ, SECRET_FILE)
    if value and path:
        raise NotConfigured(f"{SECRET} and {SECRET_FILE} are both set.", "Unset one of them.")
    name = SECRET if path is None else SECRET_FILE
    words = (value if path is None else values.file_text(name, path)).replace(",", " ").split()
    if path is not None and not words:
        raise NotConfigured(
            f"{name} names an empty file.", f"Write a secret into it. {_HOW_TO_MAKE_ONE}"
        )
    if any(len(word) < _SHORTEST_SECRET or values.is_leftover(word) for word in words):
        raise NotConfigured(
            f"{name} holds what is no secret: each has {_SHORTEST_SECRET} characters or more.",
            _HOW_TO_MAKE_ONE,
        )
    return tuple(map(SecretStr, words))
