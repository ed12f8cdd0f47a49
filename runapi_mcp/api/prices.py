"""Prices: RunAPI's live schedules and quotes, kept in memory, with the dated snapshot behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import anyio

from runapi_mcp.api.messages import Json, Request, Send, as_list, as_number, as_object, as_text
from runapi_mcp.catalog import Schedule, Variant
from runapi_mcp.errors import RunapiFailure

FRESH_SECONDS: Final = 600.0
"""How long schedules are used before RunAPI is asked whether they changed."""
RETRY_SECONDS: Final = 30.0
"""How long after a failed look-up the next one is made."""
LOOKUP_SECONDS: Final = 4.0
"""The longest that anybody waits for a look-up."""


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one call in US cents. `cents` is None when it is unknown."""

    cents: float | None
    source: Literal["live", "sandbox", "snapshot", "unknown"]


@dataclass(frozen=True, slots=True)
class Schedules:
    """What RunAPI published at one moment, by model id."""

    by_model: Mapping[str, Schedule]
    etag: str | None
    sandbox: bool


class Prices:
    """The price of every call. Needs no key."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._schedules: Schedules | None = None
        self._look_again_at = 0.0
        self._looking = anyio.Lock()

    @property
    def from_sandbox(self) -> bool:
        """Whether the live prices are the sandbox's."""
        return self._schedules is not None and self._schedules.sandbox

    async def price(self, variant: Variant, output_resolution: str | None) -> Price:
        """The exact price of one call: live, else from the snapshot, else unknown."""
        await self._refresh()
        live = self._schedules
        if live and (schedule := live.by_model.get(variant.model)):
            cents = schedule.cents(output_resolution)
            if cents is None:
                cents = await self._quote(variant, output_resolution)
            if cents is not None:
                return Price(cents, "sandbox" if live.sandbox else "live")
        cents = variant.snapshot.cents(output_resolution)
        if cents is None:
            return Price(None, "unknown")
        return Price(cents, "snapshot")

    async def _refresh(self) -> None:
        if anyio.current_time() < self._look_again_at:
            return
        async with self._looking:
            if anyio.current_time() < self._look_again_at:
                return
            found = await self._look_up()
            self._schedules = found or self._schedules
            pause = FRESH_SECONDS if found else RETRY_SECONDS
            self._look_again_at = anyio.current_time() + pause

    async def _look_up(self) -> Schedules | None:
        """The schedules now, the same ones when nothing changed, None when out of reach."""
        known = self._schedules
        request = Request(
            "GET",
            "/api/v1/price_schedules",
            query={"service": "flux_2"},
            headers={"If-None-Match": known.etag} if known and known.etag else {},
            retry_seconds=0,
        )
        try:
            with anyio.fail_after(LOOKUP_SECONDS):
                reply = await self._send(request)
        except (RunapiFailure, TimeoutError):
            return None
        if reply.answer.status == 304:
            return known
        return Schedules(
            _schedules(reply.body),
            reply.headers.get("etag"),
            reply.answer.sandbox,
        )

    async def _quote(self, variant: Variant, output_resolution: str | None) -> float | None:
        """RunAPI's own sum, for a schedule in a form this version does not know."""
        params = {"output_resolution": output_resolution} if output_resolution else {}
        body = {
            "service": "flux_2",
            "action": variant.action,
            "model": variant.model,
            "params": params,
        }
        request = Request("POST", "/api/v1/price_quotes", body=body, retry_seconds=0)
        try:
            with anyio.fail_after(LOOKUP_SECONDS):
                reply = await self._send(request)
        except (RunapiFailure, TimeoutError):
            return None
        quote = as_object(reply.body.get("price_quote"))
        return as_number(quote.get("reservation_amount_cents")) if _in_usd(quote) else None


def _schedules(body: Json) -> dict[str, Schedule]:
    rows = [as_object(row) for row in as_list(body.get("price_schedules"))]
    return {
        model: _schedule(row)
        for row in rows
        if (model := as_text(row.get("model"))) and _in_usd(row)
    }


def _schedule(row: Json) -> Schedule:
    config = as_object(row.get("billing_config"))
    unit = as_number(row.get("unit_price_cents"))
    if not config:
        return Schedule(unit)
    if config.get("key") != "output_resolution":
        # Priced by something else than the resolution: only a quote can tell.
        return Schedule()
    overrides = as_object(config.get("overrides"))
    cents = {name: as_number(value) for name, value in overrides.items()}
    return Schedule(unit, {name: value for name, value in cents.items() if value is not None})


def _in_usd(row: Json) -> bool:
    return (as_text(row.get("currency")) or "USD").upper() == "USD"
