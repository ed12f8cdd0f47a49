"""The page a host may show beside a result. Knows no MCP, no tools."""

from runapi_mcp.gallery.resource import (
    ASKED,
    BINDING,
    DESCRIPTION,
    EXTENSION,
    MIME_TYPE,
    NAME,
    TITLE,
    URI,
    framing,
    page,
)

__all__ = [
    "ASKED",
    "BINDING",
    "DESCRIPTION",
    "EXTENSION",
    "MIME_TYPE",
    "NAME",
    "TITLE",
    "URI",
    "framing",
    "page",
]
