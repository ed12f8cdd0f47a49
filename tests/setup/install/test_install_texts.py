"""Files as people keep them: an entry comes and goes, and every other byte stays."""

import tomllib
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runapi_mcp.base.texts import (
    Dialect,
    InsertionContext,
    KeyPath,
    UnusableText,
    put_entry,
    read_entry,
    remove_entry,
)
from tests.support.documents import is_within, json_documents, toml_documents, yaml_documents

ENTRY: dict[str, object] = {
    "command": "/opt/uv x",
    "args": ["runapi-mcp==1"],
    "env": {"A": 'b"\\'},
    "timeout": 5,
}
NEWER: dict[str, object] = {
    "command": "uvx",
    "args": [],
    "env": {"A": "c", "B": "d"},
    "timeout": 5,
    "url": "ü",
}
JSON: KeyPath = ("mcpServers", "runapi")
DEEP: KeyPath = ("mcp", "servers", "runapi")
TOML: KeyPath = ("mcp_servers", "runapi")
YAML: KeyPath = ("extensions", "runapi")

CASES: dict[str, tuple[Dialect, KeyPath, st.SearchStrategy[str]]] = {
    "json": ("json", JSON, json_documents(JSON, comments=False)),
    "jsonc": ("jsonc", DEEP, json_documents(DEEP, comments=True)),
    "toml": ("toml", TOML, toml_documents("mcp_servers")),
    "yaml": ("yaml", YAML, yaml_documents("extensions")),
}


def put_somehow(text: str, dialect: Dialect, path: KeyPath) -> tuple[str, InsertionContext]:
    """The text with the entry; a text that cannot be changed without harm is another test's."""
    try:
        assume(read_entry(text, dialect, path) is None)
        return put_entry(text, dialect, path, ENTRY)
    except UnusableText:
        assume(condition=False)
        raise


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_entry_that_comes_and_goes_leaves_every_byte_as_it_was(
    case: str, data: st.DataObject
) -> None:
    dialect, path, documents = CASES[case]
    text = data.draw(documents)
    changed, around = put_somehow(text, dialect, path)
    assert read_entry(changed, dialect, path) == ENTRY
    assert is_within(text, changed)
    assert remove_entry(changed, dialect, path, around) == text


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_second_install_changes_nothing_and_a_newer_one_only_its_own_entry(
    case: str, data: st.DataObject
) -> None:
    dialect, path, documents = CASES[case]
    text = data.draw(documents)
    changed, around = put_somehow(text, dialect, path)
    assert put_entry(changed, dialect, path, ENTRY)[0] == changed
    newer, _ = put_entry(changed, dialect, path, NEWER)
    assert read_entry(newer, dialect, path) == NEWER
    assert is_within(text, newer)
    assert remove_entry(newer, dialect, path, around) == text


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_came_later_stays_when_the_entry_goes(case: str, data: st.DataObject) -> None:
    dialect, path, documents = CASES[case]
    text = data.draw(documents)
    changed, around = put_somehow(text, dialect, path)
    neighbour = (*path[:-1], "later")
    both, _ = put_entry(changed, dialect, neighbour, NEWER)
    left = remove_entry(both, dialect, path, around)
    assert read_entry(left, dialect, neighbour) == NEWER
    assert read_entry(left, dialect, path) is None
    assert is_within(text, left)


BEFORE_AND_AFTER: list[tuple[Dialect, str, str]] = [
    ("json", "", '{\n  "s": {\n    "runapi": {\n      "a": 1\n    }\n  }\n}\n'),
    ("json", "{}", '{\n  "s": {\n    "runapi": {\n      "a": 1\n    }\n  }\n}'),
    ("json", '{"s":{"x":{}}}', '{"s":{"x":{},"runapi":{"a":1}}}'),
    ("json", '{"s": {}, "t": 1}', '{"s": {"runapi": {"a": 1}}, "t": 1}'),
    (
        "json",
        '{\r\n\t"s": {\r\n\t\t"x": {}\r\n\t}\r\n}',
        '{\r\n\t"s": {\r\n\t\t"x": {},\r\n\t\t"runapi": {\r\n\t\t\t"a": 1\r\n\t\t}\r\n\t}\r\n}',
    ),
    (
        "jsonc",
        '{\n  "s": {\n    "x": {} // x\n    // e\n  }\n}\n',
        '{\n  "s": {\n    "x": {}, // x\n    // e\n    "runapi": {\n      "a": 1\n    }\n  }\n}\n',
    ),
    (
        "jsonc",
        '{ // c\n  "s": {\n    "x": {}, /* d */\n  },\n}',
        '{ // c\n  "s": {\n    "x": {}, /* d */\n    "runapi": {\n      "a": 1\n    },\n  },\n}',
    ),
    ("toml", "", "[s.runapi]\na = 1\n"),
    ("toml", "m = 1 # why\n[s.x]\n# of y\n", "m = 1 # why\n[s.x]\n# of y\n\n[s.runapi]\na = 1\n"),
    ("toml", "[s]\r\nx = {}", "[s]\r\nx = {}\r\n\r\n[s.runapi]\r\na = 1"),
    ("yaml", "", "s:\n  runapi:\n    a: 1\n"),
    ("yaml", "s: # s\n   # x\n   x:\n", "s: # s\n   runapi:\n     a: 1\n   # x\n   x:\n"),
    ("yaml", "s: {x: [1]}", 's: {x: [1], "runapi": {"a": 1}}'),
    ("yaml", "s:\nt: 1", "s:\n  runapi:\n    a: 1\nt: 1"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "before", "after"), BEFORE_AND_AFTER)
def test_an_entry_is_written_in_the_manner_of_its_file(
    dialect: Dialect, before: str, after: str
) -> None:
    changed, around = put_entry(before, dialect, ("s", "runapi"), {"a": 1})
    assert changed == after
    assert remove_entry(changed, dialect, ("s", "runapi"), around) == before


IN_PLACE: list[tuple[Dialect, str, str]] = [
    (
        "jsonc",
        '{"s": {"runapi": {"a": 0, /* mine */ "env": {"K": "v"}}, "z": 1}}',
        '{"s": {"runapi": {"a": 1, /* mine */ "env": {"K": "v", "L": "w"}}, "z": 1}}',
    ),
    (
        "toml",
        '[s.runapi] # mine\na = 0 # old\nenv = { K = "v" }\n\n[z]\n',
        '[s.runapi] # mine\na = 1 # old\nenv = { K = "v", L = "w" }\n\n[z]\n',
    ),
    (
        "toml",
        '[s]\nrunapi = { a = 0, env = { K = "v" } } # mine\n',
        '[s]\nrunapi = { a = 1, env = { K = "v", L = "w" } } # mine\n',
    ),
    (
        "toml",
        '[s]\nrunapi.a = 0\nx = 2\n[s.runapi.env]\nK = "v"\n',
        '[s]\nrunapi.a = 1\nx = 2\n[s.runapi.env]\nK = "v"\nL = "w"\n',
    ),
    (
        "yaml",
        "s:\n  runapi:\n    a: 0 # old\n    env:\n      # mine\n      K: v\n  z: 1\n",
        's:\n  runapi:\n    a: 1 # old\n    env:\n      L: "w"\n      # mine\n      K: v\n  z: 1\n',
    ),
]


@pytest.mark.parametrize(("dialect", "before", "after"), IN_PLACE)
def test_an_older_entry_is_changed_in_place(dialect: Dialect, before: str, after: str) -> None:
    entry = {"a": 1, "env": {"K": "v", "L": "w"}}
    assert put_entry(before, dialect, ("s", "runapi"), entry)[0] == after


def test_a_table_that_a_string_speaks_of_is_no_table() -> None:
    text = 'x = """\n[s.runapi]\na = 0\n"""\n'
    changed, around = put_entry(text, "toml", ("s", "runapi"), {"a": 1})
    read: dict[str, Any] = tomllib.loads(changed)
    assert read == {"x": "[s.runapi]\na = 0\n", "s": {"runapi": {"a": 1}}}
    assert remove_entry(changed, "toml", ("s", "runapi"), around) == text


def test_without_a_note_of_what_was_there_containers_stay() -> None:
    changed, _ = put_entry("", "json", JSON, ENTRY)
    assert (
        remove_entry(changed, "json", JSON, InsertionContext()) == '{\n  "mcpServers": {\n  }\n}\n'
    )
