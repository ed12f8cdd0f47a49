"""RunAPI as one caller sees it. Light to import: HTTP comes with the first request."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from runapi_mcp.api.account import Account
from runapi_mcp.api.files import Files
from runapi_mcp.api.prices import Prices
from runapi_mcp.api.tasks import MadeTasks, Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from runapi_mcp.api.connection import Connection
    from runapi_mcp.api.messages import Meaning, Reply, Request
    from runapi_mcp.settings import Key


class Upstream:
    """RunAPI as all callers share it: one HTTP client, one memory of prices."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base_url = base_url
        self._transport = transport
        self._connection: Connection | None = None
        self.made_tasks = MadeTasks()

    @cached_property
    def prices(self) -> Prices:
        return Prices(self.send_publicly)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            # Imported here, because httpx would slow down every start for calls that may not come.
            from runapi_mcp.api.connection import Connection

            self._connection = Connection(self._base_url, self._transport)
        return self._connection

    async def send_publicly(
        self, request: Request, understand: Callable[[Reply], Meaning]
    ) -> Meaning:
        return await self.connection.send(request, None, understand)

    async def aclose(self) -> None:
        if self._connection is not None:
            await self._connection.aclose()


class RunAPI:
    """What one caller can ask of RunAPI."""

    def __init__(self, upstream: Upstream, key: Key) -> None:
        self._upstream = upstream
        self._key = key
        self.tasks = Tasks(self._send, upstream.made_tasks)
        self.account = Account(self._send)
        self.files = Files(self._send, self._upload)
        self.prices = upstream.prices

    def require_key(self) -> None:
        """Nothing, when there is a key to pay with.

        Raises:
            KeyMissing: there is none; it says how to get and set one.
        """
        self._key.reveal()

    async def _send(self, request: Request, understand: Callable[[Reply], Meaning]) -> Meaning:
        return await self._upstream.connection.send(request, self._key, understand)

    async def _upload(self, url: str, headers: Mapping[str, str], content: bytes) -> None:
        await self._upstream.connection.upload(url, headers, content)
