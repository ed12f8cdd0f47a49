"""Runflow as a provider. Light to import: HTTP comes with the first request."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from runapi_mcp.base.catalog.image_size import DEFAULT_PRESET
from runapi_mcp.base.catalog.vendors import RUNFLOW
from runapi_mcp.base.errors import ProviderDown, ProviderFailure, RateLimited
from runapi_mcp.providers.caller_key import identify_caller, seal_with
from runapi_mcp.providers.failure_cases import is_answered, leaves_doubt
from runapi_mcp.providers.port import CREATE_SECONDS
from runapi_mcp.providers.rate_limit import OwnRateLimit, wait_first_turn
from runapi_mcp.providers.runflow import run_account, run_wire
from runapi_mcp.providers.runflow.flex_offer import Offers, price_of, require_sold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import httpx

    from runapi_mcp.base.catalog import Variant
    from runapi_mcp.base.catalog.balance import Balance
    from runapi_mcp.base.catalog.price import Price
    from runapi_mcp.base.catalog.task import Task
    from runapi_mcp.base.settings import Key
    from runapi_mcp.providers.port import PricedCall, UploadedFile
    from runapi_mcp.providers.runflow.run_connection import RunConnection
    from runapi_mcp.providers.runflow.run_messages import RunReply, RunRequest, Understood


class Runflow:
    """Runflow with the one key that this server has of it."""

    vendor = RUNFLOW

    def __init__(
        self, base_url: str, key: Key, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`transport` replaces the network."""
        self._base_url = base_url
        self._key = key
        self._transport = transport
        self._connection: RunConnection | None = None
        self._rate_limit = OwnRateLimit()
        self._offers = Offers(self._send_publicly)

    @property
    def has_key(self) -> bool:
        return self._key.secret is not None

    def require_key(self) -> None:
        self._key.reveal()

    @property
    def caller_id(self) -> str:
        return identify_caller(self._base_url, self._key)

    def seal(self, text: str) -> str:
        return seal_with(self._key, text)

    def has_prices(self, calls: Sequence[PricedCall]) -> bool:
        """No: whether it is sold at all is looked up before."""
        return False

    async def prices(self, calls: Sequence[PricedCall]) -> Sequence[Price]:
        return [price_of(await self._offers.of(each), each, size) for each, size in calls]

    async def check(self, variant: Variant, arguments: Mapping[str, object]) -> None:
        size = str(arguments.get("image_size", DEFAULT_PRESET))
        require_sold(await self._offers.of(variant), size)

    def request_body(self, variant: Variant, arguments: Mapping[str, object]) -> str:
        return run_wire.request_body(arguments)

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
        path = self._offers.known(variant).path or variant.service
        request = run_wire.new_run_request(path, body, idempotency_key)
        await wait_first_turn(partial(self._rate_limit.wait_turn, pays=True, urgency=None))
        # Seen through although the caller leaves: nothing may be sent a second time.
        with anyio.CancelScope(shield=True):
            if before_send is not None:
                await before_send()
            try:
                made = await self._attempt(request, run_wire.parse_new_run)
                return replace(made, model=variant.model)
            except ProviderFailure as failure:
                failure.in_doubt = in_doubt or leaves_doubt(failure)
                failure.answered = is_answered(failure)
                raise
        raise AssertionError("nothing cancels this scope")

    async def find(self, key: str) -> Task | None:
        cursor: str | None = None
        for _ in range(run_wire.MOST_PAGES):
            request = run_wire.list_request(key, cursor)
            found, cursor = await self._send(request, partial(run_wire.parse_page, key))
            if found is not None or cursor is None:
                return found
        raise ProviderDown("Runflow's list of runs does not end.", "Try again in a minute.")

    async def read(
        self,
        task_id: str,
        variant: Variant | None = None,
        urgency: Callable[[], float] | None = None,
    ) -> Task:
        request = run_wire.run_request(task_id, urgency)
        run = await self._send(request, partial(run_wire.parse_run, task_id))
        return replace(run, model=variant.model) if variant else run

    async def upload(self, name: str, content: bytes, media_type: str) -> UploadedFile:
        # Where its images to start from go is published nowhere: no tool of it takes any.
        raise NotImplementedError

    async def balance(self) -> Balance:
        return await self._send(run_account.CREDIT, run_account.parse_credit)

    async def aclose(self) -> None:
        if self._connection is not None:
            await self._connection.aclose()

    async def _send(
        self, request: RunRequest, understand: Callable[[RunReply], Understood]
    ) -> Understood:
        await self._rate_limit.wait_turn(pays=False, urgency=request.urgency)
        return await self._attempt(request, understand)

    async def _attempt(
        self, request: RunRequest, understand: Callable[[RunReply], Understood]
    ) -> Understood:
        try:
            return await self._there.send(request, self._key.reveal(), understand)
        except RateLimited as failure:
            self._rate_limit.pause(failure.answer.retry_after_seconds or 0.0)
            raise

    async def _send_publicly(
        self, request: RunRequest, understand: Callable[[RunReply], Understood]
    ) -> Understood:
        return await self._there.send(request, "", understand)

    @property
    def _there(self) -> RunConnection:
        if self._connection is None:
            # Imported here, because httpx would slow down every start for calls that may not come.
            from runapi_mcp.providers.runflow.run_connection import RunConnection

            self._connection = RunConnection(self._base_url, self._transport)
        return self._connection
