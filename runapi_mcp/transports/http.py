"""The HTTP side: Streamable HTTP at /mcp, SSE at /sse, and pages for who only looks."""

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
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.base.sockets import LOOPBACK, listen
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.transports.admission import Admission
from runapi_mcp.transports.callers import user_of
from runapi_mcp.transports.connections import BoundedConnection, Connections, Network
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.http_answers import AnswerMiddleware
from runapi_mcp.transports.http_checks import HeadCheck
from runapi_mcp.transports.paths import MCP_PATH, MESSAGES_PATH, SSE_PATH, PathMiddleware
from runapi_mcp.transports.process import leave_soon, settle_memory
from runapi_mcp.transports.public_pages import public_routes
from runapi_mcp.transports.sessions import Session, Sessions

_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)(:\d{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_ENDPOINT_EVENT = b"event: endpoint\r\ndata: /"


def http_app(
    server: Server[Any],
    allowed_hosts: Sequence[str],
    caps: HttpCaps | None = None,
    *,
    needs_key: bool,
    root_path: str = "",
) -> Starlette:
    """The app; `allowed_hosts` are the names it answers to besides those of this machine.

    `needs_key` tells whether callers who bring no key are strangers; `root_path` is what stands
    before all its paths where its clients find it, as "/flux".
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
            Route(MCP_PATH, StreamableHTTPASGIApp(kept)),
            *public_routes(needs_key=needs_key),
            Route(SSE_PATH, _SseEndpoint(server, sse), methods=["GET"]),
            Mount(MESSAGES_PATH, app=sse.handle_post_message),
        ],
        middleware=[
            Middleware(PathMiddleware, root_path=root_path),
            Middleware(HeadCheck, allowed_hosts=allowed_hosts),
            Middleware(AnswerMiddleware),
            Middleware(
                Admission,
                caps=caps,
                keyless_app=StreamableHTTPASGIApp(passing) if needs_key else None,
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


def parse_root_path(text: str) -> str:
    """
    Raises:
        NotConfigured: it is no path.
    """
    path = text.rstrip("/")
    if _PREFIX.fullmatch(path) is None:
        raise NotConfigured(
            f"--root-path {text!r} is not a path.",
            "Write what stands before /mcp where clients find it, as /flux.",
        )
    return path


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
        async def send_relative(message: Message) -> None:
            body = message.get("body", b"")
            if body.startswith(_ENDPOINT_EVENT) and not scope["root_path"]:
                # Seen from where the client is, which holds behind any prefix.
                up = b"data: ../" if scope["raw_path"].endswith(b"/") else b"data: "
                message = {**message, "body": body.replace(b"data: /", up, 1)}
            await send(message)

        async with self._sse.connect_sse(scope, receive, send_relative) as streams:
            await converse(self._server, *streams)
