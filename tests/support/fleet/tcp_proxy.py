"""A network between two programs that can be cut, slowed, and go silent without a word."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


@dataclass(slots=True)
class TcpProxy:
    """What goes over it; each fault holds until it is taken back."""

    target: tuple[str, int]
    port: int = 0
    delay_seconds: float = 0.0
    """How late each piece arrives."""
    is_half_open: bool = False
    """Whether what is sent vanishes and no end of a connection is told, as when a cable is cut."""
    refuses: bool = False
    """Whether new connections are ended at once."""
    holds_answers: bool = False
    """Whether what the server says is given on only once it has ended."""
    hides_departures: bool = False
    """Whether the server is not told that a client has gone."""
    cuts_before: bytes | None = None
    """Once a client sends this, its connection ends, and what it sent never arrives;"""
    cuts_after: bytes | None = None
    """or does arrive, but no answer to it. Each happens once."""
    connections: set[SocketStream] = field(default_factory=set[SocketStream])
    """Those from the clients, while they are open."""
    _silenced: set[SocketStream] = field(default_factory=set[SocketStream])

    async def cut(self) -> None:
        """End every connection there is."""
        for connection in list(self.connections):
            await anyio.aclose_forcefully(connection)

    def silence(self) -> None:
        """As `is_half_open`, but for the connections alone that there are."""
        self._silenced.update(self.connections)

    async def carry(self, client: SocketStream) -> None:
        if self.refuses:
            await anyio.aclose_forcefully(client)
            return
        try:
            server = await anyio.connect_tcp(*self.target)
        except OSError:
            await anyio.aclose_forcefully(client)
            return
        self.connections.add(client)
        try:
            async with client, server, anyio.create_task_group() as group:
                group.start_soon(self._ask, client, server)
                group.start_soon(self._answer, server, client)
        finally:
            self.connections.discard(client)

    async def _ask(self, client: SocketStream, server: SocketStream) -> None:
        await self._pass_on(client, server)
        if self.hides_departures or self.is_half_open:
            await anyio.sleep_forever()
        await anyio.aclose_forcefully(server)

    async def _answer(self, server: SocketStream, client: SocketStream) -> None:
        held = await self._pass_on(server, client, is_held=self.holds_answers)
        with suppress(*_GONE):
            await client.send(held)
        if self.is_half_open:
            # The client is left to believe that somebody is there.
            await anyio.sleep_forever()
        await anyio.aclose_forcefully(client)
        await anyio.aclose_forcefully(server)

    async def _pass_on(
        self, source: SocketStream, sink: SocketStream, *, is_held: bool = False
    ) -> bytes:
        """What was held back until the source had ended."""
        held = b""
        with suppress(*_GONE):
            async for piece in source:
                await anyio.sleep(self.delay_seconds)
                if self._cuts(self.cuts_before, piece):
                    self.cuts_before = None
                    break
                if is_held:
                    held += piece
                elif not self.is_half_open and self._silenced.isdisjoint((source, sink)):
                    with suppress(*_GONE):
                        await sink.send(piece)
                if self._cuts(self.cuts_after, piece):
                    self.cuts_after = None
                    await anyio.aclose_forcefully(source)
        return held

    def _cuts(self, at: bytes | None, piece: bytes) -> bool:
        return at is not None and at in piece


@asynccontextmanager
async def tcp_proxy(host: str, port: int) -> AsyncGenerator[TcpProxy]:
    """A proxy on a free port of this machine to an address."""
    proxy = TcpProxy((host, port))
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    proxy.port = int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django's
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, proxy.carry)
        try:
            yield proxy
        finally:
            group.cancel_scope.cancel()
