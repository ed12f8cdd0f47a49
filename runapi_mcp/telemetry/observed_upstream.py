"""A seller of pictures that is timed, as the provider's port has it."""

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import anyio

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.balance import Balance
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.catalog.vendors import Vendor
from runapi_mcp.base.errors import ProviderDown, ProviderFailure, RateLimited
from runapi_mcp.base.measures import OUTCOMES, REQUEST_SECONDS
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.port import (
    CREATE_SECONDS,
    Find,
    IssuedKey,
    LoginGrant,
    PricedCall,
    Provider,
    UploadedFile,
    Upstream,
)
from runapi_mcp.telemetry.spans import span

_Operation = Literal["create", "read", "prices", "upload", "balance"]


class ObservedUpstream:
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    @property
    def base_url(self) -> str:
        return self._upstream.base_url

    def provider(self, key: Key) -> Provider:
        return _ObservedProvider(self._upstream.provider(key))

    async def exchange(self, grant: LoginGrant) -> IssuedKey:
        return await self._upstream.exchange(grant)

    async def aclose(self) -> None:
        await self._upstream.aclose()


class _ObservedProvider:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @property
    def vendor(self) -> Vendor:
        return self._provider.vendor

    @property
    def has_key(self) -> bool:
        return self._provider.has_key

    @property
    def caller_id(self) -> str:
        return self._provider.caller_id

    def require_key(self) -> None:
        self._provider.require_key()

    def seal(self, text: str) -> str:
        return self._provider.seal(text)

    def has_prices(self, calls: Sequence[PricedCall]) -> bool:
        return self._provider.has_prices(calls)

    async def prices(self, calls: Sequence[PricedCall]) -> Sequence[Price]:
        with _timed("prices"):
            return await self._provider.prices(calls)

    async def check(self, variant: Variant, arguments: Mapping[str, object]) -> None:
        await self._provider.check(variant, arguments)

    def request_body(self, variant: Variant, arguments: Mapping[str, object]) -> str:
        return self._provider.request_body(variant, arguments)

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
        try:
            with _timed("create"):
                return await self._provider.create(
                    variant,
                    body,
                    idempotency_key,
                    total_seconds,
                    before_send=before_send,
                    in_doubt=in_doubt,
                )
        except ProviderFailure as failure:
            if failure.in_doubt:
                OUTCOMES.add(1, model=variant.model, outcome="in doubt")
            raise

    @property
    def find(self) -> Find | None:
        return self._provider.find

    async def read(
        self,
        task_id: str,
        variant: Variant | None = None,
        urgency: Callable[[], float] | None = None,
    ) -> Task:
        with _timed("read"):
            return await self._provider.read(task_id, variant, urgency)

    async def upload(self, name: str, content: bytes, media_type: str) -> UploadedFile:
        with _timed("upload"):
            return await self._provider.upload(name, content, media_type)

    async def balance(self) -> Balance:
        with _timed("balance"):
            return await self._provider.balance()


@contextmanager
def _timed(operation: _Operation) -> Generator[None]:
    began, outcome = anyio.current_time(), "ok"
    try:
        with span(f"runapi {operation}"):
            yield
    except ProviderFailure as failure:
        outcome = _outcome(failure, pays=operation == "create")
        raise
    finally:
        REQUEST_SECONDS.record(anyio.current_time() - began, operation=operation, outcome=outcome)


def _outcome(failure: ProviderFailure, *, pays: bool) -> str:
    if isinstance(failure, RateLimited):
        return "limited"
    if pays and failure.in_doubt:
        return "in doubt"
    return "down" if isinstance(failure, ProviderDown) else "refused"
