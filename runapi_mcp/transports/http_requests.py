"""Of which kind a request over HTTP is, and how one is refused."""

from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from runapi_mcp.transports.paths import MCP_PATH, SSE_PATH


def is_stream(scope: Scope) -> bool:
    return scope["method"] == "GET" and scope["path"] in (MCP_PATH, SSE_PATH)


def stands_for_itself(scope: Scope) -> bool:
    """Whether the request stands for itself, as since 2026-07-28."""
    version = Headers(scope=scope).get("mcp-protocol-version")
    return version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS


def refusal(status: int, message: str, request_id: str | int | None = None) -> Response:
    error = ErrorData(code=INVALID_REQUEST, message=message)
    body = JSONRPCError(jsonrpc="2.0", id=request_id, error=error)
    content = body.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(content, status, media_type="application/json")
