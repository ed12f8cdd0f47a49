"""YAML, changed by splicing. ruamel.yaml reads it and tells where each node stands."""

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from runapi_mcp.base.texts.text import (
    HARM,
    KeyPath,
    UnusableText,
    cut_member,
    inline_json,
    line_of,
    mask_comments,
    newline_of,
    quoted_path,
    require_bounded,
    splice,
    without_space,
)
from runapi_mcp.base.texts.yaml_outline import Node, Outline

_NULL: Final = ("", "~", "null", "Null", "NULL")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DUPLICATE: Final = re.compile(r'found duplicate key "(.*?)"(?: with value "|\Z)', re.DOTALL)
_NO_VALUE: Final = "a value cannot be read as what it is said to be"
_OWN_WORDS: Final = re.compile(r"""(?:[^'"]|'<[a-z ]+>'|(['"]).\1|'\\\w+')*""")
"""What ruamel.yaml says without quoting more of the file than a character."""


class YamlText:
    def __init__(self, text: str) -> None:
        self.text = text
        self._newline = newline_of(text)
        self.value = _loaded(text)
        self._outline = Outline(text)

    def raw(self, path: KeyPath) -> str:
        node = self._node(path)
        if not path or node is None:
            return "" if path else self.text
        return self.text[node.start : node.end]

    def is_bare(self, path: KeyPath) -> bool:
        return without_space(self.raw(path)) in ("", "{}")

    def put(self, path: KeyPath, value: object) -> str:
        if not path:
            return f"{inline_json(value)}{self._newline}"
        *way, key = path
        parent = self._node(tuple(way))
        if parent is None or (parent.kind == "scalar" and parent.scalar in _NULL):
            return self._into_nothing(tuple(way), parent, key, value)
        member = parent.member(key)
        if member is not None:
            return self._rewritten(member, value)
        if parent.kind == "flow":
            return self._into_flow(parent, key, value)
        if parent.kind != "block":
            raise UnusableText(HARM)
        if not way:
            return self._below(None, parent.members[0][0].column, key, value)
        return self._below(self._key(tuple(way)), parent.members[0][0].column, key, value)

    def put_back(self, path: KeyPath, empty: str) -> str:
        node, now = self._node(path), self.raw(path)
        if without_space(now) not in ("", "{}", without_space(empty)):
            return self.text
        if not path or node is None:
            return empty if not now.strip() else self.text
        gap = " " if empty and node.start == node.end else ""
        return splice(self.text, (node.start, node.end, f"{gap}{empty}"))

    def cut(self, path: KeyPath) -> str:
        parent = self._node(path[:-1])
        member = None if parent is None or not path else parent.member(path[-1])
        if parent is None or member is None:
            return self.text
        if parent.kind == "flow":
            return self._cut_from_flow(parent, member)
        start = self.text.rfind("\n", 0, member[0].start) + 1
        end = self._next_line(member[1].end)
        comment = self.text.find("#", member[1].end, end)
        if self.is_bare(path) and comment >= 0:
            return self.text[:start] + self.text[comment:]
        if end == len(self.text) and not self.text.endswith("\n"):
            start = len(self.text[:start].removesuffix("\n").removesuffix("\r"))
        return self.text[:start] + self.text[end:]

    def _into_nothing(self, way: KeyPath, parent: Node | None, key: str, value: object) -> str:
        """Into a text, or under a key, that has nothing yet."""
        if parent is None:
            return self.put(way, {key: value}) if way else self._below(None, 0, key, value)
        if not way and parent.scalar:
            raise UnusableText(f"{quoted_path(way)} is not a mapping")
        if not way:
            return self._below(None, 0, key, value)
        if parent.scalar:
            return splice(self.text, (parent.start, parent.end, inline_json({key: value})))
        above = self._key(way)
        return self._below(above, above.column + 2, key, value)

    def _into_flow(self, parent: Node, key: str, value: object) -> str:
        written = f"{inline_json(key)}: {inline_json(value)}"
        if not parent.members:
            return splice(self.text, (parent.opened, parent.opened, written))
        end = parent.members[-1][1].end
        comma = mask_comments(self.text[end : parent.end - 1], "#").find(",") + 1
        if comma:
            return splice(self.text, (end + comma, end + comma, f" {written},"))
        return splice(self.text, (end, end, f", {written}"))

    def _cut_from_flow(self, parent: Node, member: tuple[Node, Node]) -> str:
        index = parent.members.index(member)
        before = parent.members[index - 1][1].end if index else parent.opened
        following = parent.members[index + 1 : index + 2]
        after = following[0][0].start if following else parent.end - 1
        return cut_member(self.text, before, (member[0].start, member[1].end), after, "#")

    def _below(self, above: Node | None, column: int, key: str, value: object) -> str:
        """With an entry in the lines after a key's own, before its comments; else at the end."""
        index = self._next_line(above.end) if above else self._outline.end
        rows = (f"{' ' * column}{row}{self._newline}" for row in _block_rows(key, value))
        block = "".join(rows)
        if index == len(self.text) and self.text and not self.text.endswith("\n"):
            return self.text + self._newline + block.removesuffix(self._newline)
        return splice(self.text, (index, index, block))

    def _rewritten(self, member: tuple[Node, Node], value: object) -> str:
        key, node = member
        gap = self.text[key.end : node.start]
        if gap.strip() == ":":
            colon = self.text.index(":", key.end) + 1
            return splice(self.text, (colon, node.end, f" {inline_json(value)}"))
        return splice(self.text, (node.start, node.end, inline_json(value)))

    def _node(self, path: KeyPath) -> Node | None:
        node = self._outline.root
        for key in path:
            member = None if node is None else node.member(key)
            node = member[1] if member else None
        return node

    def _key(self, path: KeyPath) -> Node:
        parent = self._node(path[:-1])
        member = parent and parent.member(path[-1])
        if not member:
            raise UnusableText(f"{quoted_path(path)} is not a mapping")
        return member[0]

    def _next_line(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1


def _block_rows(key: str, value: object) -> Iterator[str]:
    name = key if _PLAIN_KEY.fullmatch(key) else inline_json(key)
    if not isinstance(value, Mapping) or not value:
        yield f"{name}: {inline_json(cast('object', value))}"
        return
    yield f"{name}:"
    for inner, content in cast("Mapping[str, object]", value).items():
        yield from (f"  {row}" for row in _block_rows(inner, content))


def _loaded(text: str) -> object:
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor used again is no fault
            reader: Any = YAML(typ="safe", pure=True)  # it has no types
            return require_bounded(reader.load(text), text)
    except MarkedYAMLError as error:
        mark = cast("Any", error).problem_mark  # its attributes have no types
        raise UnusableText(_why(error), mark and line_of(text, mark.index)) from error
    except YAMLError as error:
        raise UnusableText(str(error).partition("\n")[0]) from error
    except (ValueError, LookupError) as error:  # of a value that is not what its tag says
        raise UnusableText(_NO_VALUE) from error
    except RecursionError as error:
        raise UnusableText("it is nested too deeply") from error


def _why(error: MarkedYAMLError) -> str:
    """What is wrong, without a value of the file, which may be a secret."""
    problem = cast("str", cast("Any", error).problem or "")
    twice = _DUPLICATE.match(problem) if isinstance(error, DuplicateKeyError) else None
    if twice:
        return f"“{twice[1]}” stands there twice"
    if isinstance(error, ConstructorError):
        return _NO_VALUE
    return problem if _OWN_WORDS.fullmatch(problem) else "it is not YAML"
