"""Every pattern that sees foreign text takes time in proportion to it, however hostile it is."""

import ast
import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

import pytest

import runapi_mcp
from runapi_mcp.base import redaction

REPEATS: Final = 100_000
MOST_PREFIXES: Final = 12
"""Of one pattern, the shortest."""
LIMIT_SECONDS: Final = 20.0
"""Of CPU: a quadratic pattern takes hours, a linear one milliseconds."""
KEY: Final = "key-0123"
ELSEWHERE: Final = ("runapi_mcp.setup", "runapi_mcp.base.texts", "runapi_mcp.__main__")
"""Rooms with a table of their own."""
METHODS: Final = ("match", "fullmatch", "search", "sub", "findall", "finditer")
PARSER: Final[Any] = importlib.import_module("re._parser")  # Any: it has no types


def sources() -> Iterator[tuple[str, ast.Module]]:
    for found in pkgutil.walk_packages(runapi_mcp.__path__, "runapi_mcp."):
        if not found.name.startswith(ELSEWHERE):
            yield found.name, ast.parse(inspect.getsource(importlib.import_module(found.name)))


Found = tuple[re.Pattern[Any], Iterable[str]]  # Any: of texts or of bytes
"""A pattern, and the ways in which it is used."""


def held(value: Any, ways: Iterable[str]) -> Iterator[Found]:
    """The patterns in a module's value, however deep."""
    if isinstance(value, re.Pattern):
        yield value, ways
    elif isinstance(value, Mapping):
        yield from held([*value.values()], ways)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in cast("Iterable[Any]", value):
            yield from held(item, ways)
    elif isinstance(owner := getattr(value, "__self__", None), re.Pattern):
        yield owner, [value.__name__]


def compiled() -> dict[str, Found]:
    """Each pattern by its text; used in all ways, where none is seen."""
    modules = dict(sources())
    ways: dict[str, set[str]] = {}
    # Those that are compiled when they are first needed.
    lazy = vars(redaction)["_shapes"](), vars(redaction.Secret)["_pattern"](redaction.Secret(KEY))
    found: dict[str, Found] = {pattern.pattern: (pattern, METHODS) for pattern in lazy}
    for tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                ways.setdefault(ast.unparse(node.value), set()).add(node.attr)
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("re"), attr=way),
                    args=[ast.Constant(value=str(text)), *_],
                ) if way in METHODS:
                    found[text] = re.compile(text), {way}
                case _:
                    pass
    for name in modules:
        for variable, value in vars(importlib.import_module(name)).items():
            for pattern, used in held(value, ways.get(variable, METHODS)):
                found[pattern.pattern] = pattern, used
    return found


def samples(parts: Iterable[Any]) -> list[str]:
    """Some texts that begin as the pattern wants them, one for each alternative."""
    texts = [""]
    for kind, given in parts:
        ends = list(dict.fromkeys(_samples(str(kind), given)))[:12]
        texts = [text + end for text in texts[:12] for end in ends]
    return texts


def _samples(kind: str, given: Any) -> list[str]:
    match kind:
        case "LITERAL":
            return [chr(given)]
        case "IN":
            return _letters(given)
        case "ANY" | "NOT_LITERAL" | "GROUPREF":
            return ["a", " "]
        case "BRANCH":
            return [text for branch in given[1] for text in samples(branch)]
        case "SUBPATTERN":
            return samples(given[3])
        case "ATOMIC_GROUP":
            return samples(given)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = given
            times = [max(low, 1), min(int(high), max(low, 1) + 2)]
            return [text * n for text in samples(inner) for n in times]
        case "ASSERT":
            return ["", *(samples(given[1]) if given[0] < 0 else [])]
        case _:
            return [""]


def _letters(given: Any) -> list[str]:
    letters: list[str] = []
    for kind, value in given:
        match str(kind):
            case "LITERAL":
                letters.append(chr(value))
            case "RANGE":
                letters.append(chr(value[0]))
            case _:
                letters += {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "1"}.get(str(value), "a")
    return [letters[0], letters[-1]]


def prefixes(pattern: re.Pattern[str]) -> list[str]:
    flags = pattern.flags & re.VERBOSE
    texts = samples(PARSER.parse(pattern.pattern, flags))
    found = dict.fromkeys(text[:end] for text in texts for end in (1, 2, 3, 5, 9, len(text)))
    return sorted(filter(None, found), key=len)[:MOST_PREFIXES]


PATTERNS: Final = compiled()


def test_the_table_has_the_patterns() -> None:
    assert len(PATTERNS) > 30
    assert prefixes(re.compile(r"<\s*(?:/|ab+)c"))[:4] == ["<", "< ", "< /", "< a"]


@pytest.mark.parametrize("text", PATTERNS, ids=repr)
def test_a_pattern_is_linear(text: str) -> None:
    pattern, ways = PATTERNS[text]
    for prefix in prefixes(pattern):
        started = time.process_time()
        for way in ways:
            use(pattern, way, prefix * REPEATS + "\0")
        assert time.process_time() - started < LIMIT_SECONDS


def use(pattern: re.Pattern[Any], way: str, text: str) -> None:
    foreign = text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text
    match way:
        case "sub":
            pattern.sub(foreign[:0], foreign)
        case "finditer":
            for _ in pattern.finditer(foreign):
                pass
        case _:
            getattr(pattern, way)(foreign)
