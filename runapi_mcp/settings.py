"""What the environment and RunAPI's config file may say. The only room that reads either."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import SecretStr

from runapi_mcp.catalog.fields import is_http
from runapi_mcp.errors import KeyMissing, NotConfigured

DEFAULT_BASE_URL = "https://runapi.ai"
KEY_PAGE = "https://runapi.ai"
KEY_NAMES = ("RUNAPI_API_KEY", "RUNAPI_KEY")
SHORTEST_KEY = 8

_LEFTOVER = re.compile(
    r"\$\{.*\}|\{\{.*\}\}|\{env:.*\}|\$(env:)?\w+|%\w+%|<.*>|YOUR[_-].*", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key; or none, and the failure that says why."""

    secret: SecretStr | None
    missing: KeyMissing | None = None

    def reveal(self) -> str:
        """The key itself, to be put on the wire and nowhere else.

        Raises:
            KeyMissing: there is none; it says how to get and set one.
        """
        if self.secret is None:
            raise self.missing or _no_key("No RunAPI API key is set.")
        return self.secret.get_secret_value()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything configurable, parsed once."""

    base_url: str
    key: Key
    variants: tuple[str, ...] | None
    """Tiers and model ids to offer; None for all."""
    sandbox: bool
    sandbox_draw_seconds: float | None
    """How long the sandbox takes for a picture; None for as long as life does."""
    warnings: tuple[str, ...]
    """What a person should hear at the start: a broken file, a template left unfilled."""


def load(environ: Mapping[str, str] | None = None, *, sandbox: bool = False) -> Settings:
    """The settings of this process; in the sandbox, asked for here or there, no address is needed.

    Raises:
        NotConfigured: a value that cannot be used, named with what is allowed.
    """
    environ = os.environ if environ is None else environ
    file, broken = _read_config(config_path(environ))
    key, key_warnings = _key(environ, file, broken)
    sandbox = sandbox or _switch("RUNAPI_SANDBOX", environ.get("RUNAPI_SANDBOX", ""))
    return Settings(
        base_url=DEFAULT_BASE_URL if sandbox else _base_url(environ, file),
        key=key,
        variants=_names(environ.get("RUNAPI_VARIANTS")),
        sandbox=sandbox,
        sandbox_draw_seconds=_seconds(environ, "RUNAPI_SANDBOX_DRAW_SECONDS"),
        warnings=(*([broken] if broken else []), *key_warnings),
    )


def sandbox_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a server started for practice may inherit: how the sandbox behaves, and no key."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if name.startswith("RUNAPI_SANDBOX")}


def config_path(environ: Mapping[str, str]) -> Path | None:
    """RunAPI's config file, which its own CLI and servers share; None for a user without a home."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    try:
        folder = Path(home) if home else Path.home()
    except RuntimeError:
        return None
    return folder / ".config" / "runapi" / "config.json"


def is_leftover(value: str) -> bool:
    """Whether a value is a placeholder that a host was meant to fill in."""
    return _LEFTOVER.fullmatch(value.strip()) is not None


def given_key(value: str, source: str) -> Key:
    """A key from somebody's hands, checked for what no key can be."""
    text = value.strip()
    if not text or is_leftover(text):
        return Key(None, _no_key(f"{source} holds no API key."))
    if len(text) < SHORTEST_KEY or not text.isascii() or not text.isprintable() or " " in text:
        return Key(None, _no_key(f"{source} holds something that is not an API key."))
    return Key(SecretStr(text))


def _no_key(happened: str) -> KeyMissing:
    return KeyMissing(
        happened,
        f"Create a key at {KEY_PAGE} and set it as RUNAPI_API_KEY in the server's environment, "
        'or as "api_key" in ~/.config/runapi/config.json; RUNAPI_SANDBOX=1 needs none.',
    )


def _key(
    environ: Mapping[str, str], file: Mapping[str, object], broken: str | None
) -> tuple[Key, tuple[str, ...]]:
    """The first key that is one, and what was found of others before it."""
    found: list[str] = []
    for source, value in _key_candidates(environ, file):
        if not value.strip():
            continue
        key = given_key(value, source)
        if key.missing is None:
            return key, tuple(found)
        found.append(key.missing.happened)
    happened = broken or next(iter(found), "No RunAPI API key is set.")
    return Key(None, _no_key(happened)), tuple(found)


def _key_candidates(
    environ: Mapping[str, str], file: Mapping[str, object]
) -> list[tuple[str, str]]:
    found = [(name, environ.get(name, "")) for name in KEY_NAMES]
    for name in ("api_key", "apiKey"):
        value = file.get(name, "")
        text = value if isinstance(value, str) else "not a text"
        found.append((f'"{name}" in RunAPI\'s config file', "" if value is None else text))
    return found


def _read_config(path: Path | None) -> tuple[Mapping[str, object], str | None]:
    """The file's entries, and a sentence naming the file when it cannot be used."""
    if path is None:
        return {}, None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, None
    except (OSError, UnicodeDecodeError) as error:
        return {}, f"{path} cannot be read: {error}."
    try:
        entries: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"{path} is not valid JSON: {error}."
    if not isinstance(entries, dict):
        return {}, f"{path} must hold a JSON object."
    return cast("dict[str, object]", entries), None


def _base_url(environ: Mapping[str, str], file: Mapping[str, object]) -> str:
    candidates = [environ.get("RUNAPI_BASE_URL"), file.get("base_url"), file.get("baseUrl")]
    for value in candidates:
        text = "" if value is None else str(value).strip().rstrip("/")
        if text and not is_leftover(text):
            return _checked_base_url(text)
    return DEFAULT_BASE_URL


def _checked_base_url(url: str) -> str:
    if not _is_http_address(url):
        raise NotConfigured(
            "The RunAPI base URL is not an http(s) address.",
            f"Set RUNAPI_BASE_URL to one such as {DEFAULT_BASE_URL}, or unset it.",
        )
    scheme, _, rest = url.partition(":")
    return f"{scheme.lower()}:{rest}"


def _is_http_address(url: str) -> bool:
    """Whether paths can be put behind it: a host, and no login, query or fragment."""
    return is_http(url) and not {"@", "?", "#"} & set(url)


def _names(value: str | None) -> tuple[str, ...] | None:
    if value is None or not value.strip() or is_leftover(value):
        return None
    return tuple(value.replace(",", " ").split())


def _switch(name: str, value: str) -> bool:
    text = value.strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("", "0", "false", "no", "off") or is_leftover(text):
        return False
    raise NotConfigured(f"{name} is neither on nor off.", "Set it to 1 or 0, or unset it.")


def _seconds(environ: Mapping[str, str], name: str) -> float | None:
    text = environ.get(name, "").strip()
    if not text or is_leftover(text):
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise NotConfigured(f"{name} is not a number of seconds.", "Use 0 to 3600, or unset it.")
    return seconds
