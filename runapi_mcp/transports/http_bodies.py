"""The body of a request over HTTP: read whole, within its limit, as its sender meant it."""

import json
import math
from collections.abc import Sequence
from typing import Final

from mcp_types import ErrorData, JSONRPCError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.base.json_values import as_object
from runapi_mcp.transports.incoming import NoMessage, as_meant, values_in, whole

MOST_BATCHED: Final = 100
"""How many messages of a batch are answered one by one."""

_BATCH = "A batch is not taken over HTTP: send each message by itself."


class Left(Exception):
    """The caller went before the body was whole."""


class NotTaken(Exception):
    """A body that goes no further."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class MeantBodies:
    """Hands on what a client meant by what it posted, and refuses what is no message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        try:
            body = _as_meant(await read_body(scope, receive))
        except Left:
            return
        except NotTaken as refused:
            await refused.response(scope, receive, send)
            return
        await self._app(scope, replay(body, receive), send)


async def read_body(scope: Scope, receive: Receive, most_bytes: float = math.inf) -> bytes:
    """
    Raises:
        Left
        NotTaken: it is larger.
    """
    declared = Headers(scope=scope).get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most_bytes:
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Left
        body += message.get("body", b"")
        if len(body) > most_bytes:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read already, and then what comes after it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return left.pop() if left else await receive()

    return give


def request_id_in(body: bytes) -> str | int | None:
    """The id of a request; None for anything else."""
    try:
        message = as_object(json.loads(body)) if body else {}
    except (ValueError, RecursionError):
        return None
    request_id = whole(message.get("id"))
    return request_id if "method" in message and isinstance(request_id, str | int) else None


def _is_json(scope: Scope) -> bool:
    return "json" in Headers(scope=scope).get("content-type", "")


def _as_meant(body: bytes) -> bytes:
    """The one message in it, as it was meant.

    Raises:
        NotTaken: it is a batch, or no message.
    """
    try:
        values = values_in(body.decode(errors="replace"))
        if len(values) > 1:
            several = values if len(values) <= MOST_BATCHED else [None]
            raise NotTaken(_refusal([NoMessage(_BATCH, value) for value in several]))
        message = as_meant(values[0])
    except NoMessage as no_message:
        raise NotTaken(_refusal([no_message])) from no_message
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _too_large() -> NotTaken:
    # The rest of it is not waited for.
    return NotTaken(Response("Request body too large", 413, {"Connection": "close"}))


def _refusal(no_message: Sequence[NoMessage]) -> Response:
    """An answer to each that has an id; else one to whoever sent them."""
    replies = [each.reply for each in no_message if each.reply is not None]
    if not replies:
        error = ErrorData(code=no_message[0].code, message=str(no_message[0]))
        replies = [JSONRPCError(jsonrpc="2.0", id=None, error=error)]
    told = [reply.model_dump_json(by_alias=True, exclude_unset=True) for reply in replies]
    content = told[0] if len(told) == 1 else f"[{','.join(told)}]"
    return Response(content, 400, media_type="application/json")
