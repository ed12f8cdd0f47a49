"""Other programs' files as text: read as their hosts read them, changed by splicing.

Nothing here touches the disk. What is not asked to change keeps every byte, which no library gave:
of the files that people have, tomlkit gave 0 of 9 back byte for byte and once changed their data,
ruamel.yaml 6 of 16, and json-five needs 18 s for a megabyte. A text that cannot be read, or not be
changed without touching what is not ours, raises UnusableText.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from runapi_mcp.base.json_values import as_list, as_object, is_object
from runapi_mcp.base.texts.json_text import JsonText
from runapi_mcp.base.texts.text import (
    HARM,
    Dialect,
    KeyPath,
    Text,
    UnusableText,
    quoted_path,
    value_at,
    without_space,
)
from runapi_mcp.base.texts.toml_text import TomlText

ServerEntry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class InsertionContext:
    """What was around an entry before it came, as far as the text does not tell by itself."""

    depth: int | None = None
    """How many keys lead to the innermost mapping that was there; -1 where nothing was, None for
    all of them."""
    empty: str | None = None
    """How that mapping was written, if nothing was in it."""


def parse_text(text: str, dialect: Dialect) -> Text:
    """A text as its host reads it."""
    match dialect:
        case "json" | "json with comments" | "jsonc":
            return JsonText(text, comments=dialect != "json", trailing_commas=dialect == "jsonc")
        case "toml":
            return TomlText(text)
        case "yaml":
            # Imported here, because one host of all keeps YAML.
            from runapi_mcp.base.texts.yaml_text import YamlText

            return YamlText(text)


def read_entry(text: str, dialect: Dialect, path: KeyPath) -> ServerEntry | None:
    """The entry at a path; None where there is none. Something else there is unusable."""
    return _entry(parse_text(text, dialect), path)


def _entry(doc: Text, path: KeyPath) -> ServerEntry | None:
    entry = value_at(doc.value, path)
    doc.raw(path)  # which refuses a key that stands there twice
    if entry is not None and not is_object(entry):
        raise UnusableText(f"{quoted_path(path)} is not a mapping")
    return entry


def put_entry(
    text: str, dialect: Dialect, path: KeyPath, entry: ServerEntry
) -> tuple[str, InsertionContext]:
    """The text with the entry, and what was around it; one that is there is changed in place."""
    before = parse_text(text, dialect)
    older = _entry(before, path)
    around = InsertionContext() if older is not None else _surroundings(before, dialect, path)
    doc = _with(before, dialect, path, older, entry)
    _check(before, doc, path, entry)
    return doc.text, around


def remove_entry(text: str, dialect: Dialect, path: KeyPath, around: InsertionContext) -> str:
    """The text as it was before the entry came."""
    before = parse_text(text, dialect)
    doc, depth = _edited(before.cut(path), dialect), len(path) - 1
    _check(before, doc, path, None)
    kept = depth if around.depth is None else around.depth
    while depth > max(0, kept) and doc.is_bare(path[:depth]):
        fewer = _edited(doc.cut(path[:depth]), dialect)
        if not _same(doc, fewer, path):
            return doc.text  # as it keeps a comment from what is before it
        doc, depth = fewer, depth - 1
    if kept < 0 and depth == 0:
        return _unwrapped(doc, around.empty or "")
    if depth > kept or around.empty is None:
        return doc.text
    return doc.put_back(path[:depth], around.empty)


def _with(
    doc: Text, dialect: Dialect, path: KeyPath, older: ServerEntry | None, newer: ServerEntry
) -> Text:
    changed = doc
    try:
        for where, value in _changes(path, older, newer):
            text = changed.cut(where) if value is None else changed.put(where, value)
            changed = _edited(text, dialect)
    except UnusableText:
        if older is None:
            raise
    if older is None or value_at(changed.value, path) == newer:
        return changed
    # It is in one piece, such as a table on one line: then it is replaced in one piece.
    return _edited(doc.put(path, newer), dialect)


def _edited(text: str, dialect: Dialect) -> Text:
    """What an edit made of a text; if it broke that, the fault is not the file's."""
    try:
        return parse_text(text, dialect)
    except UnusableText as broken:
        raise UnusableText(HARM) from broken


def _surroundings(doc: Text, dialect: Dialect, path: KeyPath) -> InsertionContext:
    depth = len(path) - 1
    if dialect == "toml":
        return InsertionContext()  # whose tables say it all
    while depth and path[depth - 1] not in as_object(value_at(doc.value, path[: depth - 1])):
        depth -= 1
    if depth == 0 and doc.value is None and dialect != "yaml":
        depth = -1
    is_empty = not value_at(doc.value, path[: max(depth, 0)])
    return InsertionContext(depth, doc.raw(path[: max(depth, 0)]) if is_empty else None)


def _changes(
    path: KeyPath, older: ServerEntry | None, newer: ServerEntry
) -> list[tuple[KeyPath, object]]:
    """What to put where; None for what goes."""
    if older is None:
        return [(path, newer)]
    changes: list[tuple[KeyPath, object]] = [
        ((*path, key), None) for key in older if key not in newer
    ]
    for key, value in newer.items():
        inner = older.get(key)
        if is_object(inner) and is_object(value):
            changes += _changes((*path, key), inner, value)
        elif inner != value:
            changes.append(((*path, key), value))
    return changes


def _unwrapped(doc: Text, empty: str) -> str:
    """The text without the braces that were made around everything."""
    rest = without_space(doc.text).removeprefix(without_space(empty))
    return empty if rest in ("", "{}") else doc.text


def _check(before: Text, after: Text, path: KeyPath, entry: ServerEntry | None) -> None:
    """Refuses a change that did more, or less, than it should: what no text was tried for."""
    if not _same(before, after, path) or value_at(after.value, path) != entry:
        raise UnusableText(HARM)


def _same(before: Text, after: Text, path: KeyPath) -> bool:
    """Whether all that is not at the path is as it was."""
    return _alike(_others(before.value, path), _others(after.value, path))


def _alike(was: object, now: object) -> bool:
    """Whether two values say the same; 1 and true do not."""
    if type(was) is not type(now):
        return False
    if is_object(was) and is_object(now):
        same = was.keys() == now.keys()
        return same and all(_alike(was[key], now[key]) for key in was)
    if isinstance(was, list):
        ones, others = as_list(cast("object", was)), as_list(now)
        pairs = zip(ones, others, strict=False)
        return len(ones) == len(others) and all(_alike(*both) for both in pairs)
    # By their words too, as what is no number is not equal to itself.
    return was == now or f"{was!r}" == f"{now!r}"


def _others(value: object, path: KeyPath) -> object:
    """All that is not at the path, without mappings that hold nothing else."""
    if not is_object(value):
        return value
    rest: dict[str, object] = {}
    first, way = path[0], path[1:]
    for key, inner in value.items():
        if key != first:
            rest[key] = inner
        elif way and (deeper := _others(inner, way)):
            rest[key] = deeper
    return rest or None
