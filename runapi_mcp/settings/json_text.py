"""A JSON object as its text: one entry changed, and every other byte left as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

_SPACE: Final = " \t\n\r"


class NotAnObject(ValueError):
    """A text that is no JSON object. `str()` goes on after the file's name."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where an entry stands: its name begins at `start`, its value is the slice that follows."""

    name: str
    start: int
    value_start: int
    end: int


class JsonText:
    """The text of one JSON object."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._entries = _entries(text)

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self._entries]

    def with_entry(self, name: str, value: str) -> JsonText:
        """The same text with this one entry of that name: where it stood, or at the end."""
        written = json.dumps(value)
        if name not in self.names:
            return self._appended(f"{json.dumps(name)}: {written}")
        if self.names.count(name) > 1:
            return self.without(name).with_entry(name, value)
        entry = self._entries[self.names.index(name)]
        return JsonText(self.text[: entry.value_start] + written + self.text[entry.end :])

    def without(self, name: str) -> JsonText:
        """The same text without any entry of this name."""
        if name not in self.names:
            return self
        index = self.names.index(name)
        first, entry = index == 0, self._entries[index]
        if not first:
            start, end = self._entries[index - 1].end, entry.end
        elif len(self._entries) > 1:
            start, end = entry.start, self._entries[1].start
        else:
            start, end = self.text.index("{") + 1, self.text.rindex("}")
        return JsonText(self.text[:start] + self.text[end:]).without(name)

    def _appended(self, entry: str) -> JsonText:
        if not self._entries:
            start, end = self.text.index("{") + 1, self.text.rindex("}")
            return JsonText(f"{self.text[:start]}\n  {entry}\n{self.text[end:]}")
        last = self._entries[-1]
        before, after = self.text[: last.end], self.text[last.end :]
        return JsonText(f"{before},{self._space_before(last)}{entry}{after}")

    def _space_before(self, entry: _Entry) -> str:
        before = self.text[: entry.start]
        return before[len(before.rstrip(_SPACE)) :]


def _entries(text: str) -> list[_Entry]:
    try:
        # A byte order mark may stand first; JSON itself knows none.
        value: object = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise NotAnObject(f"is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotAnObject("must hold a JSON object")
    return list(_scanned(text, text.index("{") + 1))


def _scanned(text: str, at: int) -> Iterator[_Entry]:
    """The entries of a text that is known to be an object, from behind its brace on."""
    decode = json.JSONDecoder().raw_decode
    at = _past_space(text, at)
    while text[at] == '"':
        start = at
        name, at = decode(text, start)
        value_start = _past_space(text, _past_space(text, at) + 1)
        _, end = decode(text, value_start)
        yield _Entry(cast("str", name), start, value_start, end)
        at = _past_space(text, end)
        if text[at] == ",":
            at = _past_space(text, at + 1)


def _past_space(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at
