"""Prices, quotes and the account."""

from collections.abc import Mapping, Sequence

import httpx
import pytest

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.sandbox.app import Sandbox
from tests.support.sandbox_client import PRO, answered, create_task, later
from tests.support.world import KEY

pytestmark = pytest.mark.anyio


async def test_the_account_has_a_name_and_opens_with_ten_dollars(client: httpx.AsyncClient) -> None:
    assert answered(await client.get("/api/v1/me")) == (
        200,
        {
            "id": 1,
            "name": "Sandbox",
            "email": "sandbox@example.com",
            "account": {"id": 1, "name": "Sandbox"},
        },
    )
    await create_task(client)
    await later(10)
    assert answered(await client.get("/api/v1/me/balance")) == (
        200,
        {
            "balance_cents": 995,
            "paid_balance_cents": 995,
            "bonus_balance_cents": 0,
            "spent_cents_today": 5,
            "spent_cents_total": 5,
        },
    )


async def test_a_price_schedule_tells_anybody_the_cents_by_resolution(
    anybody: httpx.AsyncClient,
) -> None:
    response = await anybody.get("/api/v1/price_schedules?model=flux-2-flex-remix-image")
    row = {
        "service": "flux_2",
        "action": "remix_image",
        "model": "flux-2-flex-remix-image",
        "pricing_status": "active",
        "catalog_status": "active",
        "currency": "USD",
        "billing_unit": "call",
        "billing_strategy": "per_call",
        "unit_price_cents": 14,
        "billing_config": {"key": "output_resolution", "overrides": {"1k": 14, "2k": 24}},
    }
    expected = {"as_of": "2026-07-01T00:00:00Z", "price_schedules": [row]}
    assert answered(response) == (200, expected)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, [v.model for v in VARIANTS]),
        ({"service": "flux_2"}, [v.model for v in VARIANTS if v.service == "flux_2"]),
        ({"service": "suno"}, []),
        ({"action": "remix_image"}, [v.model for v in VARIANTS if v.action == "remix_image"]),
        ({"action": "image_to_image", "model": "flux-2-pro-remix-image"}, []),
    ],
)
async def test_price_schedules_are_filtered_and_not_sent_again_while_they_are_the_same(
    anybody: httpx.AsyncClient, query: Mapping[str, str], wanted: Sequence[str]
) -> None:
    response = await anybody.get("/api/v1/price_schedules", params=query)
    assert [row["model"] for row in response.json()["price_schedules"]] == wanted
    known = {"If-None-Match": response.headers["etag"]}
    again = await anybody.get("/api/v1/price_schedules", params=query, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == response.headers["etag"]
    assert again.headers["x-runapi-sandbox"] == "1"
    other = await anybody.get("/api/v1/price_schedules?model=flux-1&action=none", headers=known)
    assert other.status_code == (200 if wanted else 304)


@pytest.mark.parametrize(
    ("model", "params", "cents"),
    [
        ("flux-2-pro-text-to-image", None, 5),
        ("flux-2-pro-text-to-image", {"output_resolution": "1k"}, 5),
        ("flux-2-pro-remix-image", {"output_resolution": "2k"}, 7),
        ("flux-2-flex-image-to-image", {"prompt": "a fox"}, 14),
        ("flux-2-flex-image-to-image", {"output_resolution": "2k"}, 24),
    ],
)
async def test_a_quote_tells_anybody_what_a_call_would_reserve_and_makes_no_task(
    anybody: httpx.AsyncClient,
    sandbox: Sandbox,
    model: str,
    params: Mapping[str, object] | None,
    cents: int,
) -> None:
    action = "_".join(model.split("-")[3:])
    asked = {"service": "flux_2", "action": action, "model": model}
    body = asked if params is None else {**asked, "params": params}
    quote = {
        **asked,
        "pricing_status": "active",
        "currency": "USD",
        "reservation_amount_cents": cents,
        "estimate_basis": "schedule",
        "as_of": "2026-07-01T00:00:00Z",
    }
    response = await anybody.post("/api/v1/price_quotes", json=body)
    assert answered(response) == (200, {"price_quote": quote})
    assert sandbox.accounts.of(KEY).tasks == {}


@pytest.mark.parametrize(
    "wrong", [{"service": "suno"}, {"action": "remix_image"}, {"model": "flux_2_pro_text_to_image"}]
)
async def test_what_is_not_sold_has_no_quote(
    anybody: httpx.AsyncClient, wrong: Mapping[str, str]
) -> None:
    asked = {"service": "flux_2", "action": "text_to_image", "model": PRO["model"], **wrong}
    errors = {"model": ["has no price for this service and action"]}
    response = await anybody.post("/api/v1/price_quotes", json=asked)
    assert answered(response) == (422, {"error": "Validation failed", "errors": errors})
