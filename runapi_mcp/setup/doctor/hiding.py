"""Secrets kept out of what is shown: whole ones anywhere, and parts of one in others' words."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

from runapi_mcp.base.json_values import is_object
from runapi_mcp.base.printable import on_one_line
from runapi_mcp.setup.doctor.configured import Configured
from runapi_mcp.setup.install.hiding import HIDDEN, spellings

SHORTEST_SECRET: Final = 8
SHORTEST_PART: Final = 6
_SECRET_NAME: Final = re.compile(r"key|token|secret|passw|auth|credential|bearer", re.IGNORECASE)
_GIVEN: Final = re.compile(
    r"[\w-]*(?:key|token|secret|passw|auth|credential|bearer)[\w-]*\s*[=:]\s*"
    r"(?:bearer\s+)?([^\s&;,\"']+)",
    re.IGNORECASE,
)
"""A value behind a telling name, within a word."""
_LOGIN: Final = re.compile(r"//[^/@\s]*?([^/@\s:]+)@")
_LIKE_A_KEY: Final = re.compile(r"(?=\D*\d)[\w-]{16,}")
_NO_SECRET: Final = re.compile(r"[A-Z_][A-Z0-9_]*|\$.*|\{.*|/.*|~.*")
"""The name of a variable, a template, a path."""
_LOOKS_SECRET: Final = re.compile(
    r"(?i:\bbearer\s+\S+)|\b[sr]k-[\w-]{8,}|\brunapi_[A-Za-z0-9]{16,}|//[^/@\s]+@"
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What must not be shown."""

    values: frozenset[str] = frozenset()

    def and_those_of(self, value: object) -> "Secrets":
        """With what stands under a telling name, however deep."""
        return self._and(_told_by_name(value))

    def and_those_in(self, entry: Configured) -> "Secrets":
        """With what an entry's command or address gives."""
        return self._and(_given_by(entry))

    def hidden(self, text: str) -> str:
        """The text without any secret of these."""
        for secret in sorted(self.values, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def hidden_in_foreign(self, text: str) -> str:
        """Another program's words without a secret, a part of one, or what looks like one."""
        covered = _LOOKS_SECRET.sub(HIDDEN, self.hidden(on_one_line(text)))
        return re.sub(r"\0+", HIDDEN, _masked(covered, self._parts()))

    def _and(self, secrets: Iterable[str]) -> "Secrets":
        found = {secret for secret in secrets if _is_secret(secret)}
        return Secrets(self.values | found.union(*map(spellings, found)))

    def _parts(self) -> set[str]:
        return {
            secret[start : start + SHORTEST_PART]
            for secret in self.values
            for start in range(len(secret) - SHORTEST_PART + 1)
        }


def _masked(text: str, parts: set[str]) -> str:
    letters = list(text)
    for start in range(len(text) - SHORTEST_PART + 1):
        if text[start : start + SHORTEST_PART] in parts:
            letters[start : start + SHORTEST_PART] = "\0" * SHORTEST_PART
    return "".join(letters)


def _told_by_name(value: object, *, telling: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        # "Bearer KEY" is two words, and the second one the secret.
        yield from (value, *value.split()) if telling else ()
    elif is_object(value):
        for name, inner in value.items():
            # To YAML, a name may be a number.
            named = _SECRET_NAME.search(str(name)) is not None
            yield from _told_by_name(inner, telling=telling or named)
    elif isinstance(value, list | tuple):
        for inner in cast("list[object]", value):
            yield from _told_by_name(inner, telling=telling)


def _given_by(entry: Configured) -> Iterator[str]:
    words = (*entry.words, entry.url)
    for word in words:
        yield from _GIVEN.findall(word)
        yield from _LOGIN.findall(word)
    for flag, value in pairwise(words):
        if flag.startswith("-") and _SECRET_NAME.search(flag):
            yield value
    added = entry.command.added if entry.command else ()
    yield from filter(_LIKE_A_KEY.fullmatch, added)


def _is_secret(word: str) -> bool:
    return len(word) >= SHORTEST_SECRET and not _NO_SECRET.fullmatch(word)
