"""Prices: RunAPI's live schedules and quotes, kept in memory, with the dated snapshot behind."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio

from runapi_mcp.base.catalog import Schedule, Variant
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.base.json_values import Json, as_cents, as_list, as_object, as_text
from runapi_mcp.providers.port import PricedCall
from runapi_mcp.providers.runapi.messages import Reply, Request, Send, encode, incomplete

FRESH_SECONDS: Final = 600.0
"""How long schedules are used before RunAPI is asked whether they changed."""
RETRY_SECONDS: Final = 30.0
"""How long after a failed look-up the next one is made."""
_LOOKUP_SECONDS: Final = 4.0
"""The longest that anybody waits for a price."""


@dataclass(frozen=True, slots=True)
class Schedules:
    """What RunAPI published at one moment, by model id."""

    by_model: Mapping[str, Schedule]
    etag: str | None
    sandbox: bool


class Prices:
    """The price of every call. Needs no key, and never fails: what cannot be read is not live."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lists: dict[str, PriceList] = {}

    def are_known(self, calls: Sequence[PricedCall]) -> bool:
        """Whether nothing of these calls has to be looked up."""
        return not any(self._list_of(call[0].service).misses(call) for call in calls)

    async def of(self, calls: Sequence[PricedCall]) -> list[Price]:
        """The price of each call. Looking them up takes no longer than looking up one."""
        # A task costs more than all the rest where everything is known.
        if not self.are_known(calls):
            async with anyio.create_task_group() as group:
                for prices, own in self._by_list(calls):
                    group.start_soon(prices.look_up, own)
        return [self._list_of(variant.service).known((variant, size)) for variant, size in calls]

    def _by_list(
        self, calls: Sequence[PricedCall]
    ) -> "Iterator[tuple[PriceList, Sequence[PricedCall]]]":
        for service in {variant.service for variant, _ in calls}:
            yield self._list_of(service), [call for call in calls if call[0].service == service]

    def _list_of(self, service: str) -> "PriceList":
        if service not in self._lists:
            self._lists[service] = PriceList(self._send, service)
        return self._lists[service]


class PriceList:
    def __init__(self, send: Send, service: str) -> None:
        self._send = send
        self._service = service
        self._schedules: Schedules | None = None
        self._quotes: dict[tuple[str, str | None], float | None] = {}
        self._next_lookup_at = 0.0
        self._refreshing = anyio.Lock()

    def misses(self, call: PricedCall) -> bool:
        """Whether something of this call has to be looked up."""
        return anyio.current_time() >= self._next_lookup_at or self._needs_a_quote(call)

    async def look_up(self, calls: Sequence[PricedCall]) -> None:
        """Ask RunAPI for what is not known of these calls, for four seconds at most."""
        with anyio.move_on_after(_LOOKUP_SECONDS) as limit:
            await self._ask(calls)
        if limit.cancelled_caught:
            self._postpone_lookup()

    def known(self, call: PricedCall) -> Price:
        """What is known of a call's price without asking."""
        cents = self._live_cents(call)
        if cents is not None:
            is_sandbox = self._schedules is not None and self._schedules.sandbox
            return Price(cents, "sandbox" if is_sandbox else "live")
        variant, output_resolution = call
        cents = variant.snapshot.cents(output_resolution)
        return Price(cents, "unknown" if cents is None else "snapshot")

    def _live_cents(self, call: PricedCall) -> float | None:
        variant, output_resolution = call
        schedule = self._schedules.by_model.get(variant.model) if self._schedules else None
        cents = schedule.cents(output_resolution) if schedule else None
        return self._quotes.get((variant.model, output_resolution)) if cents is None else cents

    def _needs_a_quote(self, call: PricedCall) -> bool:
        """Whether RunAPI sells it by a schedule in a form that this version does not know."""
        variant, output_resolution = call
        sold = self._schedules is not None and variant.model in self._schedules.by_model
        asked = (variant.model, output_resolution) in self._quotes
        return sold and not asked and self._live_cents(call) is None

    async def _ask(self, calls: Sequence[PricedCall]) -> None:
        await self._refresh()
        async with anyio.create_task_group() as group:
            for call in filter(self._needs_a_quote, calls):
                group.start_soon(self._quote, *call)

    async def _refresh(self) -> None:
        if anyio.current_time() < self._next_lookup_at:
            return
        async with self._refreshing:
            if anyio.current_time() < self._next_lookup_at:
                return
            try:
                self._schedules = await self._send(self._list_request(), self._parse)
            except ProviderFailure:
                self._postpone_lookup()
                return
            self._quotes.clear()
            self._next_lookup_at = anyio.current_time() + FRESH_SECONDS

    def _postpone_lookup(self) -> None:
        """A look-up that failed or took too long is not begun again by the next call."""
        self._next_lookup_at = max(self._next_lookup_at, anyio.current_time() + RETRY_SECONDS)

    def _list_request(self) -> Request:
        known = self._schedules
        return Request(
            "GET",
            "/api/v1/price_schedules",
            query={"service": self._service},
            headers={"If-None-Match": known.etag} if known and known.etag else {},
            repeated=False,
        )

    def _parse(self, reply: Reply) -> Schedules:
        """The schedules of an answer; the known ones when nothing changed."""
        if reply.answer.status == 304 and self._schedules is not None:
            return self._schedules
        by_model = _schedules(reply.body)
        if not by_model:
            raise incomplete(reply, "names no prices")
        return Schedules(by_model, reply.headers.get("etag"), reply.answer.sandbox)

    async def _quote(self, variant: Variant, output_resolution: str | None) -> None:
        call = variant.model, output_resolution
        try:
            with suppress(ProviderFailure):
                request = _quote_request(variant, output_resolution)
                self._quotes[call] = await self._send(request, _quoted_cents)
        finally:
            # What failed or took too long is not asked again by the next call, which would wait
            # as long.
            self._quotes.setdefault(call, None)


def _quote_request(variant: Variant, output_resolution: str | None) -> Request:
    params = {"output_resolution": output_resolution} if output_resolution else {}
    body = {
        "service": variant.service,
        "action": variant.action,
        "model": variant.model,
        "params": params,
    }
    return Request("POST", "/api/v1/price_quotes", body=encode(body), repeated=False)


def _quoted_cents(reply: Reply) -> float | None:
    quote = as_object(reply.body.get("price_quote"))
    return as_cents(quote.get("reservation_amount_cents")) if _in_usd(quote) else None


def _schedules(body: Json) -> dict[str, Schedule]:
    rows = [as_object(row) for row in as_list(body.get("price_schedules"))]
    return {
        model: _schedule(row)
        for row in rows
        if (model := as_text(row.get("model"))) and _in_usd(row)
    }


def _schedule(row: Json) -> Schedule:
    config = as_object(row.get("billing_config"))
    unit = as_cents(row.get("unit_price_cents"))
    if not config:
        return Schedule(unit)
    if config.get("key") != "output_resolution":
        # Priced by something else than the resolution: only a quote can tell.
        return Schedule()
    overrides = as_object(config.get("overrides"))
    cents = {name: as_cents(value) for name, value in overrides.items()}
    return Schedule(unit, {name: value for name, value in cents.items() if value is not None})


def _in_usd(row: Json) -> bool:
    return (as_text(row.get("currency")) or "USD").upper() == "USD"
