"""How long each request of a client took, as the semantic conventions for MCP want it told."""

from collections.abc import Collection
from typing import Any, Final

import anyio
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    CallToolResult,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from runapi_mcp.base.measures import SECONDS, Histogram
from runapi_mcp.server.client_capabilities import Context

_METHODS: Final = frozenset(
    {
        "initialize",
        "notifications/cancelled",
        "notifications/initialized",
        "ping",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "server/discover",
        "tasks/cancel",
        "tasks/get",
        "tasks/update",
        "tools/call",
        "tools/list",
    }
)
_CODES: Final = (INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND)
_ERRORS: Final = frozenset({"tool_error", "cancelled", *map(str, _CODES)})
_VERSIONS: Final = frozenset({*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS})


def operation_measure(tool_names: Collection[str]) -> Histogram:
    """The row, of a server that has these tools."""
    return Histogram(
        "histogram",
        "mcp.server.operation.duration",
        "s",
        "How long a request of a client took.",
        {
            "mcp.method.name": _METHODS,
            "gen_ai.tool.name": frozenset(tool_names),
            "error.type": _ERRORS,
            "mcp.protocol.version": _VERSIONS,
            "network.transport": frozenset({"tcp", "pipe"}),
        },
        SECONDS,
    )


def measuring(row: Histogram) -> ServerMiddleware[Any]:
    """The middleware that tells the row."""

    async def measure(ctx: Context, call_next: CallNext) -> HandlerResult:
        began, error = anyio.current_time(), ""
        try:
            result = await call_next(ctx)
        except BaseException as trouble:
            error = _error_type(trouble)
            raise
        else:
            error = "tool_error" if _failed(result) else ""
            return result
        finally:
            row.record(anyio.current_time() - began, **_labels(ctx, error))

    return measure


def _labels(context: Context, error: str) -> dict[str, str]:
    labels = {
        "mcp.method.name": context.method,
        "mcp.protocol.version": str(context.protocol_version),
        "network.transport": "pipe" if context.request is None else "tcp",
    }
    if error:
        labels["error.type"] = error
    if context.method == "tools/call":
        labels["gen_ai.tool.name"] = str((context.params or {}).get("name"))
    return labels


def _error_type(trouble: BaseException) -> str:
    if isinstance(trouble, MCPError):
        return str(trouble.error.code)
    if isinstance(trouble, ValidationError):
        return str(INVALID_PARAMS)
    return str(INTERNAL_ERROR) if isinstance(trouble, Exception) else "cancelled"


def _failed(result: HandlerResult) -> bool:
    return isinstance(result, CallToolResult) and bool(result.is_error)
