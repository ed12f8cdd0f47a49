"""The API key: where it is looked for, and what no key can be."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from runapi_mcp.base.errors import KeyMissing
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings.values import (
    BASE_URL_NAME,
    is_leftover,
    may_go_to,
)

KEY_PAGE = "https://runapi.ai"
KEY_NAMES = ("RUNAPI_API_KEY", "RUNAPI_KEY")
CONFIG_FILE = "RunAPI's config file"
"""Where a key is looked for last, in words."""
SHORTEST_KEY = 8


class Key(NamedTuple):
    """An API key; or none, and the failure that says why."""

    secret: SecretStr | None
    missing: KeyMissing | None = None
    source: str = ""
    """Where it was found, in words."""

    @property
    def from_environment(self) -> bool:
        """Whether it comes before the config file's, whatever stands there."""
        return self.secret is not None and self.source in KEY_NAMES

    def reveal(self) -> str:
        """The key itself, to be put on the wire and nowhere else.

        Raises:
            KeyMissing: there is none; it says how to get and set one.
        """
        if self.secret is None:
            raise self.missing or _no_key("No RunAPI API key is set.")
        return self.secret.get_secret_value()


def parse_key(value: str, source: str) -> Key:
    """A key from somebody's hands, checked for what no key can be."""
    text, holder = value.strip(), source[:1].upper() + source[1:]
    if not text or is_leftover(text):
        return Key(None, _no_key(f"{holder} holds no API key.", source))
    if len(text) < SHORTEST_KEY or not text.isascii() or not text.isprintable() or " " in text:
        return Key(None, _no_key(f"{holder} holds something that is not an API key.", source))
    return Key(SecretStr(text), source=source)


def find_key(
    environ: Mapping[str, str], file: Mapping[str, object], broken: str | None
) -> tuple[Key, tuple[str, ...]]:
    """The first key that is one, and what was found of others before it."""
    given = _given_keys(environ, file)
    said = tuple(missing.happened for missing in _before_the_first(given))
    if len(said) < len(given):
        return given[len(said)], said
    if broken:
        return Key(None, _no_key(broken, CONFIG_FILE)), said
    return given[0] if given else Key(None, _no_key("No RunAPI API key is set.")), said


def require_same_trust(key: Key, base_url: str, file: Mapping[str, object]) -> Key:
    """The key, or none where it is the config file's and the address is neither that nor RunAPI's.

    Who can set an address in an environment, such as a project, must not get the user's key so.
    """
    if key.secret is None or key.from_environment or may_go_to(base_url, file):
        return key
    return Key(None, _elsewhere(base_url))


def passed_over(environ: Mapping[str, str], file: Mapping[str, object]) -> tuple[KeyMissing, ...]:
    """What is no key and stands before the first that is one."""
    return tuple(_before_the_first(_given_keys(environ, file)))


def _before_the_first(given: Iterable[Key]) -> Iterator[KeyMissing]:
    for key in given:
        if key.missing is None:
            return
        yield key.missing


def _given_keys(environ: Mapping[str, str], file: Mapping[str, object]) -> list[Key]:
    found = [(name, environ.get(name, "")) for name in KEY_NAMES]
    for name in ("api_key", "apiKey"):
        value = file.get(name, "")
        text = value if isinstance(value, str) else "not a text"
        found.append((f'"{name}" in {CONFIG_FILE}', "" if value is None else text))
    return [parse_key(value, source) for source, value in found if value.strip()]


def _elsewhere(base_url: str) -> KeyMissing:
    return KeyMissing(
        f"The API key in {CONFIG_FILE} is not sent to {base_url}, which is neither RunAPI's nor "
        "stands beside it there.",
        f"Put `base_url` beside the key (`runapi-mcp login --base-url {base_url}`), or the key "
        "beside the address: RUNAPI_API_KEY in the server's environment.",
        BASE_URL_NAME,
    )


def _no_key(happened: str, source: str = "") -> KeyMissing:
    return KeyMissing(
        happened,
        "Call login, or run `runapi-mcp login`; or create a key at "
        f"{KEY_PAGE} and set it as RUNAPI_API_KEY in the server's environment. RUNAPI_SANDBOX=1 "
        "needs none.",
        source,
    )
