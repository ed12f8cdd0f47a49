"""A server of HTTP: its socket, its names, from its start to its end."""

import re
import socket
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_network

import anyio
from starlette.applications import Starlette

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.garbage import settle_memory
from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.base.sockets import listen
from runapi_mcp.base.urls import LOOPBACK
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.transports.connections import BoundedConnection, Connections, Network
from runapi_mcp.transports.drain import Drain
from runapi_mcp.transports.process import leave_soon

_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)(:\d{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


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
    drain: Drain | None = None,
    caps: HttpCaps | None = None,
    trusted_proxies: Sequence[Network] = (),
) -> None:
    """Serve the app on a bound socket until it was told to leave, which it does as `drain` says.

    `on_ready` says that it answers.
    """
    drain = drain or Drain(0, end_waits=bool, is_paying=bool)
    connections = Connections(caps or HttpCaps(), trusted_proxies)
    web_server = WebServer(
        app,
        on_ready=on_ready,
        on_end=leave_soon,
        postpones=drain.postpones,
        protocol=partial(BoundedConnection, connections),
        trusted_proxies=[str(network) for network in trusted_proxies],
    )
    settle_memory()
    async with anyio.create_task_group() as group:
        group.start_soon(connections.cut_off_stalled)
        group.start_soon(drain.lead_out, web_server)
        await web_server.serve(sockets=[sock])
        group.cancel_scope.cancel()
    # Uvicorn does not wait for what it cancelled, but a request that pays may end yet.
    while web_server.server_state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
        await anyio.sleep(0.02)
