"""Other programs' files as text: read as their hosts read them, changed by splicing.

Nothing here touches the disk. What is not asked to change keeps every byte, which no library gave:
tomlkit moves tables and their comments, ruamel.yaml lays a document out anew, and nothing that is
kept up edits JSON with comments.
"""

from runapi_mcp.base.texts.edits import Entry, Surroundings, found, put, taken_out, understood
from runapi_mcp.base.texts.text import Broken, Dialect, Path

__all__ = [
    "Broken",
    "Dialect",
    "Entry",
    "Path",
    "Surroundings",
    "found",
    "put",
    "taken_out",
    "understood",
]
