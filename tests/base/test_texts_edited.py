"""Files that people go on editing once the entry is there: it goes, and what is theirs stays."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runapi_mcp.base.texts import (
    Dialect,
    InsertionContext,
    KeyPath,
    ServerEntry,
    UnusableText,
    parse_text,
    put_entry,
    read_entry,
    remove_entry,
)
from tests.support.documents import (
    has_members_of,
    is_within,
    json_documents,
    toml_documents,
    yaml_documents,
)

ENTRY: ServerEntry = {"command": "the start", "env": {"A": "the end"}}
NEWER: ServerEntry = {"command": "uvx", "env": {"A": "c", "B": "d"}, "timeout": 5}
JSON: KeyPath = ("mcpServers", "runapi")
DEEP: KeyPath = ("mcp", "servers", "runapi")
TOML: KeyPath = ("mcp_servers", "runapi")
YAML: KeyPath = ("extensions", "runapi")
DEEP_NOTE = "      # later\n"
NOTHING = re.compile(r"\s|~|null|Null|NULL|[{}]")
BREAKS = st.text(max_size=3) | st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "'",
        "#",
        "/*",
        "//",
        "\r",
        "\n",
        "\t",
        "&a ",
        "*a",
        "|",
        "- ",
    ]
)


def _odd_yaml(text: str) -> st.SearchStrategy[str]:
    """A document as it is, further in, with dots at its end, or below an anchor."""
    newline = "\r\n" if "\r\n" in text else "\n"
    further = re.sub("^", "  ", text, flags=re.MULTILINE)
    dots = text if text.endswith("\n") else text + newline
    below = f"base: &base{newline}  q: 1{newline}{text}"
    odd = [text, text, f"{dots}...{newline}# end"]
    return st.sampled_from(odd if text.startswith("---") else [*odd, further, below])


def _odd_toml(text: str) -> st.SearchStrategy[str]:
    """A document as it is, or with dotted keys above it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    return st.sampled_from([text, f'mcp_servers."d t".a.b = 1 # c{newline}{text}'])


CASES: dict[str, tuple[Dialect, KeyPath, st.SearchStrategy[str], list[str]]] = {
    "json": ("json", JSON, json_documents(JSON, comments=False), ["\n", '"later": 1,']),
    "jsonc": (
        "jsonc",
        DEEP,
        json_documents(DEEP, comments=True),
        ["\n", "/* later, */", "// later }\n", "\n// later */\n", '"later": {},'],
    ),
    "toml": (
        "toml",
        TOML,
        toml_documents("mcp_servers").flatmap(_odd_toml),
        ["\n", "# later\n", "\t# [later]\n", "later = 1\n", "[later]\nx = 1\n", "\n[[later]]\n",
         "[mcp_servers.later]\n# of it\nx = 1\n"],
    ),
    "yaml": (
        "yaml",
        YAML,
        yaml_documents("extensions").flatmap(_odd_yaml),
        ["\n", "# later: 1\n", DEEP_NOTE, "LATER: 1\n", "LATER:\n", "LATER:\n  - 1\n  -\n",
         "  later: 1\n", "    later:\n      x: 1\n", "LATER: |\n  x\n\n"],
    ),
}  # fmt: skip


def places_around(text: str, dialect: Dialect) -> list[int]:
    """Where something may be written that is not within the entry."""
    start = text.rindex("runapi", 0, text.index("the start"))
    end = text.index("the end")
    if dialect in ("toml", "yaml"):
        lines = [0, *(line.end() for line in re.finditer("\n", text))]
        return [line for line in lines if line > end or line <= text.rfind("\n", 0, start) + 1]
    end = text.index("}", text.index("}", end) + 1)
    return [place for place in range(len(text) + 1) if not start - 1 <= place <= end]


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_people_write_around_an_entry_stays_when_it_goes(
    case: str, data: st.DataObject
) -> None:
    dialect, path, documents, notes = CASES[case]
    text, note = data.draw(documents), data.draw(st.sampled_from(notes))
    # That would become a part of a block of text above the entry, once that is gone.
    assume(note != DEEP_NOTE or not re.search("[|>]", text))
    try:
        changed, around = put_entry(text, dialect, path, ENTRY)
        place = data.draw(st.sampled_from(places_around(changed, dialect)))
        edited = changed[:place] + note + changed[place:]
        assume(read_entry(edited, dialect, path) == ENTRY)
        # A note within the sign that ends a comment would make a comment of what comes after.
        before, after = (parse_text(each, dialect).value for each in (changed, edited))
        assume(has_members_of(after, before))
    except UnusableText:
        assume(condition=False)
        raise
    left = remove_entry(edited, dialect, path, around)
    assert read_entry(left, dialect, path) is None
    assert note.strip("\n,") in left
    assert is_within(text, left)


TOML_ENTRIES = [
    '[mcp_servers.runapi]\ncommand = "q" # c\nargs = []\n',
    '[mcp_servers.runapi]\n# c\ncommand = "q"\n\n[mcp_servers.runapi.env]\nA = "z" # d\n',
    '[mcp_servers.runapi.env]\nA = "z"\n[mcp_servers.runapi]\ncommand = "q"\n',
    '[ mcp_servers . "runapi" ]\n"command" = \'q\'\nenv.A = "z"\n',
    'runapi.command = "q"\nrunapi.env.A = "z"\n',
    'runapi = { command = "q", env = { A = "z" } } # c\n',
    'mcp_servers.runapi.command = "q"\nmcp_servers.runapi.args = ["a", # c\n "b"]\n',
    'mcp_servers.runapi = { command = "q" }\n',
    'mcp_servers.runapi.env.A = "z"\n',
]
TOML_ABOVE = [
    "", "\n", "# c\n", "# c\n\n", "[x]\nb = nan\n", "[mcp_servers]\n", "[mcp_servers] # c\nx = 1\n",
    '[mcp_servers.x]\nb = """\n[a]"""\n',
]  # fmt: skip
TOML_BELOW = ["", "\n", "# of y\n[y]\n", "[mcp_servers.y]\nc = 1\n", "# end\n"]
YAML_ENTRIES = [
    "  runapi:\n    command: q\n",
    "  runapi: {command: q} # c\n",
    "  'runapi':\n      # c\n      command: q\n      env:\n",
    "  runapi:\n    args:\n    - 1\n    -\n",
    "  runapi:\n    command: >-\n      q\n",
    "  runapi: {\n    command: q}\n",
    "  runapi: !!map\n    command: q\n     y # c\n",
    '  "runapi"  : &r\n     command: *base\n',
    "  ? runapi\n  : command: q\n",
]
YAML_ABOVE = [
    "base: &base q\nextensions:\n",
    "---\nbase: &base\n# c\nextensions: # c\n\n",
    "base: &base\nextensions:\n  x:\n  # c\n",
    "base: &base q\nextensions:\n  x: [1, # c\n  2]\n",
    "base: &base {a: 1}\nextensions: &e\n  x: *base # c\n",
]
YAML_BELOW = [
    "", "\n", "# end\n", "    # end: 1\n", "after:\n", "after: *base\n", "\n...\n# end\n",
    "  y:\n# c\nafter: [\n 1]\n", "  # of y\n  y: {}\n",
]  # fmt: skip
STANDING: dict[str, tuple[Dialect, KeyPath, list[str], list[str], list[str]]] = {
    "toml": ("toml", TOML, TOML_ABOVE, TOML_ENTRIES, TOML_BELOW),
    "yaml": ("yaml", YAML, YAML_ABOVE, YAML_ENTRIES, YAML_BELOW),
}


@pytest.mark.parametrize("case", STANDING)
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_an_entry_is_changed_and_goes_however_it_stands(case: str, data: st.DataObject) -> None:
    dialect, path, *choices = STANDING[case]
    newline = data.draw(st.sampled_from(["\n", "\r\n"]))
    drawn = [data.draw(st.sampled_from(choice)) for choice in choices]
    above, entry, below = (part.replace("\n", newline) for part in drawn)
    text = above + entry + below
    try:
        older = read_entry(text, dialect, path)
    except UnusableText:
        older = None  # they do not go together
    assume(older is not None and "end" not in repr(older))
    without_empty_line = re.sub(r"(?<=\n)\r?\n\Z", "", above)
    left = remove_entry(text, dialect, path, InsertionContext())
    assert left in {above + below, without_empty_line + below}
    newer, _ = put_entry(text, dialect, path, NEWER)
    assert read_entry(newer, dialect, path) == NEWER
    assert is_within(above, newer)
    assert is_within(below, newer)
    assert put_entry(newer, dialect, path, NEWER)[0] == newer
    assert is_within(
        without_empty_line + below, remove_entry(newer, dialect, path, InsertionContext())
    )


LATER: list[tuple[Dialect, str, str, str]] = [
    ("yaml", "GOOSE_MODEL: x\n", "# my note\n", "GOOSE_MODEL: x\n# my note\n"),
    ("yaml", "", "# my note: token\n", "# my note: token\n"),
    ("yaml", "GOOSE_MODEL: x\n", "GOOSE_PROVIDER: y\n", "GOOSE_MODEL: x\nGOOSE_PROVIDER: y\n"),
    ("yaml", "GOOSE_MODEL: x\n", "\nPROVIDER: y\n", "GOOSE_MODEL: x\n\nPROVIDER: y\n"),
    ("yaml", "", "\nGOOSE_PROVIDER: y\n", "\nGOOSE_PROVIDER: y\n"),
    ("yaml", "", "\n\n", ""),
    ("yaml", "a: |\n  x\n", "  # deep\n", "a: |\n  x\ns:\n  # deep\n"),
    ("toml", "", "\n# my note\n", "\n# my note\n"),
    ("json", "{}", "\n", "{}\n"),
    ("jsonc", "{ }", "// my note\n", "{ }// my note\n"),
    ("jsonc", "", "// my note\n", "{\n}\n// my note\n"),
]


@pytest.mark.parametrize(("dialect", "before", "later", "after"), LATER)
def test_what_comes_after_the_entry_is_not_cut_with_it(
    dialect: Dialect, before: str, later: str, after: str
) -> None:
    changed, around = put_entry(before, dialect, ("s", "runapi"), {"a": 1})
    assert remove_entry(changed + later, dialect, ("s", "runapi"), around) == after


WITHIN: list[tuple[Dialect, str, str]] = [
    ("toml", '[x]\nb = 1\n[s.runapi]\na = "q"\n', "[x]\nb = 1\n"),
    ("toml", "# c\n[s.runapi]\na = 1\n# about y\n[y]\n", "# c\n# about y\n[y]\n"),
    ("toml", "[s.x]\na = 1\n[s.runapi]\na = 1\n# tail\n", "[s.x]\na = 1\n# tail\n"),
    ("toml", "[s.x]\na = 1\n[s.runapi]\na = 1\n[y]\n", "[s.x]\na = 1\n[y]\n"),
    ("toml", "\n[s.runapi]\na = 1\n\n# c\n[s.runapi.e]\nb = 1\n", "\n\n# c\n"),
    ("toml", "[s.runapi]\na = 1\n[z]\n[s]\nb = nan\n", "[z]\n[s]\nb = nan\n"),
    ("yaml", "s:\n  # c\n  runapi: {a: 1}\n# d\n", "  # c\n# d\n"),
    ("yaml", "s: # c\n  runapi: {a: 1}\n", "# c\n"),
    ("yaml", "s: {runapi: {a: 1}} # c\n", "# c\n"),
    ("yaml", "s: {runapi: {a: 1}, # c, d\n  x: 1}\n", "s: { # c, d\n  x: 1}\n"),
    ("yaml", "s: {x: 1, # c\n  runapi: {a: 1}}\n", "s: {x: 1 # c\n  }\n"),
    ("yaml", "b: &b {q: 1}\ns: {x: *b, runapi: *b}\n", "b: &b {q: 1}\ns: {x: *b}\n"),
    ("json", '{"s": {"runapi": {"a": 1}, "x": [1]}}', '{"s": {"x": [1]}}'),
    ("json", '{"s": {"x": 1,\n "runapi": {}, "y": 2}}', '{"s": {"x": 1,\n "y": 2}}'),
    ("jsonc", '{"s": {"x": 1, // c\n "runapi": {}, "y": 2}}', '{"s": {"x": 1, // c\n "y": 2}}'),
    ("jsonc", '{"s": { // c */\n "runapi": {} }}', '{"s": { // c */\n  }}'),
    ("jsonc", '{"s" /* c */: {"runapi": {}}}', '{"s" /* c */: {}}'),
]


@pytest.mark.parametrize(("dialect", "before", "after"), WITHIN)
def test_what_stands_close_to_the_entry_is_not_cut_with_it(
    dialect: Dialect, before: str, after: str
) -> None:
    assert remove_entry(before, dialect, ("s", "runapi"), InsertionContext(depth=0)) == after


@pytest.mark.parametrize("empty", ["", "{}", "{ }", " ~"])
def test_a_container_that_was_empty_is_so_again_though_somebody_wrote_it_anew(empty: str) -> None:
    text = "a: 1\ns:\n  runapi: {a: 1}\n"
    left = remove_entry(
        text, "yaml", ("s", "runapi"), InsertionContext(depth=1, empty=empty.strip())
    )
    assert left == f"a: 1\ns:{' ' if empty else ''}{empty.strip()}\n"


DOTTED = 's.runapi.a = "q" # c\ns.runapi.b = ["x"]\n[z]\n'
MORE_DOTTED = 's.runapi.a = "q" # c\ns.runapi.b = ["x"]\ns.runapi.c = 5\n[z]\n'
FROM_DOTTED: list[tuple[ServerEntry, str]] = [
    ({"a": "q", "b": ["x"], "c": 5}, MORE_DOTTED),
    (
        {"a": "q", "b": ["x"], "env": {"A": "b"}, "c": 5},
        f'{MORE_DOTTED}\n[s.runapi.env]\nA = "b"\n',
    ),
    ({"url": "u"}, '[z]\n\n[s.runapi]\nurl = "u"\n'),
]


@pytest.mark.parametrize(("entry", "after"), FROM_DOTTED)
def test_an_entry_of_dotted_keys_is_added_to_beside_them_or_replaced(
    entry: ServerEntry, after: str
) -> None:
    assert put_entry(DOTTED, "toml", ("s", "runapi"), entry)[0] == after
    assert read_entry(after, "toml", ("s", "runapi")) == entry


PUT: list[tuple[Dialect, str, str]] = [
    ("yaml", "x: 1\n...\n# c\n", "x: 1\ns:\n  runapi:\n    a: 1\n...\n# c\n"),
    ("yaml", "  x: 1\n  y:\n", "  x: 1\n  y:\n  s:\n    runapi:\n      a: 1\n"),
    ("yaml", "s: {x: , }\n", 's: {x: , "runapi": {"a": 1}, }\n'),
    ("yaml", "s: &s {}\n", 's: &s {"runapi": {"a": 1}}\n'),
    ("yaml", "b: &b {q: 1}\ns: {x: *b}\n", 'b: &b {q: 1}\ns: {x: *b, "runapi": {"a": 1}}\n'),
]


@pytest.mark.parametrize(("dialect", "before", "after"), PUT)
def test_an_entry_finds_its_place_in_a_text_that_is_oddly_written(
    dialect: Dialect, before: str, after: str
) -> None:
    changed, around = put_entry(before, dialect, ("s", "runapi"), {"a": 1})
    assert changed == after
    assert remove_entry(changed, dialect, ("s", "runapi"), around) == before


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=60)
def test_into_a_text_that_is_broken_anywhere_an_entry_is_put_whole_or_not_at_all(
    case: str, data: st.DataObject
) -> None:
    dialect, path, documents, _ = CASES[case]
    text = data.draw(documents)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    broken = text[:start] + data.draw(BREAKS) + text[end:]
    try:
        older = read_entry(broken, dialect, path)
        changed, _ = put_entry(broken, dialect, path, ENTRY)
    except UnusableText:
        return
    assume(older is None)
    assert read_entry(changed, dialect, path) == ENTRY
    assert keeps(broken, changed)


def keeps(text: str, changed: str) -> bool:
    """Whether the letters of the text are all there in their order, but those that say nothing."""
    letters = iter(changed)
    return all(letter in letters for letter in NOTHING.sub("", text))
