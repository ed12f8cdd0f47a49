"""What a client wrote, read as it meant it; of what is no message, what to answer.

The SDK reads JSON-RPC by the letter: it takes a request with an id of 1.5 for a notification, and
an empty object that PHP wrote as `[]` for a fault.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError, field_serializer
from pydantic_core import from_json

from runapi_mcp.base.json_values import Json, as_list, is_object
from runapi_mcp.base.printable import echo

_OBJECTS: Final = frozenset(
    {"params", "arguments", "_meta", "clientInfo", "inputResponses", "result", "content"}
)
"""What holds an object wherever a client writes it."""
_CAPABILITIES: Final = frozenset({"capabilities", "io.modelcontextprotocol/clientCapabilities"})
"""What holds objects at every depth."""
_NUMBERS: Final = frozenset({"requestId", "progressToken"})
_NOT_OURS: Final = frozenset({"arguments", "content"})
"""What is not looked into here: tools and questions say what may be in it."""
_DEEPEST: Final = 8
_BYTE_ORDER_MARK: Final = "\ufeff"
_HALF_A_LETTER: Final = re.compile("[\ud800-\udfff]")


class NoMessage(Exception):
    """A text or value that is no message. Given on in place of one, to whoever answers."""

    def __init__(self, why: str, given: object, code: int = INVALID_REQUEST) -> None:
        super().__init__(why)
        self.code = code
        self._fields: Json = given if is_object(given) else {}

    @property
    def reply(self) -> JSONRPCError | None:
        """What to answer; None to what is an answer, or has no id that could be answered."""
        request_id = self._fields.get("id")
        if {"result", "error"} & self._fields.keys() or not _can_be_answered(request_id):
            return None
        error = ErrorData(code=self.code, message=str(self))
        return _Reply.model_construct(jsonrpc="2.0", id=request_id, error=error)


class _Reply(JSONRPCError):
    """An answer to an id of any kind."""

    @field_serializer("id")
    def _as_given(self, value: object) -> object:
        return value


def values_in(text: str) -> list[object]:
    """The values that a text holds: those of a batch, else the one.

    Raises:
        NoMessage: it is no JSON.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    try:
        value: object = from_json(text)
    except ValueError as error:
        why = f"The message is not valid JSON: {error}."
        cut = " A text that was cut inside an emoji does this: send it whole."
        raise NoMessage(f"{why}{cut}", _read_leniently(text), PARSE_ERROR) from error
    return as_list(value) or [value]


def as_meant(value: object) -> Json:
    """The message in a value: what PHP or a form wrote in it as what it stands for.

    Raises:
        NoMessage: it is no message.
    """
    if not is_object(value):
        raise NoMessage(f"A message must be an object, not {echo(value)}.", value)
    message = _members(value)
    if "id" in value:
        message["id"] = whole(value["id"])
    if fault := _fault(message):
        raise NoMessage(fault, value)
    return message


def message_of(value: object) -> JSONRPCMessage:
    """
    Raises:
        NoMessage: it is no message.
    """
    try:
        return jsonrpc_message_adapter.validate_python(as_meant(value), by_name=False)
    except ValidationError as error:
        raise NoMessage("The message is JSON, but not JSON-RPC.", value) from error


def _fault(message: Json) -> str | None:
    """What is wrong with a request or notification; answers are the SDK's to judge."""
    if "method" not in message:
        return None if "result" in message or "error" in message else "method is required."
    request_id = message.get("id", "")
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0".'
    if isinstance(request_id, bool) or not isinstance(request_id, str | int):
        return f"id must be a string or a whole number, not {echo(request_id)}."
    if not isinstance(message["method"], str):
        return f"method must be a string, not {echo(message['method'])}."
    if not is_object(message.get("params", {})):
        return f"params must be an object, not {echo(message['params'])}."
    return None


def _members(value: Json, levels: int = _DEEPEST, *, inside: bool = False) -> Json:
    """Those that say something: a null does not, but where capabilities are asked for."""
    return {
        name: _member(name, of, levels, inside=inside)
        for name, of in value.items()
        if of is not None or name in _CAPABILITIES
    }


def _member(name: str, value: object, levels: int, *, inside: bool) -> object:
    """A member's value. Empty arrays are objects where those belong."""
    inside = inside or name in _CAPABILITIES
    if value is None or value == []:
        return {} if inside or name in _OBJECTS else value
    if name in _NUMBERS:
        return whole(value)
    if not is_object(value) or name in _NOT_OURS or levels == 0:
        return value
    return _members(value, levels - 1, inside=inside)


def whole(value: object) -> object:
    """A number that is whole, as such: some languages know no others but 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _can_be_answered(request_id: object) -> bool:
    match request_id:
        case bool():  # an int to Python, and no id to JSON-RPC
            return False
        case str():
            return _HALF_A_LETTER.search(request_id) is None
        case int() | float():
            return math.isfinite(request_id)
        case _:
            return False


def _read_leniently(text: str) -> object:
    """The JSON, where half an emoji, which most often is what is wrong, is taken for a letter."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
