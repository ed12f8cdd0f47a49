"""Where everything of a YAML text stands, by the events that ruamel.yaml makes of it.

Its composed nodes do not tell: an alias has the place of what it stands for, and an empty value
that of what comes next.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

_COMMENT: Final = re.compile(r"#[^\r\n]*")


@dataclass(frozen=True, slots=True)
class Node:
    """A value or a key."""

    kind: Literal["scalar", "block", "flow", "list", "alias"]
    start: int
    end: int
    """Where it ends: a block where its last value does, before comments that follow."""
    column: int
    scalar: str = ""
    opened: int = 0
    """Where the braces of a flow have opened."""
    members: tuple[tuple["Node", "Node"], ...] = ()

    def member(self, key: str) -> tuple["Node", "Node"] | None:
        return next((member for member in self.members if member[0].scalar == key), None)


class Outline:
    """Where everything of a text that can be read stands: its one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        reader: Any = YAML(typ="safe", pure=True)  # it and its events have no types
        self._events: Iterator[Any] = reader.parse(text)
        self.root = self._root()
        self.end = self._end()
        """Where it ends: at its dots, if it has them."""

    def _root(self) -> Node | None:
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                return self._node(next(self._events), _end(event))
        return None

    def _end(self) -> int:
        for event in self._events:
            if isinstance(event, DocumentEndEvent):
                return _start(event) if _is_explicit(event) else len(self._text)
        return len(self._text)

    def _node(self, event: Any, after: int) -> Node:
        """The node that an event begins, after a place that was read already."""
        match event:
            case AliasEvent():
                return Node("alias", _start(event), _end(event), _column(event))
            case ScalarEvent():
                return self._scalar(event, after)
            case MappingStartEvent():
                return self._mapping(event)
            case _:
                return self._list(event)

    def _scalar(self, event: Any, after: int) -> Node:
        start, end = _start(event), _end(event)
        if start == end:
            # Nothing is between but white space, comments, and the colon or dash it belongs to.
            signs = _COMMENT.sub(lambda found: " " * len(found[0]), self._text[after:start])
            start = end = after + len(signs.rstrip())
        elif event.style in ("|", ">"):
            end = len(self._text[:end].rstrip())
        return Node("scalar", start, end, _column(event), event.value)

    def _mapping(self, first: Any) -> Node:
        members: list[tuple[Node, Node]] = []
        end = _end(first)
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, end)
            value = self._node(next(self._events), key.end)
            members.append((key, value))
            end = value.end
        kind = "flow" if first.flow_style else "block"
        end = _end(event) if first.flow_style else end
        return Node(kind, _start(first), end, _column(first), "", _end(first), tuple(members))

    def _list(self, first: Any) -> Node:
        end = _end(first)
        while not isinstance(event := next(self._events), SequenceEndEvent):
            end = self._node(event, end).end
        end = _end(event) if first.flow_style else end
        return Node("list", _start(first), end, _column(first))


def _start(event: Any) -> int:
    return event.start_mark.index


def _end(event: Any) -> int:
    return event.end_mark.index


def _column(event: Any) -> int:
    return event.start_mark.column


def _is_explicit(event: Any) -> bool:
    return event.explicit
