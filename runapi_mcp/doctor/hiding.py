"""Secrets kept out of what is shown: whole ones anywhere, and parts of one in others' words."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from runapi_mcp.doctor.reading import as_mapping

HIDDEN: Final = "[hidden]"
SHORTEST_SECRET: Final = 8
SHORTEST_PART: Final = 6
_SECRET_NAME: Final = re.compile(r"key|token|secret|passw|auth|credential|bearer", re.IGNORECASE)
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
        return Secrets(self.values | set(_told_by_name(value)))

    def hidden(self, text: str) -> str:
        """The text without any secret of these."""
        for secret in sorted(self.values, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def hidden_in_foreign(self, text: str) -> str:
        """Another program's words without a secret, a part of one, or what looks like one."""
        flat = "".join(letter if letter.isprintable() else " " for letter in text)
        covered = _LOOKS_SECRET.sub(HIDDEN, self.hidden(flat))
        return re.sub(r"\0+", HIDDEN, _masked(covered, self._parts()))

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
        words = {value, *value.split()} if telling else set[str]()
        yield from (word for word in words if _is_secret(word))
    elif isinstance(value, Mapping):
        for name, inner in as_mapping(cast("object", value)).items():
            named = _SECRET_NAME.search(name) is not None
            yield from _told_by_name(inner, telling=telling or named)
    elif isinstance(value, list | tuple):
        for inner in cast("list[object]", value):
            yield from _told_by_name(inner, telling=telling)


def _is_secret(word: str) -> bool:
    return len(word) >= SHORTEST_SECRET and not _NO_SECRET.fullmatch(word)
