"""The HTTP side: Streamable HTTP at /mcp, SSE at /sse, /healthz."""

import re
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import (
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from runapi_mcp import __version__
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.base.sockets import LOOPBACK, listen
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.transports.admission import MCP_PATH, MESSAGES_PATH, SSE_PATH, Admission
from runapi_mcp.transports.callers import user_of
from runapi_mcp.transports.connections import BoundedConnection, Connections, Network
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.http_answers import AnswerMiddleware
from runapi_mcp.transports.http_bodies import MeantBodies
from runapi_mcp.transports.http_checks import HeadCheck
from runapi_mcp.transports.process import leave_soon, settle_memory
from runapi_mcp.transports.sessions import Session, Sessions

_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)(:\d{1,5})?")


def http_app(
    server: Server[Any],
    allowed_hosts: Sequence[str],
    caps: HttpCaps | None = None,
    *,
    needs_key: bool,
) -> Starlette:
    """The app; `allowed_hosts` are the names it answers to besides those of this machine.

    `needs_key` tells whether callers who bring no key are strangers.
    """
    caps = caps or HttpCaps()
    kept = StreamableHTTPSessionManager(
        server,
        session_idle_timeout=caps.session_idle_hours * 3600,
        max_request_body_size=caps.body_bytes,
        max_sessions=None,
    )
    passing = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
    sse = SseServerTransport(MESSAGES_PATH, max_request_body_size=caps.body_bytes)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with kept.run(), passing.run():
            yield

    return Starlette(
        routes=[
            Route(MCP_PATH, MeantBodies(StreamableHTTPASGIApp(kept))),
            Route("/healthz", _healthz),
            Route(SSE_PATH, _SseEndpoint(server, sse), methods=["GET"]),
            Mount(MESSAGES_PATH, app=MeantBodies(sse.handle_post_message)),
        ],
        middleware=[
            Middleware(HeadCheck, allowed_hosts=allowed_hosts),
            Middleware(AnswerMiddleware),
            Middleware(
                Admission,
                caps=caps,
                keyless_app=MeantBodies(StreamableHTTPASGIApp(passing)) if needs_key else None,
                sessions=Sessions(caps, partial(_end_session, kept)),
            ),
        ],
        lifespan=lifespan,
    )


def bind(host: str, port: int, allowed_hosts: Sequence[str]) -> socket.socket:
    """A listening socket.

    Raises:
        NotConfigured: the address is beyond this machine without a host allowed, or not to be had;
            or a host that is allowed is no name.
    """
    for name in allowed_hosts:
        if not _NAME.fullmatch(name):
            raise NotConfigured(
                f"--allow-host {name!r} is not a host name.",
                "Write it as clients send it in Host: mcp.example.com, perhaps with :PORT.",
            )
    if host not in LOOPBACK and not allowed_hosts:
        raise NotConfigured(
            f"Listening on {host} would let other machines in under any name.",
            "Name the host they use with --allow-host, or listen on 127.0.0.1.",
        )
    return listen(host, port)


def parse_networks(trusted_proxies: Sequence[str]) -> list[Network]:
    """
    Raises:
        NotConfigured: one of them is no address.
    """
    try:
        return [ip_network(address) for address in trusted_proxies]
    except ValueError as error:
        raise NotConfigured(
            f"--trusted-proxy: {error}.", "Write its address, or a network such as 10.0.0.0/8."
        ) from error


async def serve_http(
    app: Starlette,
    sock: socket.socket,
    on_ready: Callable[[], None],
    caps: HttpCaps | None = None,
    trusted_proxies: Sequence[Network] = (),
) -> None:
    """Serve the app on a bound socket until a signal comes; `on_ready` says that it answers."""
    connections = Connections(caps or HttpCaps(), trusted_proxies)
    web_server = WebServer(
        app,
        on_ready=on_ready,
        on_signal=leave_soon,
        protocol=partial(BoundedConnection, connections),
        trusted_proxies=[str(network) for network in trusted_proxies],
    )
    settle_memory()
    async with anyio.create_task_group() as group:
        group.start_soon(connections.cut_off_stalled)
        await web_server.serve(sockets=[sock])
        group.cancel_scope.cancel()
    # Uvicorn does not wait for what it cancelled, but a request that pays may end yet.
    while web_server.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
        await anyio.sleep(0.02)


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
        async with self._sse.connect_sse(scope, receive, send) as streams:
            await converse(self._server, *streams)


async def _healthz(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "name": "runapi-mcp", "version": __version__})
