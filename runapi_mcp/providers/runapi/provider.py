"""RunAPI as a provider. Light to import: HTTP comes with the first request."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.providers.caller_key import identify_caller, seal_with
from runapi_mcp.providers.port import CREATE_SECONDS
from runapi_mcp.providers.rate_limit import OwnRateLimit, RateLimit
from runapi_mcp.providers.runapi import account, files, tasks
from runapi_mcp.providers.runapi.messages import encode
from runapi_mcp.providers.runapi.prices import Prices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import httpx

    from runapi_mcp.base.catalog import Variant
    from runapi_mcp.base.catalog.balance import Balance
    from runapi_mcp.base.catalog.price import Price
    from runapi_mcp.base.catalog.task import Task
    from runapi_mcp.base.settings import Key, WaitingCaps
    from runapi_mcp.outbound.ssrf_guard import Resolve
    from runapi_mcp.providers.port import IssuedKey, LoginGrant, PricedCall, Provider, UploadedFile
    from runapi_mcp.providers.runapi.connection import Connection
    from runapi_mcp.providers.runapi.messages import Meaning, Reply, Request


class RunAPI:
    """RunAPI as all callers share it: one HTTP client, one memory of prices, one limit a key."""

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve | None = None,
        make_rate_limit: Callable[[str], RateLimit] | None = None,
        caps: WaitingCaps | None = None,
    ) -> None:
        """`transport` and `resolve` replace the network and its names.

        `make_rate_limit` makes the limit of a caller, by its id, where others use the key, too.
        """
        self.base_url = base_url
        self._transport = transport
        self._resolve = resolve
        self._make_rate_limit = make_rate_limit
        self._caps = caps
        self._connection: Connection | None = None
        self._rate_limits: WeakValueDictionary[str, RateLimit] = WeakValueDictionary()

    def provider(self, key: Key) -> Provider:
        return RunapiProvider(self, key)

    async def exchange(self, grant: LoginGrant) -> IssuedKey:
        # Understood afterwards: a code works once, so an odd answer is not worth a second try.
        reply = await self.send_publicly(account.exchange_request(grant), lambda reply: reply)
        return account.parse_issued_key(reply)

    @cached_property
    def prices(self) -> Prices:
        return Prices(self.send_publicly)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            # Imported here, because httpx would slow down every start for calls that may not come.
            from runapi_mcp.providers.runapi.connection import Connection

            self._connection = Connection(self.base_url, self._transport, self._resolve, self._caps)
        return self._connection

    def rate_limit(self, caller_id: str) -> RateLimit:
        limit = self._rate_limits.get(caller_id)
        if limit is None:
            make = self._make_rate_limit
            limit = OwnRateLimit() if make is None else make(caller_id)
            self._rate_limits[caller_id] = limit
        return limit

    async def send_publicly(
        self, request: Request, understand: Callable[[Reply], Meaning]
    ) -> Meaning:
        return await self.connection.send(request, None, understand)

    async def aclose(self) -> None:
        if self._connection is not None:
            await self._connection.aclose()


class RunapiProvider:
    """RunAPI as one caller sees it."""

    vendor = RUNAPI
    find = None

    def __init__(self, runapi: RunAPI, key: Key) -> None:
        self._runapi = runapi
        self._key = key

    @property
    def has_key(self) -> bool:
        return self._key.secret is not None

    def require_key(self) -> None:
        self._key.reveal()

    @property
    def caller_id(self) -> str:
        return identify_caller(self._runapi.base_url, self._key)

    def seal(self, text: str) -> str:
        return seal_with(self._key, text)

    async def prices(self, calls: Sequence[PricedCall]) -> Sequence[Price]:
        return await self._runapi.prices.of(calls)

    def has_prices(self, calls: Sequence[PricedCall]) -> bool:
        return self._runapi.prices.are_known(calls)

    async def check(self, variant: Variant, arguments: Mapping[str, object]) -> None:
        """Nothing: the catalogue has all that RunAPI publishes of a call but its price."""

    def request_body(self, variant: Variant, arguments: Mapping[str, object]) -> str:
        return encode({"model": variant.model, **arguments})

    async def create(
        self,
        variant: Variant,
        body: str,
        idempotency_key: str,
        total_seconds: float = CREATE_SECONDS,
        *,
        before_send: Callable[[], Awaitable[None]] | None = None,
        in_doubt: bool = False,
    ) -> Task:
        request = replace(
            tasks.create_request(variant, body, idempotency_key),
            total_seconds=total_seconds,
            before_send=before_send,
            in_doubt=in_doubt,
        )
        return replace(await self._send(request, tasks.parse_created), model=variant.model)

    async def read(
        self,
        task_id: str,
        variant: Variant | None = None,
        urgency: Callable[[], float] | None = None,
    ) -> Task:
        request = tasks.read_request(task_id, variant, urgency)
        task = await self._send(request, partial(tasks.parse_read, task_id))
        return replace(task, model=variant.model) if variant else task

    async def upload(self, name: str, content: bytes, media_type: str) -> UploadedFile:
        return await files.upload(
            self._send, self._runapi.connection.upload, name, content, media_type
        )

    async def balance(self) -> Balance:
        return await self._send(account.BALANCE, account.parse_balance)

    @cached_property
    def _rate_limit(self) -> RateLimit:
        return self._runapi.rate_limit(self.caller_id)

    async def _send(self, request: Request, understand: Callable[[Reply], Meaning]) -> Meaning:
        send = self._runapi.connection.send
        return await send(request, self._key, understand, self._rate_limit)
