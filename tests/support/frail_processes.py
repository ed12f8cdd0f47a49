"""Servers on one ledger that may die or freeze at any touch of the disk or the network.

And a vendor far away, which goes on with what it was asked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import anyio
import httpx
from anyio.abc import TaskGroup, TaskStatus
from mcp import Client
from mcp.server.lowlevel import Server
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import Implementation

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, create_server
from runapi_mcp.transports.conversation import converse
from tests.support.sellers import Seller
from tests.support.world import BASE_URL, KEY, NO_PICTURES, Wire, service_on

DISK_SECONDS: Final = 0.01
NETWORK_SECONDS: Final = 0.3
"""How long a touch of the disk or the network takes, so that much can happen in between."""
LATE_SECONDS: Final = 60.0


class Remote:
    """A vendor far away: it goes on with a request although whoever sent it has left or died."""

    def __init__(self, group: TaskGroup, sandbox: Sandbox, seller: Seller) -> None:
        self.seller = seller
        self._group = group
        self._wire = Wire(sandbox)
        self.bodies: dict[str, set[bytes]] = {}
        """What was sent under each key."""
        self.sends: Counter[str] = Counter()
        """How often something was sent under each key."""
        self.overlaps: list[str] = []
        """The keys under which one process asked twice at a time."""
        self.stops: list[float] = []
        """When a process died or froze."""
        self.late_keys: set[str] = set()
        """Under which something was sent by a process that stood still meanwhile."""
        self.needless: list[str] = []
        """The keys that were sent although the ledger had long told their task."""
        self._told_at: dict[str, float] = {}

    def note_told(self, done: object) -> None:
        """What the ledger tells from now on."""
        entries = cast("list[object]", done) if isinstance(done, list) else [done]
        for entry in entries:
            if isinstance(entry, Entry) and entry.task_id is not None:
                self._told_at.setdefault(entry.key, anyio.current_time())

    def note_send(self, key: str) -> None:
        """A process sends under this key now."""
        self.sends[key] += 1
        if anyio.current_time() - self._told_at.get(key, math.inf) > LATE_SECONDS:
            self.needless.append(key)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if (key := self.key_of(request)) is not None:
            self.bodies.setdefault(key, set()).add(request.content)
        exchange = _Exchange(request)
        self._group.start_soon(exchange.go_on, self._wire)
        return await exchange.answer()

    def key_of(self, request: httpx.Request) -> str | None:
        """The key that a create is sent under; None of any other request."""
        return self.seller.reference_of(request.headers, request.content)


class _Exchange:
    """A request that is under way."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._over = anyio.Event()
        self._answer: httpx.Response | httpx.RequestError | None = None

    async def go_on(self, wire: Wire) -> None:
        try:
            self._answer = await wire.handle_async_request(self._request)
        except httpx.RequestError as error:
            self._answer = error
        self._over.set()

    async def answer(self) -> httpx.Response:
        await self._over.wait()
        if isinstance(self._answer, httpx.Response):
            return self._answer
        raise self._answer or AssertionError("an exchange ends with an answer or an error")


class _Line(httpx.AsyncBaseTransport):
    """The way of one process to RunAPI and back; it breaks when the process dies."""

    def __init__(self, remote: Remote, process: FrailProcess) -> None:
        self._remote = remote
        self._process = process
        self._paying: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        key = self._remote.key_of(request)
        if key is None:
            return await self._exchanged(request)
        if self._paying[key]:
            self._remote.overlaps.append(key)
        self._remote.note_send(key)
        self._paying[key] += 1
        try:
            return await self._exchanged(request)
        finally:
            self._paying[key] -= 1

    async def _exchanged(self, request: httpx.Request) -> httpx.Response:
        began_at = anyio.current_time()
        await anyio.sleep(NETWORK_SECONDS)
        if not await self._process.lives_on():
            raise httpx.ConnectError("its sender has died")
        if anyio.current_time() - began_at > LATE_SECONDS and (key := self._remote.key_of(request)):
            self._remote.late_keys.add(key)
        answer = await self._remote.answer(request)
        await anyio.sleep(NETWORK_SECONDS)
        if not await self._process.lives_on():
            raise httpx.ReadError("its sender has died")
        return answer


class FrailProcess:
    """A server on the shared ledger, and the host that started it.

    Once it is dead, what is left of its code neither writes nor sends, whatever it tries.
    """

    def __init__(
        self,
        remote: Remote,
        folder: Path,
        limits: Limits,
        clock: Callable[[], float],
        *,
        takes_every_answer: bool,
        **client: Any,  # Any: as `Client` has them
    ) -> None:
        self.takes_every_answer = takes_every_answer
        self._remote = remote
        self._upstream = RunAPI(BASE_URL, _Line(remote, self))
        self._ledger = SqliteLedger(
            lambda: folder / "ledger.db", clock=clock, run=self._on_the_disk
        )
        seller = remote.seller
        self._service = service_on(
            self._upstream,
            Keys(Key(SecretStr(KEY))),
            self._ledger,
            limits=limits,
            folders=Folders(folder, (folder,)),
            known=seller.variants,
            others=seller.others(_Line(remote, self), BASE_URL),
            **NO_PICTURES,
        )
        name = "claude-code" if takes_every_answer else "somebody"
        self.client = Client(
            _connection(create_server(self._service, seller.variants), self),
            client_info=Implementation(name=name, version="1"),
            **client,
        )
        self.dead = anyio.Event()
        self.awake_at = 0.0
        self._dies_in = self._freezes_in = math.inf
        self._freeze_seconds = 0.0
        self._is_dying = False

    async def live(self, *, task_status: TaskStatus[TaskGroup]) -> None:
        """Serve, until it dies. Tells the group in which hosts call it."""
        async with (
            self._service.shared.background.running(),
            self.client,
            anyio.create_task_group() as hosts,
        ):
            task_status.started(hosts)
            await self.dead.wait()
            hosts.cancel_scope.cancel()
        await self._upstream.aclose()

    async def die_in(self, touches: float) -> None:
        """Let it touch the disk and the network so many times more."""
        self._dies_in = touches
        if touches == 0:
            await self._die()

    def freeze_in(self, touches: float, seconds: float) -> None:
        self._freezes_in, self._freeze_seconds = touches, seconds
        if touches == 0:
            self._freeze()

    def spare(self) -> None:
        """Let nothing happen to it from now on."""
        self._dies_in = self._freezes_in = math.inf

    async def lives_on(self) -> bool:
        """Whether it survives one more touch of the disk or the network."""
        self._freezes_in -= 1
        if self._freezes_in < 0:
            self._freeze()
        await self.wake()
        self._dies_in -= 1
        if self._dies_in < 0:
            await self._die()
        return not self.dead.is_set()

    async def wake(self) -> None:
        """Return when it is not frozen."""
        if anyio.current_time() < self.awake_at:
            # What goes on then does not know that its time is over.
            with anyio.CancelScope(shield=True):
                await anyio.sleep_until(self.awake_at)

    def _freeze(self) -> None:
        self._remote.stops.append(anyio.current_time())
        self.awake_at, self._freezes_in = anyio.current_time() + self._freeze_seconds, math.inf

    async def _die(self) -> None:
        # Nothing here waits, so that nobody sees a process that is half dead. What the system does
        # for a dead process is what closing the ledger does: its file is closed.
        self._is_dying = True
        await self._ledger.aclose()
        self._is_dying = False
        self._remote.stops.append(anyio.current_time())
        self.dead.set()

    async def _on_the_disk(self, block: Callable[[], object]) -> object:
        if self._is_dying:
            return block()
        await anyio.lowlevel.checkpoint()
        # As in a thread: what has begun is seen through.
        with anyio.CancelScope(shield=True):
            return await self._written(block)

    async def _written(self, block: Callable[[], object]) -> object:
        await self._touch_the_disk()
        done = block()
        self._remote.note_told(done)
        await self._touch_the_disk()
        return done

    async def _touch_the_disk(self) -> None:
        await anyio.sleep(DISK_SECONDS)
        if not await self.lives_on():
            raise LedgerUnusable("The process has died.", "Start another one.")


@asynccontextmanager
async def _connection(server: Server[Any], process: FrailProcess) -> AsyncGenerator[Any]:
    """A host's connection to its server, by the program's own conversation."""
    async with (
        create_client_server_memory_streams() as (client_streams, (read, write)),
        anyio.create_task_group() as group,
    ):
        group.start_soon(converse, server, read, _Mouth(write, process))
        yield client_streams
        group.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class _Mouth:
    """What a process says, as long as it lives."""

    stream: Any
    process: FrailProcess

    async def send(self, item: SessionMessage) -> None:
        await self.process.wake()
        if not self.process.dead.is_set():
            await self.stream.send(item)

    async def aclose(self) -> None:
        await self.stream.aclose()
