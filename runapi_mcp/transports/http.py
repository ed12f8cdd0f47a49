"""The HTTP side: Streamable HTTP at /mcp, SSE at /sse, /healthz, behind Host and Origin checks."""

import hashlib
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp import __version__
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.sockets import LOOPBACK, listen
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.http_answers import AnswerMiddleware
from runapi_mcp.transports.process import leave_soon, settle_memory

_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)(:\d{1,5})?")


def http_app(server: Server[Any], allowed_hosts: Sequence[str]) -> Starlette:
    """The app; `allowed_hosts` are the names it answers to besides those of this machine."""
    security = _security(allowed_hosts)
    sse = SseServerTransport("/messages/", security_settings=security)
    app = server.streamable_http_app(
        transport_security=security, custom_starlette_routes=[Route("/healthz", _healthz)]
    )
    app.router.routes += [
        Route("/sse", _SseEndpoint(server, sse), methods=["GET"]),
        Mount("/messages/", app=sse.handle_post_message),
    ]
    app.user_middleware += [
        Middleware(_HostCheck, settings=security),
        Middleware(_SessionOwner),
        Middleware(AnswerMiddleware),
    ]
    return app


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


async def serve_http(app: Starlette, sock: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve the app on a bound socket until a signal comes; `on_ready` says that it answers."""
    web_server = WebServer(app, on_ready=on_ready, on_signal=leave_soon)
    settle_memory()
    await web_server.serve(sockets=[sock])
    # Uvicorn does not wait for what it cancelled, but a request that pays may end yet.
    while web_server.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
        await anyio.sleep(0.02)


class _SseEndpoint:
    """One SSE connection of an older client."""

    def __init__(self, server: Server[Any], sse: SseServerTransport) -> None:
        self._server = server
        self._sse = sse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._sse.connect_sse(scope, receive, send) as streams:
            await converse(self._server, *streams)


class _HostCheck:
    """The SDK's Host and Origin checks, for every route and not only its own."""

    def __init__(self, app: ASGIApp, settings: TransportSecuritySettings) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http":
            refusal = await self._check.validate_request(Request(scope))
        await (refusal or self._app)(scope, receive, send)


class _SessionOwner:
    """Tells the SDK whose a request is, so that a session serves only the key that opened it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (key := Headers(scope=scope).get("authorization")):
            owner = hashlib.sha256(key.encode()).hexdigest()
            # The key itself stays in its header.
            token = AccessToken(token=owner, client_id=owner, scopes=[])
            scope["user"] = AuthenticatedUser(token)
        await self._app(scope, receive, send)


def _security(allowed_hosts: Sequence[str]) -> TransportSecuritySettings:
    # Browsers and clients write names in lower case, whatever was typed here.
    loopback = (f"[{name}]" if ":" in name else name for name in sorted(LOOPBACK))
    names = [*loopback, *(name.lower() for name in allowed_hosts)]
    hosts = [pattern for name in names for pattern in (name, f"{name}:*")]
    return TransportSecuritySettings(
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")],
    )


async def _healthz(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "name": "runapi-mcp", "version": __version__})
