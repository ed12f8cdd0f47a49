"""Other programs' files as text: read as their hosts read them, changed by splicing.

Nothing here touches the disk. What is not asked to change keeps every byte, which no library gave:
of the files that people have, tomlkit gave 0 of 9 back byte for byte and once changed their data,
ruamel.yaml 6 of 16, and json-five needs 18 s for a megabyte.
"""

from runapi_mcp.base.texts.edits import (
    InsertionContext,
    ServerEntry,
    parse_text,
    put_entry,
    read_entry,
    remove_entry,
)
from runapi_mcp.base.texts.text import Dialect, KeyPath, UnusableText

__all__ = [
    "Dialect",
    "InsertionContext",
    "KeyPath",
    "ServerEntry",
    "UnusableText",
    "parse_text",
    "put_entry",
    "read_entry",
    "remove_entry",
]
