"""JSON, with or without comments and trailing commas, changed by splicing.

Comments and trailing commas are blanked in a copy of the same length. The standard library reads
that copy, at its speed, and where it finds a thing is where the thing stands in the text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from runapi_mcp.base.texts.text import (
    KeyPath,
    UnusableText,
    cut_member,
    inline_json,
    line_of,
    newline_of,
    quoted_path,
    require_bounded,
    splice,
    value_at,
    without_space,
)

# What nothing closes ends with the text: else each of its beginnings would be tried to the end.
_STRING: Final = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_COMMENTS: Final = re.compile(rf"{_STRING}|//[^\r\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING_COMMAS: Final = re.compile(rf"{_STRING}|[\[{{]\s*,|,(?=\s*[}}\]])", re.DOTALL)
_TRAILING_COMMA: Final = re.compile(r",\s*[}\]]")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_LINE_START: Final = re.compile(r"^[ \t]*", re.MULTILINE)
_decode: Final = json.JSONDecoder().raw_decode
_INDENTED: Final = re.compile(r"^([ \t]+)\S", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Member:
    key: str
    start: int
    value_start: int
    end: int


class JsonText:
    def __init__(self, text: str, *, comments: bool, trailing_commas: bool) -> None:
        self.text = text
        self._commas = _COMMENTS.sub(_blank_comment, text) if comments else text
        plain = _TRAILING_COMMAS.sub(_blank_comma, self._commas) if trailing_commas else None
        self._plain = self._commas if plain is None else plain
        self._known: dict[int, list[_Member]] = {}
        self._newline = newline_of(text)
        self.value: object = None if not self._plain.strip() else _parsed(self._plain)

    def raw(self, path: KeyPath) -> str:
        if self.value is None:
            return "" if path else self.text
        start, end = self._span(path) or (0, 0)
        return self.text[start:end]

    def is_bare(self, path: KeyPath) -> bool:
        member = self._member(path)
        if member is None:
            return True
        key = _decode(self._plain, member.start)[1]
        return without_space(self.text[key : member.end]) == ":{}"

    def put(self, path: KeyPath, value: object) -> str:
        if not path:
            return self._whole(value)
        if value_at(self.value, path[:-1]) is None:
            return self.put(path[:-1], {path[-1]: value})
        found = self._member(path)
        if found is None:
            return self._added(path, value)
        written = self._written(value, self._line_indent(found.start))
        return splice(self.text, (found.value_start, found.end, written))

    def put_back(self, path: KeyPath, empty: str) -> str:
        span = self._span(path)
        same = without_space(self.raw(path)) in ("{}", without_space(empty))
        return splice(self.text, (*span, empty.strip())) if span and same else self.text

    def cut(self, path: KeyPath) -> str:
        opening, member = self._opening(path[:-1]), self._member(path)
        if member is None:
            return self.text
        members = self._members_of(opening)
        index = members.index(member)
        before = members[index - 1].end if index else opening + 1
        following = members[index + 1 : index + 2]
        after = following[0].start if following else self._close(members, opening)
        return cut_member(self.text, before, (member.start, member.end), after, "//")

    def _whole(self, value: object) -> str:
        """A text that says nothing yet, with a value after what comments it holds."""
        if self.value is not None:
            start, end = self._root()
            return splice(self.text, (start, end, self._written(value, "")))
        if self._plain.strip():
            raise UnusableText("the whole is not an object")
        gap = self._newline if self.text and not self.text.endswith("\n") else ""
        return f"{self.text}{gap}{self._written(value, '')}{self._newline}"

    def _added(self, path: KeyPath, value: object) -> str:
        opening = self._opening(path[:-1])
        members = self._members_of(opening)
        close = self._close(members, opening)
        body = self.text[opening : close + 1]
        key = inline_json(path[-1])
        if self._is_inline(body, members):
            spaced = " " if not members or re.search(r"[,:]\s", body) else ""
            separators = (f",{spaced}", f":{spaced}")
            written = json.dumps(value, ensure_ascii=False, separators=separators)
            return self._inserted(members, close, f"{key}:{spaced}{written}", spaced, "")
        indent, outer = self._indents(members, opening)
        gap, end = self._newline + indent, self._newline + outer
        return self._inserted(members, close, f"{key}: {self._written(value, indent)}", gap, end)

    def _is_inline(self, body: str, members: list[_Member]) -> bool:
        """Whether an object is on one line, and wants to stay there."""
        whole = self.text.strip()
        return "\n" not in body and (bool(members) or ("\n" not in whole and whole != body))

    def _inserted(
        self, members: list[_Member], close: int, written: str, gap: str, end: str
    ) -> str:
        """With a member last, after the comments of the one before it."""
        ink = len(self.text[:close].rstrip(" \t\r\n"))
        if not members:
            keeps_end = not end or "\n" in self.text[ink:close]
            gap = gap if end else ""
            tail = (ink, "") if keeps_end else (close, end)
            return splice(self.text, (ink, tail[0], f"{gap}{written}{tail[1]}"))
        last = members[-1].end
        if self._commas[_after_space(self._commas, last)] == ",":
            return splice(self.text, (ink, ink, f"{gap}{written},"))
        if ink == last:
            return splice(self.text, (ink, ink, f",{gap}{written}"))
        return splice(self.text, (last, last, ","), (ink, ink, gap + written))

    def _indents(self, members: list[_Member], opening: int) -> tuple[str, str]:
        """How far the members of an object are indented, and its closing brace."""
        outer = self._line_indent(opening)
        if members and self._starts_line(members[-1].start):
            return self._line_indent(members[-1].start), outer
        return outer + self._unit(), outer

    def _unit(self) -> str:
        indented = _INDENTED.search(self._plain)
        return indented[1] if indented else "  "

    def _line_indent(self, index: int) -> str:
        found = _LINE_START.match(self.text, self.text.rfind("\n", 0, index) + 1)
        return found[0] if found else ""

    def _starts_line(self, index: int) -> bool:
        return not self.text[self.text.rfind("\n", 0, index) + 1 : index].strip()

    def _written(self, value: object, indent: str) -> str:
        return _laid_out(value, self._unit()).replace("\n", self._newline + indent)

    def _span(self, path: KeyPath) -> tuple[int, int] | None:
        if not path:
            return self._root()
        member = self._member(path)
        return (member.value_start, member.end) if member else None

    def _root(self) -> tuple[int, int]:
        start = _after_space(self._plain, 0)
        return start, _decode(self._plain, start)[1]

    def _opening(self, path: KeyPath) -> int:
        member = self._member(path) if path else None
        start = self._root()[0] if not path else member.value_start if member else -1
        if start < 0 or self._plain[start] != "{":
            raise UnusableText(f"{quoted_path(path)} is not an object")
        return start

    def _member(self, path: KeyPath) -> _Member | None:
        start = self._root()[0] if self.value is not None else -1
        member = None
        for key in path:
            if start < 0 or self._plain[start] != "{":
                return None
            same = [member for member in self._members_of(start) if member.key == key]
            if len(same) > 1:
                raise UnusableText(f"“{key}” stands there twice", line_of(self.text, same[1].start))
            if not same:
                return None
            member = same[0]
            start = member.value_start
        return member

    def _members_of(self, opening: int) -> list[_Member]:
        # Kept, because finding them reads every one of them.
        if opening not in self._known:
            self._known[opening] = list(self._members(opening))
        return self._known[opening]

    def _members(self, opening: int) -> Iterator[_Member]:
        index = _after_space(self._plain, opening + 1)
        while self._plain[index] != "}":
            key, after = _decode(self._plain, index)
            value_start = _after_space(self._plain, _after_space(self._plain, after) + 1)
            end = _decode(self._plain, value_start)[1]
            yield _Member(str(key), index, value_start, end)
            index = _after_space(self._plain, end)
            if self._plain[index] == ",":
                index = _after_space(self._plain, index + 1)

    def _close(self, members: list[_Member], opening: int) -> int:
        return _after_space(self._plain, members[-1].end if members else opening + 1)


def _laid_out(value: object, unit: str) -> str:
    """As people write it: an object on lines of its own, a list of words on one."""
    if isinstance(value, Mapping) and value:
        members = cast("Mapping[str, object]", value).items()
        rows = [f"{inline_json(key)}: {_laid_out(inner, unit)}" for key, inner in members]
        body = ",\n".join(rows).replace("\n", f"\n{unit}")
        return f"{{\n{unit}{body}\n}}"
    return inline_json(cast("object", value))


def _parsed(plain: str) -> object:
    try:
        return require_bounded(json.loads(plain, parse_constant=_refuse_constant), plain)
    except json.JSONDecodeError as error:
        raise _broken(plain, error) from error
    except ValueError as error:  # of a number with thousands of digits
        raise UnusableText("a number is too long") from error
    except RecursionError as error:
        raise UnusableText("it is nested too deeply") from error


def _broken(plain: str, error: json.JSONDecodeError) -> UnusableText:
    # Of a trailing comma, Python 3.13 points at it, and what came before at the brace behind it.
    for comma in (error.pos, len(plain[: error.pos].rstrip()) - 1):
        if _TRAILING_COMMA.match(plain, max(comma, 0)):
            return UnusableText("a comma stands before the end", line_of(plain, comma))
    return UnusableText(error.msg, line_of(plain, error.pos))


def _refuse_constant(name: str) -> object:
    raise UnusableText(f"{name} is not JSON")


def _after_space(text: str, index: int) -> int:
    found = _SPACE.match(text, index)
    return found.end() if found else index


def _blank_comment(found: re.Match[str]) -> str:
    is_open = found[0].startswith("/*") and not found[0].endswith("*/", 2)
    return found[0] if found[0][0] == '"' or is_open else re.sub(r"[^\r\n]", " ", found[0])


def _blank_comma(found: re.Match[str]) -> str:
    return " " if found[0] == "," else found[0]
