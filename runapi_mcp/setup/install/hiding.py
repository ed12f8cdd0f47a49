"""Secrets of a host's file kept out of what is shown of it: ours and its other servers'."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, cast

HIDDEN: Final = "[hidden]"
_SHORTEST: Final = 4
_LONG: Final = 8
_NAMES: Final = r"key|token|secret|passw|pwd|auth|credential|bearer|cookie"
_TELLING: Final = re.compile(_NAMES, re.IGNORECASE)
_TELLING_OF_OTHERS: Final = re.compile(
    rf"{_NAMES}|^(env|environment|envs|headers|http_headers)$", re.IGNORECASE
)
"""Other servers keep secrets under any name among their variables and headers."""
_BY_SIGHT: Final = re.compile(
    rf"(?:{_NAMES})[\w.-]*[\"']?\s*[:=]\s*[\"']?([^\"'\s,{{}}\[\]]+)", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"(?:bearer|basic|token)\s+", re.IGNORECASE)
_NO_SECRET: Final = re.compile(
    r"[A-Z0-9]+(_[A-Z0-9]+)+|\$.*|\{.*|/.*|~.*|true|false|null|none|\d{1,6}"
)
"""The name of a variable, a template, a path, a switch, a number."""
_LOOKS_SECRET: Final = re.compile(
    r"(?i:(?<=bearer )[^\s\"'$,{]+)|\b[srp]k-[\w-]{8,}|\bgh[a-z]_\w{8,}|\bgithub_pat_\w+"
    r"|\bxox\w-[\w-]+|\bglpat-[\w-]+|\bAIza[\w-]{8,}|\bAKIA\w{8,}|\beyJ[\w-]{8,}[\w.-]*"
    r"|\brunapi_[A-Za-z0-9]{16,}|(?<=://)[^/@\s\"']+(?=@)"
    r"|(?i:(?<=[?&])[^=&\s]*(?:key|token|secret|auth|sig)[^=&\s]*=[^&\s\"']+)"
)


def secrets_in(value: object, ours: str) -> frozenset[str]:
    """What a file says under a telling name, or sets for servers other than the one named."""
    return _written(_found(value, _TELLING_OF_OTHERS, ours))


def plain_words_in(value: object, ours: str) -> frozenset[str]:
    """The words of our own entry, which are no secrets there, whatever others use them for."""
    return frozenset(_plain(value, ours, inside=False))


def secrets_by_sight(text: str) -> frozenset[str]:
    """The same of a text that cannot be read, as far as it can be seen."""
    return _written(_found(_BY_SIGHT.findall(text), _TELLING, "", tells=True))


def spellings(secret: str) -> set[str]:
    """How files and programs write a secret that has letters to be escaped."""
    return {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}


def hidden(text: str, secrets: Iterable[str]) -> str:
    """A text without these, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        whole = re.escape(secret)
        # A short one may be a part of another word.
        pattern = whole if len(secret) >= _LONG else rf"(?<!\w){whole}(?!\w)"
        text = re.sub(pattern, HIDDEN, text)
    return _LOOKS_SECRET.sub(HIDDEN, text)


def _found(
    value: object, telling: re.Pattern[str], ours: str, *, tells: bool = False
) -> Iterator[str]:
    if isinstance(value, str):
        secret = _SCHEME.sub("", value, count=1)
        if tells and len(secret) >= _SHORTEST and not _NO_SECRET.fullmatch(secret):
            yield secret
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            # What a user of ours sets is for them to see, but for the key.
            names = _TELLING if key == ours else telling
            told = tells or names.search(str(key)) is not None
            yield from _found(inner, names, ours, tells=told)
    elif isinstance(value, list):
        yield from _found_in_list(cast("list[object]", value), telling, ours, tells=tells)


def _found_in_list(
    values: list[object], telling: re.Pattern[str], ours: str, *, tells: bool
) -> Iterator[str]:
    """The words of a list; of a command's, also what an option with a telling name has."""
    for before, value in pairwise(["", *values]):
        name, equals, rest = value.partition("=") if isinstance(value, str) else ("", "", "")
        if equals and _TELLING.search(name):
            yield from _found(rest, telling, ours, tells=True)
        yield from _found(value, telling, ours, tells=tells or _asks_for_secret(before))


def _asks_for_secret(word: object) -> bool:
    """Whether the next word of a command is a secret."""
    if not isinstance(word, str) or not word.startswith("-") or "=" in word:
        return False
    return _TELLING.search(word) is not None


def _plain(value: object, ours: str, *, inside: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            if inside:
                yield str(key)
            if not (inside and _TELLING.search(str(key))):
                yield from _plain(inner, ours, inside=inside or key == ours)
    elif inside and isinstance(value, str):
        yield value
    elif inside and isinstance(value, list):
        for before, inner in pairwise(["", *cast("list[object]", value)]):
            if not _asks_for_secret(before):
                yield from _plain(inner, ours, inside=inside)


def _written(secrets: Iterable[str]) -> frozenset[str]:
    """Secrets as each format may write them, line by line."""
    return frozenset(form for secret in secrets for form in _forms(secret))


def _forms(secret: str) -> Iterator[str]:
    yield from spellings(secret)
    yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= _SHORTEST)
