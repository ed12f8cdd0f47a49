"""Who is let in over HTTP, and to how much."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.base.settings import KEY_PAGE, HttpCaps
from runapi_mcp.transports.callers import HttpCaller, caller_of, user_of
from runapi_mcp.transports.http_bodies import (
    Left,
    NotTaken,
    read_body,
    replay,
    request_id_in,
)
from runapi_mcp.transports.paths import MCP_PATH, MESSAGES_PATH, SSE_PATH
from runapi_mcp.transports.sessions import Session, Sessions
from runapi_mcp.transports.shares import NoneLeft, Pace, Slots


class Admission:
    """Serves callers by their shares; those without a key, where one is needed, by `keyless_app`.

    That one keeps nothing between two requests, and holds no stream.
    """

    def __init__(
        self, app: ASGIApp, caps: HttpCaps, keyless_app: ASGIApp | None, sessions: Sessions
    ) -> None:
        """`keyless_app` is None where the server's own key serves callers who bring none."""
        self._app = app
        self._caps = caps
        self._keyless_app = keyless_app
        self._sessions = sessions
        self._pace = Pace(caps.requests_per_second)
        self._keyless_pace = Pace(caps.keyless_requests_per_second)
        self._keyless_pace_in_all = Pace(caps.keyless_requests_per_second_in_all)
        self._calls = Slots(caps.calls_per_caller)
        self._keyless_calls = Slots(caps.keyless_calls_per_address)
        self._streams = Slots(caps.streams_per_caller, caps.streams)
        # Those without a key leave the other half to those with one.
        self._keyless_streams = Slots(caps.streams_per_caller, caps.streams // 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = caller_of(scope)
        try:
            await self._wait_turn(caller)
            with self._place(scope, caller):
                await self._serve(scope, receive, send, caller)
        except NoneLeft:
            refusal = _refusal(429, "Too many requests, sessions or streams. Try again later.")
            refusal.headers["Retry-After"] = "5"
            await refusal(scope, receive, send)

    def _is_keyless(self, caller: HttpCaller) -> bool:
        return self._keyless_app is not None and not caller.has_key

    async def _wait_turn(self, caller: HttpCaller) -> None:
        if self._is_keyless(caller):
            await self._keyless_pace.wait_turn(caller.address)
            await self._keyless_pace_in_all.wait_turn("")
        elif not caller.is_here:
            await self._pace.wait_turn(caller.address)

    @contextmanager
    def _place(self, scope: Scope, caller: HttpCaller) -> Generator[None]:
        with ExitStack() as held:
            if self._is_keyless(caller):
                held.enter_context(self._keyless_calls.hold(caller.id))
            elif not _is_stream(scope):
                held.enter_context(self._calls.hold(caller.id))
            else:
                if not caller.has_key:
                    held.enter_context(self._keyless_streams.hold(caller.id))
                held.enter_context(self._streams.hold(caller.id))
            yield

    async def _serve(self, scope: Scope, receive: Receive, send: Send, caller: HttpCaller) -> None:
        is_keyless, body = self._is_keyless(caller), b""
        if scope["method"] == "POST":
            most_bytes = self._caps.keyless_body_bytes if is_keyless else self._caps.body_bytes
            try:
                body = await read_body(scope, receive, most_bytes)
            except Left:
                return
            except NotTaken as refused:
                await refused.response(scope, receive, send)
                return
            receive = replay(body, receive)
        if is_keyless:
            await (self._keyless_answer(scope) or self._app)(scope, receive, send)
            return
        if caller.has_key:
            scope["user"] = user_of(caller)
        if scope["path"] == MCP_PATH and not _is_modern(scope):
            await self._serve_session(scope, receive, send, caller, body)
        else:
            await self._app(scope, receive, send)

    def _keyless_answer(self, scope: Scope) -> ASGIApp | None:
        """What answers a caller without a key; None for what asks for no key."""
        path = scope["path"]
        if path == SSE_PATH or path.startswith(MESSAGES_PATH):
            refusal = _refusal(
                401,
                "An event stream is held for callers with a RunAPI API key only. Create one at "
                f"{KEY_PAGE} and send it as the header Authorization: Bearer KEY.",
            )
            refusal.headers["WWW-Authenticate"] = "Bearer"
            return refusal
        if path != MCP_PATH:
            return None
        if "mcp-session-id" in Headers(scope=scope) and not _is_modern(scope):
            return _refusal(404, "Session not found")
        if scope["method"] != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        return self._keyless_app

    async def _serve_session(
        self, scope: Scope, receive: Receive, send: Send, caller: HttpCaller, body: bytes
    ) -> None:
        session_id = Headers(scope=scope).get("mcp-session-id")
        if session_id is None:
            await self._open_session(scope, receive, send, caller)
            return
        session = self._sessions.find(session_id, caller)
        if session is None:
            await _refusal(404, "Session not found")(scope, receive, send)
            return
        request_id = request_id_in(body)
        if str(request_id) in session.request_ids:
            # The SDK would take the answer from the first, which would wait for ever.
            refusal = _refusal(400, "A request with this id is still in hand", request_id)
            await refusal(scope, receive, send)
            return
        with ExitStack() as held:
            if request_id is not None:
                session.request_ids.add(str(request_id))
                held.callback(session.request_ids.discard, str(request_id))
            # Who only listens without a key may be ended for others.
            if caller.has_key or not _is_stream(scope):
                held.enter_context(self._sessions.use(session))
            await self._use_session(scope, receive, send, session)

    async def _open_session(
        self, scope: Scope, receive: Receive, send: Send, caller: HttpCaller
    ) -> None:
        session = await self._sessions.reserve(caller)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                session_id = Headers(raw=message["headers"]).get("mcp-session-id")
                if session_id:
                    self._sessions.open(session, session_id)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if not session.id:
                self._sessions.forget(session)

    async def _use_session(
        self, scope: Scope, receive: Receive, send: Send, session: Session
    ) -> None:
        ended = (200, 404) if scope["method"] == "DELETE" else (404,)

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in ended:
                self._sessions.forget(session)
            await send(message)

        await self._app(scope, receive, note)


def _is_stream(scope: Scope) -> bool:
    return scope["method"] == "GET" and scope["path"] in (MCP_PATH, SSE_PATH)


def _is_modern(scope: Scope) -> bool:
    """Whether the request stands for itself, as since 2026-07-28."""
    version = Headers(scope=scope).get("mcp-protocol-version")
    return version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS


def _refusal(status: int, message: str, request_id: str | int | None = None) -> Response:
    error = ErrorData(code=INVALID_REQUEST, message=message)
    body = JSONRPCError(jsonrpc="2.0", id=request_id, error=error)
    content = body.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(content, status, media_type="application/json")
