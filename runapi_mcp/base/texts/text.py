"""What can be asked of a file's text, whatever its format."""

import json
import re
from typing import Final, Literal, Protocol

from runapi_mcp.base.json_values import is_bounded, is_object

Dialect = Literal["json", "json with comments", "jsonc", "toml", "yaml"]
"""`jsonc` has comments and trailing commas. Which of them a host reads was measured."""

KeyPath = tuple[str, ...]
"""The keys that lead to a value, from the outermost."""

HARM: Final = "it is written in a way that cannot be changed without harm to other entries"
"""Why a sound text is left alone."""

_COMMENT: Final = {
    "//": re.compile(r"//[^\r\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL),
    "#": re.compile(r"#[^\r\n]*"),
}


class UnusableText(Exception):
    """A text that cannot be read or changed: why, and in which line where that is known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why, line)
        self.why = why
        self.line = line


class Text(Protocol):
    """A text that was understood. Changing it gives the new text, and leaves this one as it is."""

    text: str
    value: object
    """What it says: mappings, lists and scalars; None where it says nothing."""

    def raw(self, path: KeyPath) -> str:
        """How the value at a path is written; for no path, the whole or the object that it is."""
        ...

    def is_bare(self, path: KeyPath) -> bool:
        """Whether a mapping can go without a comment that is in it, or beside its key."""
        ...

    def put(self, path: KeyPath, value: object) -> str:
        """With the value at the path, in place of what was there, or added last."""
        ...

    def put_back(self, path: KeyPath, empty: str) -> str:
        """With an empty mapping written as it was, unless somebody wrote into it since."""
        ...

    def cut(self, path: KeyPath) -> str:
        """Without the entry at the path, its comma, and the white space before it."""
        ...


def require_bounded(value: object, text: str) -> object:
    """What a text says, if whoever walks through it comes to an end.

    Raises:
        UnusableText: it is nested too deeply, or says far more than its letters, by YAML's aliases.
    """
    if not is_bounded(value, 10_000 + len(text)):
        raise UnusableText("it is nested too deeply")
    return value


def value_at(value: object, path: KeyPath) -> object:
    """What stands at the path; None where nothing does.

    Raises:
        UnusableText: something on the way is not a mapping.
    """
    for depth, key in enumerate(path):
        if value is None:
            return None
        if not is_object(value):
            raise UnusableText(f"{quoted_path(path[:depth])} is not a mapping")
        value = value.get(key)
    return value


def quoted_path(path: KeyPath) -> str:
    """A place, as a message calls it."""
    return f"“{'.'.join(path)}”" if path else "the whole"


def inline_json(value: object) -> str:
    """A value on one line, as JSON, and so as YAML too."""
    return json.dumps(value, ensure_ascii=False)


def without_space(text: str) -> str:
    return "".join(text.split())


def line_of(text: str, index: int) -> int:
    """The number of the line that holds a character, counted from one; at the end, the last."""
    return text.count("\n", 0, min(index, len(text.removesuffix("\n")))) + 1


def newline_of(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def splice(text: str, *edits: tuple[int, int, str]) -> str:
    """The text with each range, from start to end, replaced; later ranges first."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def mask_comments(gap: str, comment: str) -> str:
    """What stands between two members, with `#` for each letter of a comment, `*` in `/* */`."""
    return _COMMENT[comment].sub(_marked, gap)


def cut_member(text: str, before: int, member: tuple[int, int], after: int, comment: str) -> str:
    """The text without a member, its comma, and the white space before it.

    What is before it, a member or the brace, ends at `before`; what is next begins at `after`.
    """
    start, end = member
    left = mask_comments(text[before:start], comment)
    right = mask_comments(text[end:after], comment)
    if text[after] != "}" and text[end:after].strip(" \t") == ",":
        return text[:start] + text[after:]
    comma = end + right.index(",") if "," in right else before + left.find(",")
    ink = before + len(left.rstrip())
    if left.rstrip().endswith("#") and text[end:].lstrip(" \t,")[:1] not in ("\r", "\n"):
        ink = start  # or the comment would swallow what comes after
    commas = ((comma, comma + 1, ""),) if "," in left + right else ()
    return splice(text, (ink, end, ""), *commas)


def _marked(found: re.Match[str]) -> str:
    # Not the comment's own words, among which a comma may be.
    return ("*" if found[0].startswith("/*") else "#") * len(found[0])
