"""YAML, changed by splicing. ruamel.yaml reads it and tells where each node stands."""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from runapi_mcp.texts.text import Broken, Path, newline_of, spliced

_NULL: Final = ("", "~", "null", "Null", "NULL")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class _Node:
    kind: Literal["scalar", "block", "flow", "list"]
    start: int
    end: int
    """Where its last character is: that of a block's last child, before comments that follow."""
    column: int
    scalar: str = ""
    members: tuple[tuple["_Node", "_Node"], ...] = ()

    def member(self, key: str) -> tuple["_Node", "_Node"] | None:
        return next((member for member in self.members if member[0].scalar == key), None)


class YamlText:
    """A YAML text that was understood."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._newline = newline_of(text)
        # Composing finds a key that stands there twice; loading, what it all means.
        composed = _understood(_reader().compose, text)
        self._root = None if composed is None else _understood(_noded, composed)
        self.value = _understood(_reader().load, text)

    def raw(self, path: Path) -> str:
        node = self._node(path)
        if not path or node is None:
            return "" if path else self.text
        return self.text[node.start : node.end]

    def put(self, path: Path, value: object) -> str:
        if not path:
            return f"{_flow(value)}{self._newline}"
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
            raise Broken(f"“{'.'.join(way)}” is not a mapping")
        if not way:
            return self._appended(key, value)
        return self._below(self._key(tuple(way)), parent.members[0][0].column, key, value)

    def put_raw(self, path: Path, raw: str) -> str:
        node = self._node(path) if path else None
        return raw if node is None else spliced(self.text, (node.start, node.end, raw))

    def cut(self, path: Path) -> str:
        parent = self._node(path[:-1])
        member = None if parent is None or not path else parent.member(path[-1])
        if parent is None or member is None:
            return self.text
        if parent.kind == "flow":
            return self._cut_from_flow(parent, member)
        start = self.text.rfind("\n", 0, member[0].start) + 1
        end = self._next_line(member[1].end)
        if end == len(self.text) and not self.text.endswith("\n"):
            start = len(self.text[:start].removesuffix("\n").removesuffix("\r"))
        return self.text[:start] + self.text[end:]

    def _into_nothing(self, way: Path, parent: _Node | None, key: str, value: object) -> str:
        """Into a text, or under a key, that has nothing yet."""
        if not way:
            return self._appended(key, value)
        if parent is None:
            return self.put(way, {key: value})
        if parent.scalar:
            return spliced(self.text, (parent.start, parent.end, _flow({key: value})))
        above = self._key(way)
        return self._below(above, above.column + 2, key, value)

    def _into_flow(self, parent: _Node, key: str, value: object) -> str:
        written = f"{_flow(key)}: {_flow(value)}"
        if parent.members:
            end = parent.members[-1][1].end
            return spliced(self.text, (end, end, f", {written}"))
        return spliced(self.text, (parent.start + 1, parent.start + 1, written))

    def _cut_from_flow(self, parent: _Node, member: tuple[_Node, _Node]) -> str:
        index = parent.members.index(member)
        start, end = member[0].start, member[1].end
        if index:
            start = parent.members[index - 1][1].end
        elif len(parent.members) > 1:
            end = parent.members[1][0].start
        return self.text[:start] + self.text[end:]

    def _below(self, above: _Node, column: int, key: str, value: object) -> str:
        """With an entry in the lines after a key's own: before its comments, which stay whole."""
        block = self._block(key, value, column)
        index = self._next_line(above.end)
        if index == len(self.text) and not self.text.endswith("\n"):
            return self.text + self._newline + block.removesuffix(self._newline)
        return spliced(self.text, (index, index, block))

    def _appended(self, key: str, value: object) -> str:
        block = self._block(key, value, 0)
        if self.text and not self.text.endswith("\n"):
            return self.text + self._newline + block.removesuffix(self._newline)
        return self.text + block

    def _rewritten(self, member: tuple[_Node, _Node], value: object) -> str:
        key, node = member
        start = self.text.index(":", key.end) + 1
        if self.text[start : node.start].strip():
            return spliced(self.text, (node.start, node.end, _flow(value)))
        return spliced(self.text, (start, node.end, f" {_flow(value)}"))

    def _block(self, key: str, value: object, column: int) -> str:
        lines = _block_lines(key, value)
        return "".join(f"{' ' * column}{line}{self._newline}" for line in lines)

    def _node(self, path: Path) -> _Node | None:
        node = self._root
        for key in path:
            member = None if node is None else node.member(key)
            node = member[1] if member else None
        return node

    def _key(self, path: Path) -> _Node:
        parent = self._node(path[:-1])
        member = parent and parent.member(path[-1])
        if not member:
            raise Broken(f"“{'.'.join(path)}” is not a mapping")
        return member[0]

    def _next_line(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1


def _block_lines(key: str, value: object) -> Iterator[str]:
    name = key if _PLAIN_KEY.fullmatch(key) else _flow(key)
    if not isinstance(value, Mapping) or not value:
        yield f"{name}: {_flow(cast('object', value))}"
        return
    yield f"{name}:"
    for inner, content in cast("Mapping[str, object]", value).items():
        yield from (f"  {line}" for line in _block_lines(inner, content))


def _flow(value: object) -> str:
    # JSON is YAML.
    return json.dumps(value, ensure_ascii=False)


def _noded(composed: Any) -> _Node:
    start, end = composed.start_mark.index, composed.end_mark.index
    column = composed.start_mark.column
    match composed.id:
        case "scalar":
            is_block = composed.style in ("|", ">")
            return _Node("scalar", start, end - is_block, column, composed.value)
        case "sequence":
            if composed.value and not composed.flow_style:
                end = _noded(composed.value[-1]).end
            return _Node("list", start, end, column)
        case _:
            members = tuple((_noded(key), _noded(value)) for key, value in composed.value)
            if composed.flow_style:
                return _Node("flow", start, end, column, "", members)
            return _Node("block", start, members[-1][1].end, column, "", members)


def _reader() -> Any:
    return YAML(typ="safe", pure=True)


def _understood(read: Callable[[Any], Any], given: Any) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor used again is no fault
            return read(given)
    except MarkedYAMLError as error:
        problem = cast("Any", error)  # its attributes have no types
        mark = problem.problem_mark
        raise Broken(problem.problem or "it is not YAML", mark and mark.line + 1) from error
    except (YAMLError, ValueError) as error:
        raise Broken(str(error).partition("\n")[0]) from error
    except RecursionError as error:
        raise Broken("it is nested too deeply") from error
