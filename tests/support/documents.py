"""Files as people keep them: random documents of each format, with comments and odd white space."""

import json
import re

from hypothesis import strategies as st

from runapi_mcp.base.json_values import as_object

KEYS = st.one_of(
    st.sampled_from(["theme", "a.b", "mcpServers", "mcp", "servers", "run api", "", "ключ", 'q"q']),
    st.text(min_size=1, max_size=4),
).filter(lambda key: key.isprintable() and key != "runapi")
WORDS = st.sampled_from(["x", "uvx", "// no comment", "# nor this", "a\\b", '"quoted"', "emoji 🎨"])
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), WORDS)
COMMENT_WORDS = st.sampled_from(["", " note", ' {"a": 1}', " ünïcode", " // more", ' "'])


def _space(*, comments: bool) -> st.SearchStrategy[str]:
    plain = st.sampled_from(["", "", " ", "  ", "\n", "\n\t", "\n    ", "\n\n"])
    if not comments:
        return plain
    line = COMMENT_WORDS.map(lambda words: f" //{words}\n")
    block = COMMENT_WORDS.map(lambda words: f"/*{words}\n*/")
    return st.one_of(plain, plain, line, block)


def json_documents(path: tuple[str, ...], *, comments: bool) -> st.SearchStrategy[str]:
    """JSON in which the way to an entry may be there, in part or in full."""
    space = _space(comments=comments)

    @st.composite
    def value(draw: st.DrawFn, depth: int) -> str:
        if depth == 0 or draw(st.booleans()):
            return json.dumps(draw(SCALARS), ensure_ascii=draw(st.booleans()))
        if draw(st.booleans()):
            items = [draw(value(depth - 1)) for _ in range(draw(st.integers(0, 2)))]
            return _joined(draw, "[", items, "]")
        keys = draw(st.lists(KEYS, max_size=3, unique=True))
        return _joined(draw, "{", [_pair(draw, key, draw(value(depth - 1))) for key in keys], "}")

    def _pair(draw: st.DrawFn, key: str, written: str) -> str:
        return f"{json.dumps(key)}{draw(space)}:{draw(space)}{written}"

    def _joined(draw: st.DrawFn, start: str, items: list[str], end: str) -> str:
        parts = [f"{draw(space)}{item}{draw(space)}" for item in items]
        comma = "," if comments and items and draw(st.booleans()) else ""
        return f"{start}{','.join(parts) or draw(space)}{comma}{draw(space)}{end}"

    @st.composite
    def way(draw: st.DrawFn, keys: tuple[str, ...]) -> str:
        others = draw(st.lists(KEYS, max_size=3, unique=True))
        items = [_pair(draw, key, draw(value(2))) for key in others if key != keys[0]]
        if len(keys) > 1 and draw(st.booleans()):
            items.insert(
                draw(st.integers(0, len(items))), _pair(draw, keys[0], draw(way(keys[1:])))
            )
        return _joined(draw, "{", items, "}")

    @st.composite
    def document(draw: st.DrawFn) -> str:
        if draw(st.integers(0, 9)) == 0:
            return draw(space)
        return f"{draw(space)}{draw(way(path))}{draw(space)}"

    return document()


def toml_documents(table: str) -> st.SearchStrategy[str]:
    """TOML with tables beside the one that an entry goes into."""
    bare = st.sampled_from(["model", "a-b", '"q.q"', "'lit'", "x_1"])
    values = st.sampled_from(
        ['"x"', "'y'", "1", "2.5", "true", "nan", "1979-05-27", '[ "a", # c\n "b",\n]', "{ a = 1 }",
         '"""\n[mcp_servers.runapi]\n"""', "'''\nx = '#'\n'''", '[["a"], []]', '"# no = [comment"'],
    )  # fmt: skip
    gap = st.sampled_from(["", "", "\n", "# note\n", "   \n", "\t# [no.table]\n"])
    ends = st.sampled_from(["\n", " # why\n", "  \n"])

    @st.composite
    def body(draw: st.DrawFn) -> str:
        keys = draw(st.lists(bare, max_size=3, unique=True))
        rows = [f"{key} = {draw(values)}{draw(ends)}{draw(gap)}" for key in keys]
        return draw(gap) + "".join(rows)

    @st.composite
    def document(draw: st.DrawFn) -> str:
        names = [f"[{table}]", f"[{table}.other]", f'[ {table} . "run" ]', "[z]", "[[list]]"]
        chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True))
        parts = [draw(body())] + [f"{name}{draw(ends)}{draw(body())}" for name in chosen]
        return _ended(draw, "".join(parts))

    return document()


def yaml_documents(container: str) -> st.SearchStrategy[str]:
    """YAML with a mapping that an entry goes into, or nothing there, or not even that."""
    gap = st.sampled_from(["", "", "\n", "# note\n", "    # deep\n", "  \n"])
    ends = st.sampled_from(["\n", " # why\n", "  \n"])
    scalars = st.sampled_from(
        ["1", "x y", "'it''s'", '"a # b"', "~", "[a, b]", "{a: 1, }", "2026-11-21", "&anchor v",
         "|\n{i}  text\n{i}  # no comment\n", ">-\n{i}  folded\n\n", "\n{i}  - a\n{i}  - b", "",
         "!!str 1"],
    )  # fmt: skip

    def row(draw: st.DrawFn, key: str, indent: str) -> str:
        written = draw(scalars).replace("{i}", indent)
        end = draw(ends) if "\n" not in written else "\n"
        return f"{indent}{key}: {written}{end}".replace("\n\n", "\n") + draw(gap)

    @st.composite
    def members(draw: st.DrawFn) -> str:
        indent = draw(st.sampled_from(["  ", "    ", " "]))
        names = draw(
            st.lists(st.sampled_from(["developer", "x-y", "'q q'"]), max_size=3, unique=True)
        )
        return "".join(row(draw, name, indent) for name in names)

    @st.composite
    def held(draw: st.DrawFn) -> str:
        kind = draw(
            st.sampled_from(
                ["block", "block", "{}", "{ }", "{a: {b: 1}}", "{a: 1, }", "~", "null", ""]
            )
        )
        rest = draw(members()) if kind == "block" else ""
        return f"{container}: {kind if kind != 'block' else ''}{draw(ends)}{rest}"

    @st.composite
    def document(draw: st.DrawFn) -> str:
        keys = draw(st.lists(st.sampled_from(["A_MODEL", "b", "'c d'"]), max_size=3, unique=True))
        parts = [row(draw, key, "") for key in keys]
        if draw(st.booleans()):
            parts.insert(draw(st.integers(0, len(parts))), draw(held()))
        start = draw(st.sampled_from(["", "", "---\n", "# top\n"]))
        return _ended(draw, start + "".join(parts))

    return document()


def _ended(draw: st.DrawFn, text: str) -> str:
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.integers(0, 3)) == 0 else text


_NO_MEMBERS = re.compile(r"(\{(?:\s*(?://[^\r\n]*|/\*.*?\*/))*)\s+\}", re.DOTALL)
"""Braces with nothing in them, or comments alone."""


def is_within(part: str, whole: str) -> bool:
    """Whether every character of a text is in another, in order.

    What only stood for "nothing" gives way to an entry: a null, and the space before the brace
    that closes on no members, where the entry's own line break comes.
    """
    kept = _NO_MEMBERS.sub(r"\1}", part.replace(" null", "").replace(" ~", ""))
    rest = iter(whole)
    return all(letter in rest for letter in kept)


def has_members_of(value: object, other: object) -> bool:
    """Whether each key of a value's mappings is in another's too, whatever it holds."""
    mine, others = as_object(value), as_object(other)
    return all(key in mine and has_members_of(mine[key], others[key]) for key in others)
