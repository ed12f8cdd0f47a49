"""Listening sockets."""

import socket

from runapi_mcp.base.errors import NotConfigured


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
