"""RunAPI as one caller sees it. Light to import: HTTP comes with the first request."""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from runapi_mcp.providers.runapi.account import Account
from runapi_mcp.providers.runapi.files import Files
from runapi_mcp.providers.runapi.prices import Prices
from runapi_mcp.providers.runapi.rate_limit import Pace
from runapi_mcp.providers.runapi.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from runapi_mcp.base.settings import Key
    from runapi_mcp.providers.runapi.connection import Connection
    from runapi_mcp.providers.runapi.messages import Meaning, Reply, Request


class Upstream:
    """RunAPI as all callers share it: one HTTP client, one memory of prices, one pace a key."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.base_url = base_url
        self._transport = transport
        self._connection: Connection | None = None
        self._paces: WeakValueDictionary[str, Pace] = WeakValueDictionary()

    @cached_property
    def prices(self) -> Prices:
        return Prices(self.send_publicly)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            # Imported here, because httpx would slow down every start for calls that may not come.
            from runapi_mcp.providers.runapi.connection import Connection

            self._connection = Connection(self.base_url, self._transport)
        return self._connection

    def pace_of(self, caller: str) -> Pace:
        """The turns that all requests of a caller take."""
        pace = self._paces.get(caller)
        if pace is None:
            self._paces[caller] = pace = Pace()
        return pace

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
        self.tasks = Tasks(self._send)
        self.account = Account(self._send)
        self.files = Files(self._send, self._upload)
        self.prices = upstream.prices

    @property
    def has_key(self) -> bool:
        """Whether there is a key to pay with."""
        return self._key.secret is not None

    def require_key(self) -> None:
        """Nothing, when there is a key to pay with.

        Raises:
            KeyMissing: there is none; it says how to get and set one.
        """
        self._key.reveal()

    @cached_property
    def caller(self) -> str:
        """Who pays, without telling the key: the same for the same key at the same address.

        Raises:
            KeyMissing: there is no key to pay with; it says how to get and set one.
        """
        identity = f"{self._upstream.base_url}\n{self._key.reveal()}"
        return hashlib.sha256(identity.encode()).hexdigest()[:32]

    def sealed(self, text: str) -> str:
        """What only who has the caller's key can make of a text."""
        return hmac.new(self._key.reveal().encode(), text.encode(), "sha256").hexdigest()

    @cached_property
    def _pace(self) -> Pace:
        return self._upstream.pace_of(self.caller)

    async def _send(self, request: Request, understand: Callable[[Reply], Meaning]) -> Meaning:
        return await self._upstream.connection.send(request, self._key, understand, self._pace)

    async def _upload(self, url: str, headers: Mapping[str, str], content: bytes) -> None:
        await self._upstream.connection.upload(url, headers, content)
