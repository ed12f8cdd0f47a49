"""The answer to an HTTP request: begun soon, so that a departure shows; confirmed when out."""

from typing import Final

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.base.request_secrets import add_secret
from runapi_mcp.server.arrivals import mark_arrival
from runapi_mcp.server.delivery_confirmations import open_outbox

BEGIN_SECONDS: Final = 0.5
"""How long an answer may keep its client, and the proxies before it, without a byte."""
LONGEST_QUIET_SECONDS: Final = 15.0
"""How long it may then be silent; each gap is as long as all before it, up to this."""

_START: Final[Message] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache, no-transform"),
        (b"x-accel-buffering", b"no"),
    ],
}
_PING: Final[Message] = {
    "type": "http.response.body",
    "body": b": ping\r\n\r\n",
    "more_body": True,
}
_RESULT: Final = b'"result":'
"""Unescaped it is a name, which no error and no word of progress has."""


class AnswerMiddleware:
    """Notes when a request came and with which secret, and looks after its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        mark_arrival()
        for authorization in Headers(scope=scope).getlist("authorization"):
            _hide(authorization)
        answer = _Answer(receive, send)
        await self._app(scope, answer.receive, answer.send)


def _hide(authorization: str) -> None:
    """Also what is no key, or not sent as one: somebody's secret it is all the same."""
    _, _, given = authorization.strip().partition(" ")
    add_secret(given.strip() or authorization.strip())


class _Answer:
    """What goes between a server and the program on one request.

    The SDK waits fifteen seconds with its first byte where a call says nothing, and until then many
    a proxy hides that the client has gone. So who has read the whole request and only waits for the
    client to leave finds an event stream begun; an answer in JSON becomes its one event. HAProxy
    tells of a client who left when it next has something for it: so there is something.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._outbox = open_outbox()
        self._sending = anyio.Lock(fast_acquire=True)
        self._is_read = False
        self._is_begun = False
        self._is_ours = False
        self._is_stream = False
        self._is_over = False
        self._has_result = False
        self._is_framed = False
        """Whether what the program sends must be made an event."""

    async def receive(self) -> Message:
        gap_seconds = BEGIN_SECONDS
        while self._is_read and not self._is_over:
            with anyio.move_on_after(gap_seconds):
                return self._note(await self._receive())
            await self._show_life()
            gap_seconds = min(2 * gap_seconds, LONGEST_QUIET_SECONDS)
        return self._note(await self._receive())

    async def send(self, message: Message) -> None:
        async with self._sending:
            if message["type"] == "http.response.start":
                await self._start(message)
            else:
                await self._continue(message)

    def _note(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self._outbox.close()
        elif not message.get("more_body"):
            self._is_read = True
        return message

    async def _show_life(self) -> None:
        async with self._sending:
            if not self._is_begun:
                await self._send(_START)
                self._is_begun = self._is_ours = self._is_stream = True
            if self._is_stream and not self._is_over:
                await self._send(_PING)

    async def _start(self, message: Message) -> None:
        media_type = Headers(raw=message["headers"]).get("content-type", "")
        is_stream = media_type.startswith("text/event-stream")
        if self._is_ours:
            self._is_framed = not is_stream
            return
        self._is_begun, self._is_stream = True, is_stream
        await self._send(message)

    async def _continue(self, message: Message) -> None:
        body, is_last = message.get("body", b""), not message.get("more_body")
        self._has_result = self._has_result or _RESULT in body
        if self._is_framed and body:
            message = {**message, "body": b"event: message\r\ndata: " + body + b"\r\n\r\n"}
        self._is_over = is_last
        await self._send(message)
        if is_last and self._has_result:
            await self._outbox.confirm_all()
