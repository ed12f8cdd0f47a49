"""What servers have in common that serve the same callers: an address, a secret, a pace."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import values
from runapi_mcp.base.urls import is_http, is_loopback

PUBLIC_URL: Final = "RUNAPI_PUBLIC_URL"
SECRET: Final = "RUNAPI_FLEET_SECRET"  # noqa: S105 - a variable's name
SECRET_FILE: Final = "RUNAPI_FLEET_SECRET_FILE"  # noqa: S105 - another one's
REQUEST_RATE: Final = "RUNAPI_REQUESTS_PER_SECOND"
DATABASE_URL: Final = "RUNAPI_DATABASE_URL"
DATABASE_URL_FILE: Final = "RUNAPI_DATABASE_URL_FILE"
BUCKET_URL: Final = "RUNAPI_PICTURES"
FLEET_NAMES: Final = (
    PUBLIC_URL,
    SECRET,
    SECRET_FILE,
    REQUEST_RATE,
    DATABASE_URL,
    DATABASE_URL_FILE,
    BUCKET_URL,
)

# A password with a bare @ would be taken for a part of the host, and shown with it.
_POSTGRES: Final = re.compile(r"postgres(ql)?://[^@\s]+(@[^@\s]+)?")
_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9/!_.*'()-]*)?")
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
    database_url: SecretStr | None
    """Of the PostgreSQL that keeps the ledger of all servers; None for a file of this machine."""

    pictures: str | None = None
    """The bucket for the pictures of callers over HTTP, as `s3://bucket/prefix`; None for none."""

    def hidden_words(self) -> list[str]:
        """What no log may show."""
        passwords = passwords_in(self.database_url) if self.database_url else ()
        return [*(secret.get_secret_value() for secret in self.secrets), *passwords]


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
    rate = values.number(environ, REQUEST_RATE, "requests", _MOST_REQUESTS, 1)
    pictures = _pictures(environ)
    if pictures is not None and public_url is None:
        raise NotConfigured(
            f"{BUCKET_URL} needs {PUBLIC_URL}: answers have links to it.",
            f"Set it to where the servers are reached from outside, and {SECRET} beside it.",
        )
    return FleetSettings(public_url, secrets, rate, _database_url(environ), pictures)


def _pictures(environ: Mapping[str, str]) -> str | None:
    url = values.stated(environ, BUCKET_URL)
    if url is not None and _BUCKET.fullmatch(url) is None:
        raise NotConfigured(
            f"{BUCKET_URL} is not the address of a bucket.", "Write it as s3://bucket/prefix."
        )
    return url


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


def passwords_in(url: SecretStr) -> Iterator[str]:
    """What must not be shown of a database's address, as it stands there and as it is meant."""
    # Imported here, because few servers have a database.
    from urllib.parse import parse_qs, unquote

    address, _, query = url.get_secret_value().partition("?")
    login, _, _ = address.partition("://")[2].partition("/")[0].rpartition("@")
    _, _, password = login.partition(":")
    yield from filter(None, [password, unquote(password)])
    yield from parse_qs(query).get("password", [])


def _database_url(environ: Mapping[str, str]) -> SecretStr | None:
    value, path = values.stated(environ, DATABASE_URL), values.stated(environ, DATABASE_URL_FILE)
    if value and path:
        raise NotConfigured(
            f"{DATABASE_URL} and {DATABASE_URL_FILE} are both set.", "Unset one of them."
        )
    name = DATABASE_URL if path is None else DATABASE_URL_FILE
    url = value if path is None else values.file_text(name, path).strip()
    if url is None:
        return None
    if not _POSTGRES.fullmatch(url):
        raise NotConfigured(
            f"{name} holds no address of a PostgreSQL database.",
            "Write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE, with %40 for an @ in it.",
        )
    return SecretStr(url)


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
