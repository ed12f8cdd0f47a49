"""Listening sockets, and which addresses are this machine."""

import socket
from typing import Final
from urllib.parse import urlsplit

from runapi_mcp.base.errors import NotConfigured

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host in LOOPBACK:
        return True
    # Imported here, because every start would pay for what few addresses need.
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        NotConfigured: the address is not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), family=family)
    except OSError as error:
        # Python repeats the address in brackets.
        reason = str(error.strerror or error).partition(" (")[0]
        raise NotConfigured(
            f"Cannot listen on {host}:{port}: {reason}.",
            "Choose another --port; 0 takes a free one.",
        ) from error
    # asyncio sets this only on sockets that name their protocol, and this one does not: without it,
    # every answer on a kept connection comes 40 ms late.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
