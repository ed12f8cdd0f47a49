"""What a host can call. Knows no transport."""

from runapi_mcp.tools.surface import instructions, offered
from runapi_mcp.tools.tool import Caller, Outcome, Tool

__all__ = ["Caller", "Outcome", "Tool", "instructions", "offered"]
