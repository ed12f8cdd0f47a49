"""What must not be shown, and is not: the one rule for install's diff, the doctor, logs and errors.

A text that is shown is searched for known secrets and for what looks like a credential. What is
kept to be used again is searched for the caller's own key alone: a presigned address carries
credentials by design, and without them leads nowhere.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Final, cast
from urllib.parse import unquote

from runapi_mcp.base.printable import on_one_line

HIDDEN: Final = "[hidden]"
KEY_HIDDEN: Final = "[key-hidden]"
"""In place of the caller's own key, in what RunAPI answers."""
SHORTEST_SECRET: Final = 4
LONGEST_SECRET: Final = 500
"""Above it, to find one's place takes too long: what gives it away is hidden whole."""
LONG_SECRET: Final = 8
"""From here on, a secret is not taken for a part of another word."""
SHORTEST_PART: Final = 6
LONGEST_QUOTATION: Final = 300
_MOST_OF_A_CRASH: Final = 200
"""How many characters are shown of what one says."""

_TELLING_NAME: Final = r"key|token|secret|passw|pwd|auth|credential|bearer|cookie"
_TELLING: Final = re.compile(_TELLING_NAME, re.IGNORECASE)
_TELLING_OF_OTHERS: Final = re.compile(
    rf"{_TELLING_NAME}|^(env|environment|envs|headers|http_headers)$", re.IGNORECASE
)
"""Other servers keep secrets under any name among their variables and headers."""
_TELLING_QUERY: Final = re.compile(rf"{_TELLING_NAME}|\bsig", re.IGNORECASE)
_GIVEN: Final = re.compile(
    rf"(?:{_TELLING_NAME})[\w.-]{{0,64}}+[\"']?\s{{0,8}}[:=]\s{{0,8}}[\"']?"
    r"((?:(?:bearer|basic|token)\s{1,8})?[^\"'\s,;&{}\[\]]+)",
    re.IGNORECASE,
)
"""A value behind a telling name, in whatever language."""
_SCHEME: Final = re.compile(r"(?:bearer|basic|token)\s+", re.IGNORECASE)
_NO_SECRET: Final = re.compile(
    r"[A-Z0-9]+(_[A-Z0-9]+)+|\$.*|\{.*|/.*|~.*|[A-Za-z]:[\\/].*|true|false|null|none|\d{1,6}"
)
"""The name of a variable, a template, a path, a switch, a number."""

_SHAPES: Final = r"""
    # What names its provider.
    \b(?: [srp]k[-_][\w-]{8,} | gh[a-z]_\w{8,} | github_pat_\w+ | glpat-[\w-]+ | xox\w-[\w-]+
        | AIza[\w-]{8,} | A(?:KI|SI)A\w{8,} | hf_\w{16,} | rf_[a-z]{3,8}_\w{8,} | npm_\w{16,}
        | runapi_[A-Za-z0-9]{16,} )
    # A JWT, whole or its head alone.
    | \beyJ[\w-]{8,}[\w.-]*
    # The login in an address.
    | (?<=://)[^/\s"'?#]+(?=@)
    # A parameter of an address, where its name tells.
    | (?<=[?&;])(?P<parameter>[\w.~%-]{1,64}+=)[^&;\s"'<>]+
    # A header.
    | (?i:\b(?P<header>
        (?:authorization|api[-_]?key|auth-token|access[-_]token)["']?\s{0,8}[:=]\s{0,8}["']?
        (?:(?:bearer|basic|token)\s{1,8})?+)
        [^\s"',;&$<>{}()\[\]]{6,})
    # "Bearer token" are words, and no token.
    | (?i:\b(?P<bearer>bearer\s{1,8})
        (?!(?:tokens?|keys?|auth(?:entication|orization)?|schemes?|headers?)(?![\w.~+/=-]))
        [^\s"',;$<>{}()\[\]]+)
"""
"""No pattern looks twice at the same letters, so that hostile texts take no longer than others."""


def hide_credentials(text: str) -> str:
    """A text that is shown, without what looks like a credential."""
    return _shapes().sub(_masked, text)


def excerpt(text: str, longest: int) -> str:
    """The beginning of another program's words, on one line and fit to be shown."""
    # Cut before it is searched, and between words, so that no half of a secret is left.
    begin = " ".join(on_one_line(text[: 16 * longest]).split())
    words = begin.rpartition(" ")[0] if len(text) > 16 * longest else ""
    # A text without spaces is cut where it must be.
    shown = hide_credentials(words if len(words) > longest else begin)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def quote(text: str, longest: int = LONGEST_QUOTATION) -> str:
    """An excerpt in quotation marks, which nothing in it ends."""
    return json.dumps(excerpt(text, longest), ensure_ascii=False)


def crash_words(error: BaseException) -> str:
    """What a crash is called and says; of several at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    words = excerpt(str(error), _MOST_OF_A_CRASH)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


@cache
def _shapes() -> re.Pattern[str]:
    # Not at import: servers start often, and seldom have anything to hide.
    return re.compile(_SHAPES, re.VERBOSE)


def _masked(found: re.Match[str]) -> str:
    parameter = found["parameter"]
    if parameter and not _TELLING_QUERY.search(parameter):
        return found[0]
    return f"{parameter or found['header'] or found['bearer'] or ''}{HIDDEN}"


class Secret:
    """One secret, found in every form that gives it away.

    Plain, percent-encoded, escaped as in JSON or Python, in base64 at any offset, hex, or
    backwards; and each of these with spaces or line breaks between its letters.
    """

    def __init__(self, value: str) -> None:
        self._forms = tuple(dict.fromkeys(_forms(value)))
        self._is_too_long = len(value) > LONGEST_SECRET

    def is_in(self, text: str) -> bool:
        """Whether the text gives it away. Cheap: most texts do not."""
        solid = "".join(text.split())
        if any(form in solid for form in self._forms):
            return True
        decoded = unquote(solid) if "%" in solid else ""
        return any(form in decoded for form in self._forms)

    def hide(self, text: str, mark: str = HIDDEN) -> str:
        """The text without it."""
        if not self.is_in(text):
            return text
        return mark if self._is_too_long else self._pattern().sub(mark, text)

    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._forms, key=len, reverse=True)
        return re.compile("|".join(r"\s*+".join(map(_letter, form)) for form in longest_first))


def _forms(value: str) -> Iterator[str]:
    solid = "".join(value.split())
    yield solid
    # How files and programs, and Python's own messages, write one that has letters to be escaped.
    for written in (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        yield "".join(written[1:-1].split())
    if len(solid) < LONG_SECRET:
        return
    data = value.encode("utf-8", "surrogatepass")
    yield from (solid[::-1], data.hex(), data.hex().upper())
    for offset in range(3):
        # Letters that hold bits of a neighbour differ from text to text.
        first, end = -(-8 * offset // 6), 8 * (offset + len(data)) // 6
        core = b64encode(bytes(offset) + data).decode()[first:end]
        yield from (core, core.translate({ord("+"): "-", ord("/"): "_"}))


def _letter(letter: str) -> str:
    encoded = "".join(f"%{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(letter)}|(?i:{encoded}))"


class Secrets:
    """The secrets that are known where something is shown."""

    def __init__(self, values: Iterable[str] = (), shortest: int = SHORTEST_SECRET) -> None:
        self._values = frozenset(value for value in values if len(value) >= shortest)
        by_length = sorted(self._values, key=len, reverse=True)
        self._long = [Secret(value) for value in by_length if len(value) >= LONG_SECRET]
        self._short = [value for value in by_length if len(value) < LONG_SECRET]

    def hide(self, text: str) -> str:
        """The text without any of them, and without what looks like one."""
        for secret in self._long:
            text = secret.hide(text)
        for short in self._short:
            # It may be a part of another word.
            text = re.sub(rf"(?<!\w){re.escape(short)}(?!\w)", HIDDEN, text)
        return hide_credentials(text)

    def hide_in_foreign(self, text: str) -> str:
        """Another program's words, which may also name a part of one."""
        letters = list(self.hide(on_one_line(text)))
        for start in self._starts_of_parts("".join(letters)):
            letters[start : start + SHORTEST_PART] = "\0" * SHORTEST_PART
        return re.sub(r"\0+", HIDDEN, "".join(letters))

    def _starts_of_parts(self, text: str) -> list[int]:
        parts = {part for value in self._values for part in _parts(value)}
        return [start for start, part in enumerate(_parts(text)) if part in parts]


def _parts(text: str) -> list[str]:
    return [text[at : at + SHORTEST_PART] for at in range(len(text) - SHORTEST_PART + 1)]


def secrets_in(value: object, ours: str = "") -> Iterator[str]:
    """What stands in a host's file or an environment under a telling name, however deep.

    Where our server is named, also whatever is set for the servers beside it.
    """
    return _found(value, _TELLING_OF_OTHERS if ours else _TELLING, ours)


def secrets_by_sight(text: str) -> Iterator[str]:
    """What a text that cannot be read gives behind a telling name."""
    for given in _GIVEN.findall(text):
        yield from _found_in_text(given, tells=True)


def plain_words_in(value: object, ours: str, *, inside: bool = False) -> Iterator[str]:
    """The words of our own entry, which are no secrets there, whatever others use them for."""
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            if inside:
                yield str(key)
            if not (inside and _TELLING.search(str(key))):
                yield from plain_words_in(inner, ours, inside=inside or key == ours)
    elif inside and isinstance(value, str):
        yield value
    elif inside and isinstance(value, list):
        for before, inner in pairwise(["", *cast("list[object]", value)]):
            if not _asks_for_secret(before):
                yield from plain_words_in(inner, ours, inside=inside)


def _found(
    value: object, telling: re.Pattern[str], ours: str, *, tells: bool = False
) -> Iterator[str]:
    if isinstance(value, str):
        yield from _found_in_text(value, tells=tells)
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            # What a user of ours sets is for them to see, but for the key.
            names = _TELLING if key == ours else telling
            # To YAML, a name may be a number.
            told = tells or names.search(str(key)) is not None
            yield from _found(inner, names, ours, tells=told)
    elif isinstance(value, list | tuple):
        # In a command, an option with a telling name has its value as the next word.
        for before, inner in pairwise(["", *cast("list[object]", value)]):
            told = tells or _asks_for_secret(before)
            yield from _found(inner, telling, ours, tells=told)
            if isinstance(inner, str):
                yield from secrets_by_sight(inner)


def _found_in_text(text: str, *, tells: bool) -> Iterator[str]:
    candidates = [_SCHEME.sub("", text, count=1)] if tells else []
    for found in _shapes().finditer(text):
        given = found["parameter"] or found["header"] or found["bearer"] or ""
        if not found["parameter"] or _TELLING_QUERY.search(given):
            candidates += [found[0].removeprefix(given), found[0].partition(":")[2]]
    for candidate in candidates:
        lines = (line.strip() for line in (candidate, *candidate.splitlines()))
        yield from (line for line in lines if _is_secret(line))


def _is_secret(text: str) -> bool:
    return len(text) >= SHORTEST_SECRET and not _NO_SECRET.fullmatch(text)


def _asks_for_secret(word: object) -> bool:
    """Whether the next word of a command is a secret."""
    if not isinstance(word, str) or not word.startswith("-") or "=" in word:
        return False
    return _TELLING.search(word) is not None
