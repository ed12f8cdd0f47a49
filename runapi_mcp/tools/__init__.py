"""What a host can call. Knows no transport."""

from runapi_mcp.tools.surface import instructions, offered
from runapi_mcp.tools.tool import Caller, Tool, ToolResult

__all__ = ["Caller", "Tool", "ToolResult", "instructions", "offered"]
