"""RunAPI over HTTP. Knows nothing of MCP."""

from runapi_mcp.providers.runapi.provider import RunAPI

__all__ = ["RunAPI"]
