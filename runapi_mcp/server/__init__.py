"""The tools as an MCP server: calls, keys, consent, tasks, receipts. Knows no transport."""

from runapi_mcp.server.calls import Service
from runapi_mcp.server.request_keys import Keys
from runapi_mcp.server.server import SERVER_NAME, create_server, describe

__all__ = ["SERVER_NAME", "Keys", "Service", "create_server", "describe"]
