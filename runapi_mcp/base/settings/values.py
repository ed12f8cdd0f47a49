"""How a text from the environment becomes a value, or a sentence that says what is allowed.

An idle server holds no more than this: what few settings need is imported where one is set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.urls import is_http, is_loopback

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_BASE_URL = "https://runapi.ai"
BASE_URL_NAME: Final = "RUNAPI_BASE_URL"
ZONE: Final = "RUNAPI_BUDGET_TIMEZONE"
MOST_DOLLARS: Final = 1_000_000
_LONGEST_FILE: Final = 65_536
ON: Final = ("1", "true", "yes", "on")
OFF: Final = ("0", "false", "no", "off")

_RUNAPIS: Final = re.compile(r"https://([a-z0-9-]+\.)*runapi\.ai(:\d+)?(/.*)?", re.IGNORECASE)
_LEFTOVER = re.compile(
    r"\$\{.*\}|\{\{.*\}\}|\{env:.*\}|\$(env:)?\w+|%\w+%|<.*>|YOUR[_-].*", re.IGNORECASE | re.DOTALL
)


def is_leftover(value: str) -> bool:
    """Whether a value is a placeholder that a host was meant to fill in."""
    return _LEFTOVER.fullmatch(value.strip()) is not None


def runapi_url(environ: Mapping[str, str], file: Mapping[str, object]) -> str:
    """RunAPI's address: as the environment has it, then the config file, then as it is known."""
    given = _first_url([environ.get(BASE_URL_NAME), file.get("base_url"), file.get("baseUrl")])
    return DEFAULT_BASE_URL if given is None else check_url(given)


def may_go_to(base_url: str, file: Mapping[str, object]) -> bool:
    """Whether the config file's key may go to an address: its own, RunAPI's, this machine's."""
    return is_own_address(base_url) or base_url == kept_address(file)


def kept_address(file: Mapping[str, object]) -> str | None:
    """The address that the config file names for its key; None for none that can be used."""
    kept = _first_url([file.get("base_url"), file.get("baseUrl")])
    try:
        return None if kept is None else check_url(kept)
    except NotConfigured:
        return None


def _first_url(candidates: Iterable[object]) -> str | None:
    for value in candidates:
        text = "" if value is None else str(value).strip().rstrip("/")
        if text and not is_leftover(text):
            return text
    return None


def is_own_address(url: str) -> bool:
    """Whether it is RunAPI's or this machine's, which any of the user's keys may be sent to."""
    return _RUNAPIS.fullmatch(url) is not None or (is_http(url) and is_loopback(url))


def check_url(
    url: str, vendor: str = "RunAPI", name: str = BASE_URL_NAME, usual: str = DEFAULT_BASE_URL
) -> str:
    """An address of a vendor as it is used: which variable sets it, and what it usually is.

    Raises:
        NotConfigured: it cannot be one.
    """
    # Paths are put behind it: no login, query or fragment. What a backslash is, readers differ in.
    if not is_http(url) or {"@", "?", "#", "\\"} & set(url):
        raise NotConfigured(
            f"The {vendor} base URL is not an http(s) address.",
            f"Set {name} to one such as {usual}, or unset it.",
        )
    scheme, _, rest = url.partition(":")
    return f"{scheme.lower()}:{rest}"


def stated(environ: Mapping[str, str], name: str) -> str | None:
    """The value as it stands; None when it is unset, blank or left unfilled by a host."""
    value = environ.get(name, "").strip()
    return None if not value or is_leftover(value) else value


def names(environ: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """A list of words, separated by commas or spaces; None when it is unset."""
    value = stated(environ, name)
    return None if value is None else tuple(value.replace(",", " ").split())


def folders(environ: Mapping[str, str], name: str) -> tuple[Path, ...]:
    """Absolute paths, separated as in PATH; none when it is unset."""
    value = stated(environ, name)
    if value is None:
        return ()
    from pathlib import Path

    try:
        paths = [Path(part).expanduser() for part in value.split(os.pathsep) if part.strip()]
    except RuntimeError as error:
        raise NotConfigured(f"{name} names a home that is not known.", "Write it out.") from error
    for path in paths:
        require_absolute(name, path)
    return tuple(paths)


def require_absolute(name: str, path: Path) -> None:
    """Nothing, when a path means the same wherever a host starts a server."""
    if not path.is_absolute():
        raise NotConfigured(
            f"{name} must be an absolute path, and {path} is not.",
            "Hosts start the server in different folders: write the path from the root.",
        )


def unknown_zone(environ: Mapping[str, str]) -> str | None:
    """What is to be said of a time zone that nobody knows, and is UTC therefore."""
    zone = stated(environ, ZONE)
    if zone is None:
        return None
    from runapi_mcp.base.days import is_readable

    if is_readable(zone):
        return None
    return f"{ZONE} names no time zone that is known here: the budget's days are those of UTC."


def file_text(name: str, path: str) -> str:
    """What stands in the file that a setting names, as one that keeps a secret does."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost every start
            return file.read(_LONGEST_FILE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no text"
        raise NotConfigured(
            f"The file that {name} names cannot be read: {reason}.",
            "Correct its path, or let this user read it.",
        ) from error


def switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    chosen = choice(environ, name)
    return default if chosen is None else chosen


def choice(environ: Mapping[str, str], name: str) -> bool | None:
    """On or off; None when it is left open."""
    value = (stated(environ, name) or "").lower()
    if value in ON or value in OFF:
        return value in ON
    if not value:
        return None
    raise NotConfigured(f"{name} is neither on nor off.", "Set it to 1 or 0, or unset it.")


def number(
    environ: Mapping[str, str], name: str, unit: str, most: int, least: int = 0
) -> float | None:
    """A number of a unit; None when it is unset."""
    value = stated(environ, name)
    if value is None:
        return None
    try:
        read = float(value)
    except ValueError:
        read = -1.0
    if not least <= read <= most:
        raise NotConfigured(
            f"{name} is not a number of {unit}.", f"Use {least} to {most}, or unset it."
        )
    return read


def cents(environ: Mapping[str, str], name: str) -> float | None:
    """An amount in US dollars, such as 0.50 or $2, as US cents; None when it is unset."""
    given = environ.get(name, "").strip()
    # What a person leaves blank in the form of a bundle, Claude Desktop leaves unfilled.
    if not given or given.startswith("${user_config."):
        return None
    amount = given.removeprefix("$").strip()
    # $2 is an amount, and $BUDGET is not.
    if is_leftover(given) and not amount[:1].isdigit():
        raise NotConfigured(
            f"{name} holds a placeholder that the host left unfilled: the limit is not known.",
            "Fill it in, or take the variable out.",
        )
    from decimal import Decimal, InvalidOperation

    try:
        dollars = Decimal(amount)
    except InvalidOperation:
        dollars = Decimal(-1)
    if not (dollars.is_finite() and 0 <= dollars <= MOST_DOLLARS):
        raise NotConfigured(
            f"{name} is not an amount in US dollars.", "Write it as 0.50, or unset it."
        )
    return tidy(float(dollars * 100))
