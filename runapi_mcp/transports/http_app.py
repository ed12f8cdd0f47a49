"""The HTTP side as an app: Streamable HTTP at /mcp, SSE at /sse, pages for who only looks."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import (
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Message, Receive, Scope, Send

from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.transports.admission import Admission
from runapi_mcp.transports.callers import user_of
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.deployment import Deployment
from runapi_mcp.transports.drain import LastAnswers
from runapi_mcp.transports.gradual_start import GradualStart
from runapi_mcp.transports.http_answers import AnswerMiddleware
from runapi_mcp.transports.http_bodies import MeantBodies
from runapi_mcp.transports.http_checks import HeadCheck
from runapi_mcp.transports.http_requests import refusal
from runapi_mcp.transports.paths import MCP_PATH, MESSAGES_PATH, SSE_PATH, PathMiddleware
from runapi_mcp.transports.public_pages import public_routes
from runapi_mcp.transports.session_gate import SessionGate
from runapi_mcp.transports.sessions import Session, Sessions

_ENDPOINT_EVENT = b"event: endpoint\r\ndata: /"


def http_app(
    server: Server[Any],
    allowed_hosts: Sequence[str],
    caps: HttpCaps | None = None,
    *,
    needs_key: bool,
    deployment: Deployment | None = None,
) -> Starlette:
    """The app; `allowed_hosts` are the names it answers to besides those of this machine.

    `needs_key` tells whether callers who bring no key are strangers; without a `deployment` the
    server stands alone.
    """
    place = deployment or Deployment()
    keeps_sessions = place.keeps_sessions
    caps = caps or HttpCaps()
    manager = StreamableHTTPSessionManager(
        server,
        stateless=not keeps_sessions,
        session_idle_timeout=caps.session_idle_hours * 3600,
        max_request_body_size=caps.body_bytes,
        max_sessions=None,
    )
    passing = StreamableHTTPSessionManager(server, json_response=True, stateless=True)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with manager.run(), passing.run():
            yield

    keyless_app = _mcp_app(passing) if needs_key else None
    middleware = [
        Middleware(PathMiddleware, root_path=place.root_path),
        Middleware(LastAnswers, is_ready=place.is_ready),
        *place.before_checks,
        Middleware(HeadCheck, allowed_hosts=allowed_hosts),
        Middleware(AnswerMiddleware),
        Middleware(Admission, caps=caps, keyless_app=keyless_app, keeps_sessions=keeps_sessions),
        Middleware(GradualStart),
    ]
    mcp_routes = (
        _keeping_routes(server, manager, caps) if keeps_sessions else _plain_routes(manager)
    )
    pages = public_routes(needs_key=needs_key, has_sse=keeps_sessions, is_ready=place.is_ready)
    routes = [*mcp_routes, *pages, *place.more_routes]
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan)


def _mcp_app(manager: StreamableHTTPSessionManager) -> MeantBodies:
    return MeantBodies(StreamableHTTPASGIApp(manager))


def _keeping_routes(
    server: Server[Any], manager: StreamableHTTPSessionManager, caps: HttpCaps
) -> Sequence[BaseRoute]:
    sessions = Sessions(caps, partial(_end_session, manager))
    return [
        Route(MCP_PATH, SessionGate(_mcp_app(manager), sessions)),
        *_sse_routes(server, caps),
    ]


def _plain_routes(manager: StreamableHTTPSessionManager) -> Sequence[BaseRoute]:
    """Each request by itself; a stream that outlives its request would be one server's own."""
    no_sse = refusal(
        404,
        "This address is served by several servers, and an event stream would be known to one of "
        "them alone. Connect to /mcp instead, by Streamable HTTP.",
    )
    return [
        Route(MCP_PATH, _mcp_app(manager), methods=["POST"]),
        Route(SSE_PATH, no_sse),
        Mount(MESSAGES_PATH, app=no_sse),
    ]


def _sse_routes(server: Server[Any], caps: HttpCaps) -> Sequence[BaseRoute]:
    sse = SseServerTransport(MESSAGES_PATH, max_request_body_size=caps.body_bytes)
    return [
        Route(SSE_PATH, _SseEndpoint(server, sse), methods=["GET"]),
        Mount(MESSAGES_PATH, app=MeantBodies(sse.handle_post_message)),
    ]


async def _end_session(manager: StreamableHTTPSessionManager, session: Session) -> None:
    """End it as its client would."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        """Nobody waits for the answer."""

    scope: Scope = {
        "type": "http",
        "method": "DELETE",
        "path": MCP_PATH,
        "headers": [(b"mcp-session-id", session.id.encode())],
        "query_string": b"",
    }
    if session.caller.has_key:
        scope["user"] = user_of(session.caller)
    await manager.handle_request(scope, receive, send)


class _SseEndpoint:
    """One SSE connection of an older client."""

    def __init__(self, server: Server[Any], sse: SseServerTransport) -> None:
        self._server = server
        self._sse = sse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_relative(message: Message) -> None:
            body = message.get("body", b"")
            if body.startswith(_ENDPOINT_EVENT) and not scope["root_path"]:
                # Seen from where the client is, which holds behind any prefix.
                up = b"data: ../" if scope["raw_path"].endswith(b"/") else b"data: "
                message = {**message, "body": body.replace(b"data: /", up, 1)}
            await send(message)

        async with self._sse.connect_sse(scope, receive, send_relative) as streams:
            await converse(self._server, *streams)
