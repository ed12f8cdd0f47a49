"""An entry put into a text and taken out again, in every format; nothing else may change by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from runapi_mcp.base.texts.json_text import JsonText
from runapi_mcp.base.texts.text import HARM, Broken, Dialect, Path, Text, at, named, squeezed
from runapi_mcp.base.texts.toml_text import TomlText

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was around an entry before it came, as far as the text does not tell by itself."""

    depth: int | None = None
    """How many keys lead to the innermost mapping that was there; -1 where nothing was, None for
    all of them."""
    empty: str | None = None
    """How that mapping was written, if nothing was in it."""


def understood(text: str, dialect: Dialect) -> Text:
    """A text as its host reads it.

    Raises:
        Broken: it cannot be read.
    """
    match dialect:
        case "json" | "json with comments" | "jsonc":
            return JsonText(text, comments=dialect != "json", trailing_commas=dialect == "jsonc")
        case "toml":
            return TomlText(text)
        case "yaml":
            # Imported here, because one host of all keeps YAML.
            from runapi_mcp.base.texts.yaml_text import YamlText

            return YamlText(text)


def found(text: str, dialect: Dialect, path: Path) -> Entry | None:
    """The entry at a path; None where there is none.

    Raises:
        Broken: the text cannot be read, or has something else there.
    """
    return _entry(understood(text, dialect), path)


def _entry(doc: Text, path: Path) -> Entry | None:
    entry = at(doc.value, path)
    doc.raw(path)  # which refuses a key that stands there twice
    if entry is not None and not isinstance(entry, Mapping):
        raise Broken(f"{named(path)} is not a mapping")
    return cast("Entry | None", entry)


def put(text: str, dialect: Dialect, path: Path, entry: Entry) -> tuple[str, Surroundings]:
    """The text with the entry, and what was around it; one that stands there is changed in place.

    Raises:
        Broken: the text cannot be read, or not be changed without touching what is not ours.
    """
    before = understood(text, dialect)
    older = _entry(before, path)
    around = Surroundings() if older is not None else _surroundings(before, dialect, path)
    doc = _with(before, dialect, path, older, entry)
    _check(before, doc, path, entry)
    return doc.text, around


def taken_out(text: str, dialect: Dialect, path: Path, around: Surroundings) -> str:
    """The text as it was before the entry came.

    Raises:
        Broken: as for putting it in.
    """
    before = understood(text, dialect)
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


def _with(doc: Text, dialect: Dialect, path: Path, older: Entry | None, newer: Entry) -> Text:
    changed = doc
    try:
        for where, value in _changes(path, older, newer):
            text = changed.cut(where) if value is None else changed.put(where, value)
            changed = _edited(text, dialect)
    except Broken:
        if older is None:
            raise
    if older is None or at(changed.value, path) == newer:
        return changed
    # It is in one piece, such as a table on one line: then it is replaced in one piece.
    return _edited(doc.put(path, newer), dialect)


def _edited(text: str, dialect: Dialect) -> Text:
    """What an edit made of a text; if it broke that, the fault is not the file's."""
    try:
        return understood(text, dialect)
    except Broken as broken:
        raise Broken(HARM) from broken


def _surroundings(doc: Text, dialect: Dialect, path: Path) -> Surroundings:
    depth = len(path) - 1
    if dialect == "toml":
        return Surroundings()  # whose tables say it all
    while depth and not _is_there(doc.value, path[:depth]):
        depth -= 1
    if depth == 0 and doc.value is None and dialect != "yaml":
        depth = -1
    is_empty = not at(doc.value, path[: max(depth, 0)])
    return Surroundings(depth, doc.raw(path[: max(depth, 0)]) if is_empty else None)


def _is_there(value: object, path: Path) -> bool:
    parent = at(value, path[:-1])
    return isinstance(parent, Mapping) and path[-1] in parent


def _changes(path: Path, older: Entry | None, newer: Entry) -> list[tuple[Path, object]]:
    """What to put where; None for what goes."""
    if older is None:
        return [(path, newer)]
    changes: list[tuple[Path, object]] = [((*path, key), None) for key in older if key not in newer]
    for key, value in newer.items():
        inner = older.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            was, now = cast("Entry", inner), cast("Entry", value)
            changes += _changes((*path, key), was, now)
        elif inner != value:
            changes.append(((*path, key), value))
    return changes


def _unwrapped(doc: Text, empty: str) -> str:
    """The text without the braces that were made around everything."""
    if not _is_bare(squeezed(doc.text).removeprefix(squeezed(empty))):
        return doc.text
    return empty


def _is_bare(raw: str) -> bool:
    """Whether a mapping is written with nothing in it, not even a comment."""
    return squeezed(raw) in ("", "{}")


def _check(before: Text, after: Text, path: Path, entry: Entry | None) -> None:
    """Refuses a change that did more, or less, than it should: what no text was tried for."""
    if not _same(before, after, path) or at(after.value, path) != entry:
        raise Broken(HARM)


def _same(before: Text, after: Text, path: Path) -> bool:
    """Whether all that is not at the path is as it was."""
    return _alike(_others(before.value, path), _others(after.value, path), set())


def _alike(was: object, now: object, seen: set[tuple[int, int]]) -> bool:
    """Whether two values say the same; 1 and true do not."""
    if type(was) is not type(now):
        return False
    pair = (id(was), id(now))
    if pair in seen:  # YAML may have a value in many places, and even within itself
        return True
    seen.add(pair)
    if isinstance(was, dict) and isinstance(now, dict):
        one, other = cast("Entry", was), cast("Entry", now)
        same = one.keys() == other.keys()
        return same and all(_alike(one[key], other[key], seen) for key in one)
    if isinstance(was, list) and isinstance(now, list):
        ones, others = cast("list[object]", was), cast("list[object]", now)
        pairs = zip(ones, others, strict=False)
        return len(ones) == len(others) and all(_alike(*both, seen) for both in pairs)
    # By their words too, as what is no number is not equal to itself.
    return was == now or f"{was!r}" == f"{now!r}"


def _others(value: object, path: Path) -> object:
    """All that is not at the path, without mappings that hold nothing else."""
    if not isinstance(value, Mapping):
        return value
    rest: dict[str, object] = {}
    first, way = path[0], path[1:]
    for key, inner in cast("Entry", value).items():
        if key != first:
            rest[key] = inner
        elif way and (deeper := _others(inner, way)):
            rest[key] = deeper
    return rest or None
