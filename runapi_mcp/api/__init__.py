"""RunAPI over HTTP. Knows nothing of MCP."""

from runapi_mcp.api.runapi import RunAPI, Upstream

__all__ = ["RunAPI", "Upstream"]
