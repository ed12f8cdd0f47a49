"""Texts that cannot be read or changed: what is said of them, and what never is."""

import pytest

from runapi_mcp.base.texts import (
    Dialect,
    InsertionContext,
    UnusableText,
    put_entry,
    read_entry,
    remove_entry,
)
from runapi_mcp.base.texts.text import HARM

BROKEN: list[tuple[Dialect, str, int | None]] = [
    ("json", '{\n  "a": 1,\n}', 2),
    ("json", '{\n  // note\n  "a": 1}', 2),
    ("json with comments", '{ // note\n  "a": 1,\n}', 2),
    ("json", '{"s": {}, \n"s": {}}', 2),
    ("json", '{"s": []}', None),
    ("json", "[1]", None),
    ("json", '{"a": NaN}', None),
    ("jsonc", '{"a": [,]}', 1),
    ("jsonc", '{"a": 1 /* open}', 1),
    *(
        ("jsonc", text, 1)
        for text in ('"', '{"', '{"a": "', '{"a', '{"a\\', "{/", "{/*", "{//", "/")
    ),
    ("jsonc", "[" * 200_000, None),
    ("toml", "a = 1\n[b\n", 2),
    ("toml", "a = 1\na = 2\n", 2),
    ("toml", "\ns = { x = 1 }\n", 2),
    ("json", '{"a": 1\n', 1),
    ("toml", "a = [\n", 1),
    ("toml", '"line 7" = 1\n"line 7" = 2\n', 2),
    ("yaml", "a: [1\n", 1),
    ("yaml", "a: 1\nb: [1\nc: 2", 3),
    ("yaml", "s: 1\ns: 2", 2),
    ("yaml", "a: 1\n---\nb: 2", 2),
    ("yaml", "a:\n\t- 1", 2),
    ("yaml", "s: [1]", None),
]


@pytest.mark.parametrize(("dialect", "text", "line"), BROKEN)
def test_what_cannot_be_read_or_changed_is_refused_with_its_line(
    dialect: Dialect, text: str, line: int | None
) -> None:
    with pytest.raises(UnusableText) as refused:
        put_entry(text, dialect, ("s", "runapi"), {"a": 1})
    assert refused.value.line == line


SOUND: list[tuple[Dialect, str, str]] = [
    ("json", "null", "the whole is not an object"),
    ("json", "[]", "the whole is not a mapping"),
    ("jsonc", "5 // c\n", "the whole is not a mapping"),
    ("yaml", "~\n", "the whole is not a mapping"),
    ("yaml", "- a\n", "the whole is not a mapping"),
    ("yaml", "s: 5\n", "“s” is not a mapping"),
    ("yaml", "b: &b\n  a: 1\ns: *b\n", HARM),
    ("yaml", "b: &b {a: 1}\ns:\n  <<: *b\n  runapi: &r {}\nt: *r\n", HARM),
    ("yaml", "s:\n  &s\n  a: 1\n", HARM),
    ("yaml", "? s\n: a: 1\n", HARM),
    ("yaml", "a: |\n  x", HARM),
]


@pytest.mark.parametrize(("dialect", "text", "why"), SOUND)
def test_a_sound_text_is_not_said_to_be_broken_in_a_line(
    dialect: Dialect, text: str, why: str
) -> None:
    with pytest.raises(UnusableText) as refused:
        put_entry(text, dialect, ("s", "runapi"), {"a": 1})
    assert (refused.value.why, refused.value.line) == (why, None)


DEEP = 990
UNBOUNDED: list[tuple[Dialect, str]] = [
    ("json", "[" * DEEP + "]" * DEEP),
    ("json", '{"a":' * 300 + "1" + "}" * 300),
    ("jsonc", '{"s": 1, "a": ' + "[" * 300 + "]" * 300 + "}"),
    ("toml", "[" + ".".join("a" * 500) + "]\nb = 1\n"),
    ("toml", ".".join("a" * 500) + " = 1\n"),
    ("toml", f"a = {'[' * DEEP}{']' * DEEP}\n"),
    ("yaml", "a: &a [*a]\n"),
    ("yaml", "a: &a\n  b: *a\n"),
    ("yaml", "[" * 250 + "]" * 250),
    (
        "yaml",
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
    ),
    ("yaml", f"a: &a [{'x, ' * 999}x]\nb: &b [{'*a, ' * 999}*a]\nc: [{'*b, ' * 999}*b]\n"),
]


@pytest.mark.parametrize(("dialect", "text"), UNBOUNDED)
def test_what_nobody_would_come_to_the_end_of_is_not_read(dialect: Dialect, text: str) -> None:
    with pytest.raises(UnusableText, match="it is nested too deeply"):
        read_entry(text, dialect, ("s", "runapi"))


def test_a_key_of_too_many_parts_is_not_read() -> None:
    with pytest.raises(UnusableText, match="a line has 1999 dots"):
        read_entry(".".join("a" * 2000) + " = 1\n", "toml", ("s", "runapi"))


def test_what_breaks_by_taking_the_entry_out_is_not_said_of_the_file() -> None:
    text = "s: !!map\n  runapi: {a: 1}\n"
    with pytest.raises(UnusableText) as refused:
        remove_entry(text, "yaml", ("s", "runapi"), InsertionContext())
    assert (refused.value.why, refused.value.line) == (HARM, None)


KEY = "sk-BBBB0123456789"
LEAKS: list[tuple[Dialect, str, str]] = [
    ("yaml", f"OPENAI: {KEY}\nOPENAI: {KEY}\n", "“OPENAI” stands there twice"),
    ("yaml", f"? {{a: {KEY}}}\n: 1\n", "a value cannot be read as what it is said to be"),
    ("yaml", f"a: !!int {KEY}\n", "a value cannot be read as what it is said to be"),
    ("yaml", f"a: !!float {KEY}\n", "a value cannot be read as what it is said to be"),
    ("yaml", f"a: !!bool {KEY}\n", "a value cannot be read as what it is said to be"),
    ("yaml", f"a: !!timestamp {KEY}\n", "a value cannot be read as what it is said to be"),
    ("yaml", f"a: !{KEY}\n", "a value cannot be read as what it is said to be"),
    ("yaml", "a: !!int ''\n", "a value cannot be read as what it is said to be"),
    ("yaml", f"a: !{KEY}!x 1\n", "it is not YAML"),
    ("yaml", f"a: *{KEY}\n", "it is not YAML"),
    ("yaml", f"a: @{KEY}\n", "found character '@' that cannot start any token"),
    ("yaml", f"a: [{KEY}\n", "expected ',' or ']', but got '<stream end>'"),
    ("toml", f"a = {KEY}\n", "Invalid value"),
    ("toml", f'a = "{KEY}\n', "Illegal character '\\n'"),
    ("toml", f'a = "{KEY}"\na = 1\n', "Cannot overwrite a value"),
    ("toml", f"a = {'1' * 5000}\n", "a number is too long"),
    ("json", f'{{"a": {KEY}}}', "Expecting value"),
    ("json", f'{{"s": "{KEY}", "s": "{KEY}"}}', "“s” is not a mapping"),
    ("json", f'{{"a": {"1" * 5000}}}', "a number is too long"),
]


@pytest.mark.parametrize(("dialect", "text", "why"), LEAKS)
def test_no_value_of_a_file_is_told_on(dialect: Dialect, text: str, why: str) -> None:
    with pytest.raises(UnusableText) as refused:
        read_entry(text, dialect, ("s", "runapi"))
    assert refused.value.why == why
