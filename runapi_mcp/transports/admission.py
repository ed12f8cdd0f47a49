"""Who is let in over HTTP, and to how much."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.settings import KEY_PAGE, HttpCaps
from runapi_mcp.transports.callers import HttpCaller, caller_of, user_of
from runapi_mcp.transports.http_bodies import Left, NotTaken, read_body, replay
from runapi_mcp.transports.http_requests import is_stream, refusal, stands_for_itself
from runapi_mcp.transports.paths import MCP_PATH, MESSAGES_PATH, PROBED_PATHS, SSE_PATH
from runapi_mcp.transports.shares import NoneLeft, Pace, Slots


class Admission:
    """Serves callers by their shares; those without a key, where one is needed, by `keyless_app`.

    That one keeps nothing between two requests, and holds no stream.
    """

    def __init__(
        self, app: ASGIApp, caps: HttpCaps, keyless_app: ASGIApp | None, *, keeps_sessions: bool
    ) -> None:
        """`keyless_app` is None where the server's own key serves callers who bring none."""
        self._app = app
        self._caps = caps
        self._keyless_app = keyless_app
        self._keeps_sessions = keeps_sessions
        self._pace = Pace(caps.requests_per_second)
        self._keyless_pace = Pace(caps.keyless_requests_per_second)
        self._keyless_pace_in_all = Pace(caps.keyless_requests_per_second_in_all)
        self._calls = Slots(caps.calls_per_caller)
        self._keyless_calls = Slots(caps.keyless_calls_per_address)
        self._streams = Slots(caps.streams_per_caller, caps.streams)
        # Those without a key leave the other half to those with one.
        self._keyless_streams = Slots(caps.streams_per_caller, caps.streams // 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A balancer asks at its own pace, and no stranger may come before it.
        if scope["type"] != "http" or scope["path"] in PROBED_PATHS:
            await self._app(scope, receive, send)
            return
        caller = caller_of(scope)
        try:
            await self._wait_turn(caller)
            with self._place(scope, caller):
                await self._serve(scope, receive, send, caller)
        except NoneLeft:
            answer = refusal(429, "Too many requests, sessions or streams. Try again later.")
            answer.headers["Retry-After"] = "5"
            await answer(scope, receive, send)

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
            elif not is_stream(scope):
                held.enter_context(self._calls.hold(caller.id))
            else:
                if not caller.has_key:
                    held.enter_context(self._keyless_streams.hold(caller.id))
                held.enter_context(self._streams.hold(caller.id))
            yield

    async def _serve(self, scope: Scope, receive: Receive, send: Send, caller: HttpCaller) -> None:
        is_keyless = self._is_keyless(caller)
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
        await self._app(scope, receive, send)

    def _keyless_answer(self, scope: Scope) -> ASGIApp | None:
        """What answers a caller without a key; None for what asks for no key."""
        path = scope["path"]
        if self._keeps_sessions and (path == SSE_PATH or path.startswith(MESSAGES_PATH)):
            answer = refusal(
                401,
                "An event stream is held for callers with a RunAPI API key only. Create one at "
                f"{KEY_PAGE} and send it as the header Authorization: Bearer KEY.",
            )
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if path != MCP_PATH:
            return None
        has_session = "mcp-session-id" in Headers(scope=scope)
        if self._keeps_sessions and has_session and not stands_for_itself(scope):
            return refusal(404, "Session not found")
        if scope["method"] != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        return self._keyless_app
