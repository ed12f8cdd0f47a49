"""Connections to the HTTP server: how many, and for how long one may keep it waiting."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, Literal

import anyio
import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.transports.callers import site_of
from runapi_mcp.transports.process import allow_files

LOOK_SECONDS: Final = 1.0
_OTHER_FILES: Final = 100
"""Left for the ledger, pictures and RunAPI: a server without files can accept nobody."""

Network = IPv4Network | IPv6Network
Awaited = Literal["head", "body", "reading"]
"""What a connection keeps the server waiting for."""


class Connections:
    """All connections; a trusted proxy's are as many as there may be in all."""

    def __init__(self, caps: HttpCaps, trusted_proxies: Sequence[Network]) -> None:
        self._caps = caps
        self._most = min(
            caps.connections, allow_files(caps.connections + _OTHER_FILES) - _OTHER_FILES
        )
        self._trusted_proxies = trusted_proxies
        self._open: dict[BoundedConnection, str] = {}
        self._count: Counter[str] = Counter()
        self._seconds: dict[Awaited, int] = {
            "head": caps.head_seconds,
            "body": caps.body_seconds,
            "reading": caps.unread_seconds,
        }

    def admit(self, connection: "BoundedConnection", address: str) -> bool:
        site, caps = "" if self._is_trusted(address) else site_of(address), self._caps
        is_full = self._count[site] >= caps.connections_per_address and site != ""
        if is_full or len(self._open) >= self._most:
            return False
        self._open[connection] = site
        self._count[site] += 1
        return True

    def forget(self, connection: "BoundedConnection") -> None:
        site = self._open.pop(connection, None)
        if site is None:
            return
        self._count[site] -= 1
        if not self._count[site]:
            del self._count[site]

    async def cut_off_stalled(self) -> None:
        """Uvicorn waits for ever for a head, for a body, and for what it sent to be read."""
        waits: dict[BoundedConnection, tuple[object, float]] = {}
        while True:
            await anyio.sleep(LOOK_SECONDS)
            now, known, waits = anyio.current_time(), waits, {}
            for connection in list(self._open):
                awaited = connection.awaited()
                if awaited is None:
                    continue
                what, since = known.get(connection, (None, now))
                since = since if what == awaited else now
                waits[connection] = awaited, since
                if now - since >= self._seconds[awaited[0]]:
                    connection.transport.abort()

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted_proxies)


class BoundedConnection(H11Protocol):
    """One connection. Any: what uvicorn hands its protocols is its own affair."""

    def __init__(self, connections: Connections, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._connections = connections

    def connection_made(self, transport: asyncio.Transport) -> None:
        address = (transport.get_extra_info("peername") or ("",))[0]
        if self._connections.admit(self, address):
            super().connection_made(transport)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.connections:
            self._connections.forget(self)
            super().connection_lost(exc)

    def awaited(self) -> tuple[Awaited, object] | None:
        """What the client has to do now, and in which request; None if it is not its turn."""
        if self.transport.get_write_buffer_size():
            return "reading", None
        if self.conn.their_state is h11.IDLE:
            return "head", self.cycle
        if self.conn.their_state is h11.SEND_BODY:
            return "body", self.cycle
        return None
