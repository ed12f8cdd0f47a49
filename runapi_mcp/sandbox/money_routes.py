"""Prices, quotes and the account."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.json_values import as_object
from runapi_mcp.sandbox import price_list
from runapi_mcp.sandbox.answers import answer
from runapi_mcp.sandbox.body_validation import Invalid
from runapi_mcp.sandbox.requests import api_key, json_body
from runapi_mcp.sandbox.routing import Misbehaviour, Table
from runapi_mcp.sandbox.task_store import Accounts


class MoneyRoutes:
    """`/api/v1/price_schedules`, `/api/v1/price_quotes` and `/api/v1/me`."""

    def __init__(
        self, variants: Sequence[Variant], accounts: Accounts, misbehave: Misbehaviour
    ) -> None:
        self._variants = variants
        self._accounts = accounts
        self._misbehave = misbehave

    def table(self) -> Table:
        yield "GET", "/api/v1/price_schedules", self._schedules
        yield "POST", "/api/v1/price_quotes", self._quote
        yield "GET", "/api/v1/me", self._me
        yield "GET", "/api/v1/me/balance", self._balance

    async def _schedules(self, request: Request) -> Response:
        await self._misbehave("prices")
        wanted = [request.query_params.get(name) for name in ("service", "action", "model")]
        rows = price_list.price_schedules(self._variants, *wanted)
        etag = price_list.etag_of(rows)
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return answer({"as_of": price_list.AS_OF, "price_schedules": rows}, headers={"ETag": etag})

    async def _quote(self, request: Request) -> Response:
        await self._misbehave("quotes")
        body = await json_body(request)
        variant = _variant(self._variants, body)
        quote = {
            "service": variant.service,
            "action": variant.action,
            "model": variant.model,
            "pricing_status": "active",
            "currency": "USD",
            "reservation_amount_cents": price_list.cents_of(variant, _resolution(body)),
            "estimate_basis": "schedule",
            "as_of": price_list.AS_OF,
        }
        return answer({"price_quote": quote})

    async def _me(self, request: Request) -> Response:
        api_key(request)
        account = {"id": 1, "name": "Sandbox"}
        return answer(
            {"id": 1, "name": "Sandbox", "email": "sandbox@example.com", "account": account}
        )

    async def _balance(self, request: Request) -> Response:
        await self._misbehave("account")
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
    raise Invalid({"model": ["has no price for this service and action"]})


def _resolution(body: Mapping[str, object]) -> str | None:
    value = as_object(body.get("params")).get("output_resolution")
    return value if isinstance(value, str) else None
