"""Prices, quotes and the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.base.catalog import SNAPSHOT_AS_OF, Variant
from runapi_mcp.base.json_values import as_object, as_text
from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import Table, answer, invalid, json_body
from runapi_mcp.sandbox.runapi_messages import api_key
from runapi_mcp.sandbox.task_store import StoredTask, cents_of, schedule_of

_AS_OF: Final = f"{SNAPSHOT_AS_OF}-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class MoneyRoutes:
    """`/api/v1/price_schedules`, `/api/v1/price_quotes` and `/api/v1/me`."""

    _variants: Sequence[Variant]
    _accounts: Accounts[StoredTask]
    _faults: Faults

    def table(self) -> Table:
        yield "GET", "/api/v1/price_schedules", self._schedules
        yield "POST", "/api/v1/price_quotes", self._quote
        yield "GET", "/api/v1/me", self._me
        yield "GET", "/api/v1/me/balance", self._balance

    async def _schedules(self, request: Request) -> Response:
        await self._faults.misbehave("prices")
        filters = ("service", "action", "model")
        wanted = {name: text for name, text in request.query_params.items() if name in filters}
        rows = [row for row in map(_row, self._variants) if wanted.items() <= row.items()]
        etag = f'"{sha256(dumps(rows, sort_keys=True).encode()).hexdigest()[:16]}"'
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return answer({"as_of": _AS_OF, "price_schedules": rows}, headers={"ETag": etag})

    async def _quote(self, request: Request) -> Response:
        await self._faults.misbehave("quotes")
        body = await json_body(request)
        variant, params = _variant(self._variants, body), as_object(body.get("params"))
        quote = {
            **_heading(variant),
            "reservation_amount_cents": cents_of(variant, as_text(params.get("output_resolution"))),
            "estimate_basis": "schedule",
            "as_of": _AS_OF,
        }
        return answer({"price_quote": quote})

    async def _me(self, request: Request) -> Response:
        api_key(request)
        account = {"id": 1, "name": "Sandbox"}
        return answer({**account, "email": "sandbox@example.com", "account": account})

    async def _balance(self, request: Request) -> Response:
        await self._faults.misbehave("account")
        account = self._accounts.of(api_key(request))
        return answer(
            {
                "balance_cents": account.balance_cents,
                "paid_balance_cents": account.balance_cents,
                "bonus_balance_cents": 0,
                "spent_cents_today": account.spent_cents,
                "spent_cents_total": account.spent_cents,
            }
        )


def _variant(variants: Sequence[Variant], body: Mapping[str, object]) -> Variant:
    wanted = body.get("service"), body.get("action"), body.get("model")
    for variant in variants:
        if wanted == (variant.service, variant.action, variant.model):
            return variant
    raise invalid({"model": ["has no price for this service and action"]})


def _row(variant: Variant) -> dict[str, object]:
    schedule = schedule_of(variant)
    overrides = dict(schedule.by_resolution)
    return {
        **_heading(variant),
        "catalog_status": "active",
        "billing_unit": "call",
        "billing_strategy": "per_call",
        "unit_price_cents": schedule.unit_cents,
        "billing_config": {"key": "output_resolution", "overrides": overrides} if overrides else {},
    }


def _heading(variant: Variant) -> dict[str, object]:
    sold = {"service": variant.service, "action": variant.action, "model": variant.model}
    return {**sold, "pricing_status": "active", "currency": "USD"}
