"""Runflow over HTTP. Knows nothing of MCP, and nothing of RunAPI.

Written from what is public of Runflow; nobody has tried it against the live service.
"""

from runapi_mcp.providers.runflow.runflow_provider import Runflow

__all__ = ["Runflow"]
