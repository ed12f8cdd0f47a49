"""What stands between braces, in JSON and in YAML's flows: members, commas and comments."""

import re
from typing import Final

from runapi_mcp.base.texts.text import splice

_COMMENT: Final = {
    "//": re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL),
    "#": re.compile(r"#[^\r\n]*"),
}


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
