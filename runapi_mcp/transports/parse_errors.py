"""The answer to a request that cannot be read. Without one, its sender would wait for ever."""

import json

from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

from runapi_mcp.base.json_values import as_object, is_object


def parse_error_reply(error: Exception) -> JSONRPCError | None:
    """What to answer; None to what has no id that could be answered."""
    if not isinstance(error, ValidationError):
        return None
    faults = error.errors(include_url=False)
    first = faults[0]
    if first["type"] != "json_invalid":
        # Each names the part that it is about, and one of them the whole.
        whole = next((fault["input"] for fault in faults if is_object(fault["input"])), None)
        return _reply(whole, INVALID_REQUEST, "The message is JSON, but no JSON-RPC request.")
    why = first.get("ctx", {}).get("error", "it cannot be read")
    return _reply(
        _read_leniently(first["input"]),
        PARSE_ERROR,
        f"The message is not valid JSON: {why}. A text that was cut inside an emoji does this: "
        "send it whole.",
    )


def _read_leniently(line: object) -> object:
    """The JSON, where half an emoji, which most often is what is wrong, is taken for a letter."""
    try:
        return json.loads(line) if isinstance(line, str) else None
    except (ValueError, RecursionError):
        return None


def _reply(request: object, code: int, message: str) -> JSONRPCError | None:
    fields = as_object(request)
    request_id = fields.get("id")
    # true is an int to Python, and no id to JSON-RPC.
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return None
    if "method" not in fields or not str(request_id).isprintable():
        return None
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=message))
