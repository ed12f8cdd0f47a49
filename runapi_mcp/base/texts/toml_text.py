"""TOML, changed by splicing. The standard library reads it; this finds where its statements stand.

An entry is a table of its own, added at the end, where it changes nothing else.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from runapi_mcp.base.texts.text import (
    KeyPath,
    UnusableText,
    line_of,
    newline_of,
    require_bounded,
    splice,
    value_at,
)

MOST_DOTS: Final = 1_000
_TOKEN: Final = re.compile(
    r"""
    \"\"\"(?:\\.|[^\\])*?(?:\"{3,5}|\\?\Z) | '''.*?(?:'{3,5}|\Z)
    | "(?:\\.|[^"\\\n])*+"? | '[^'\n]*+'?
    | \#[^\n]* | \r?\n | [\[\]{}=] | [^"'\#\n\r\[\]{}=]+ | .
    """,
    re.DOTALL | re.VERBOSE,
)
_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)\Z")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class _Statement:
    """A table's header, or a key with its value."""

    path: KeyPath
    table: KeyPath
    """The table it stands in; its own path for a header."""
    start: int
    equals: int
    """Where its `=` is; -1 for a header."""
    end: int
    """Where its last token ends, without a comment."""
    line_end: int
    """Where the next line begins."""

    @property
    def is_header(self) -> bool:
        return self.equals < 0


class TomlText:
    def __init__(self, text: str) -> None:
        self.text = text
        self.value: object = _parsed(text)
        self._newline = newline_of(text)
        self._statements = list(_statements(text))

    def raw(self, path: KeyPath) -> str:
        if not path:
            return self.text
        own = self._own(path)
        return self.text[own[0].start : own[-1].line_end] if own else ""

    def is_bare(self, path: KeyPath) -> bool:
        return not self._own(path)

    def put(self, path: KeyPath, value: object) -> str:
        inline = None if _is_table(value) else self._statement(path[:-1])
        if inline is not None:
            table = cast("Mapping[str, object]", value_at(self.value, path[:-1]))
            return self._rewritten(inline, {**table, path[-1]: value})
        self._refuse_inline(path[:-1])
        exact = self._statement(path)
        if exact is not None:
            return self._rewritten(exact, value)
        if isinstance(value, Mapping):
            if self._own(path):  # which may not be declared again
                return TomlText(self.cut(path)).put(path, cast("object", value))
            return self._with_table(path, cast("Mapping[str, object]", value))
        last = self._last_beside(path)
        if last is None:
            return self._with_table(path[:-1], {path[-1]: value})
        key = ".".join(map(_key, path[len(last.table) :]))
        return self._after(last, f"{key} = {_value(value)}")

    def put_back(self, path: KeyPath, empty: str) -> str:
        return self.text  # where what is left of a table is what was there

    def cut(self, path: KeyPath) -> str:
        inline = None if _is_table(value_at(self.value, path)) else self._statement(path[:-1])
        if inline is not None:
            table = cast("Mapping[str, object]", value_at(self.value, path[:-1]))
            rest = {key: value for key, value in table.items() if key != path[-1]}
            return self._rewritten(inline, rest)
        self._refuse_inline(path[:-1])
        blocks = list(self._blocks(path))
        text = splice(self.text, *((start, end, "") for start, end in blocks))
        if blocks and blocks[-1][1] == len(self.text) and not self.text.endswith("\n"):
            # Without one it ended, and without one it shall.
            return text.removesuffix(_line_break_before(text, len(text)))
        return text

    def _blocks(self, path: KeyPath) -> Iterator[tuple[int, int]]:
        """What belongs to an entry, as ranges of whole lines; not what is noted above a table."""
        run: list[_Statement] = []
        for statement in self._statements:
            is_own = statement.path[: len(path)] == path
            if run and (statement.is_header or not is_own):
                yield self._range(run)
                run = []
            run += [statement] * is_own
        if run:
            yield self._range(run)

    def _range(self, run: list[_Statement]) -> tuple[int, int]:
        """The lines of some statements, with the empty line before a table."""
        start, line_break = run[0].start, _line_break_before(self.text, run[0].start)
        # The first line, if it is empty, was not made for a table: that has it only after others.
        is_after_empty = bool(_line_break_before(self.text, start - len(line_break)))
        if run[0].is_header and is_after_empty:
            start -= len(line_break)
        return start, run[-1].line_end

    def _with_table(self, path: KeyPath, value: Mapping[str, object]) -> str:
        lines = "\n".join(_table_lines(path, value))
        if not self.text:
            return f"{lines}\n"
        ends = self.text.endswith("\n")
        block = f"\n{lines}\n" if ends else f"\n\n{lines}"
        return self.text + block.replace("\n", self._newline)

    def _after(self, statement: _Statement, line: str) -> str:
        if statement.line_end == len(self.text) and not self.text.endswith("\n"):
            return f"{self.text}{self._newline}{line}"
        return splice(self.text, (statement.line_end, statement.line_end, f"{line}{self._newline}"))

    def _own(self, path: KeyPath) -> list[_Statement]:
        return [s for s in self._statements if s.path[: len(path)] == path]

    def _statement(self, path: KeyPath) -> _Statement | None:
        """The one key with its value that is all of a path."""
        return next((s for s in self._statements if s.path == path and not s.is_header), None)

    def _last_beside(self, path: KeyPath) -> _Statement | None:
        """The last statement of a key's table, be it under its header or of dotted keys."""
        header = any(s.is_header and s.path == path[:-1] for s in self._statements)
        beside = [s for s in self._own(path[:-1]) if s.table == path[:-1]]
        dotted = [s for s in self._own(path[:-1]) if len(s.table) < len(path[:-1])]
        return next(reversed(beside if header else dotted), None)

    def _rewritten(self, statement: _Statement, value: object) -> str:
        return splice(self.text, (statement.equals + 1, statement.end, f" {_value(value)}"))

    def _refuse_inline(self, path: KeyPath) -> None:
        for statement in self._statements:
            whole = statement.path == path[: len(statement.path)]
            if whole and not statement.is_header:
                name = ".".join(statement.path)
                line = line_of(self.text, statement.start)
                raise UnusableText(f"“{name}” is not written as tables of their own", line)


def _statements(text: str) -> Iterator[_Statement]:
    table: KeyPath = ()
    index = 0
    while index < len(text):
        equals, end, line_end = _statement_at(text, index)
        first = text[index:end].lstrip(" \t")
        start = end - len(first)
        if first.startswith("["):
            table = _path(first.strip("[] \t"))
            yield _Statement(table, table, index, -1, end, line_end)
        elif first:
            path = (*table, *_path(text[start:equals]))
            yield _Statement(path, table, index, equals, end, line_end)
        index = line_end


def _statement_at(text: str, index: int) -> tuple[int, int, int]:
    """Where the first `=` of a statement is, its last token ends, and the next line begins."""
    depth, equals, end = 0, -1, index
    for token in _TOKEN.finditer(text, index):
        word = token[0]
        if word in ("\n", "\r\n") and depth == 0:
            return equals, end, token.end()
        if word[0] == "#" or not word.strip():
            continue
        end = token.end() - (len(word) - len(word.rstrip()))
        depth += (word in ("[", "{")) - (word in ("]", "}"))
        if word == "=" and equals < 0:
            equals = token.start()
    return equals, end, len(text)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _path(key: str) -> KeyPath:
    """The keys of a dotted key."""
    value: object = tomllib.loads(f"{key} = 0")
    keys: list[str] = []
    while isinstance(value, dict):
        key, value = next(iter(cast("dict[str, object]", value).items()))
        keys.append(key)
    return tuple(keys)


def _line_break_before(text: str, index: int) -> str:
    if text[max(0, index - 2) : index] == "\r\n":
        return "\r\n"
    return "\n" if text[:index].endswith("\n") else ""


def _table_lines(path: KeyPath, value: Mapping[str, object]) -> Iterator[str]:
    """A table in full: its header, its own keys, then the tables within it."""
    yield f"[{'.'.join(map(_key, path))}]"
    tables: list[tuple[str, Mapping[str, object]]] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            tables.append((key, cast("Mapping[str, object]", inner)))
        else:
            yield f"{_key(key)} = {_value(inner)}"
    for key, table in tables:
        yield ""
        yield from _table_lines((*path, key), table)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, object]", value).items()
        return f"{{ {', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in pairs)} }}"
    # A JSON string, number, list or boolean is TOML too, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _parsed(text: str) -> object:
    try:
        # For a key of so many parts, tomllib takes as long as the square of their number.
        longest = max((line.count(".") for line in text.splitlines()), default=0)
        if longest > MOST_DOTS:
            raise UnusableText(f"a line has {longest} dots")
        return require_bounded(tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        why = str(error).rpartition(" (at ")[0]
        last = line_of(text, len(text))
        raise UnusableText(why, min(int(line[1]), last) if line else last) from error
    except ValueError as error:  # of a number with thousands of digits
        raise UnusableText("a number is too long") from error
    except RecursionError as error:
        raise UnusableText("it is nested too deeply") from error
