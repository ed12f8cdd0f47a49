"""Prices and balance: exact, live where they can be, and honest where they cannot."""

import anyio
import pytest

from runapi_mcp.base.catalog import VARIANTS, select
from runapi_mcp.sandbox.faults import FaultKind
from tests.support.world import KEY, facts, said, world

pytestmark = pytest.mark.anyio
SERVICES = {variant.service for variant in VARIANTS}


@pytest.mark.parametrize(
    ("question", "price_cents"),
    [
        ({"model": "flux-2-pro-text-to-image", "output_resolution": "1k"}, [5]),
        ({"model": "flux-2-pro-remix-image", "output_resolution": "2k"}, [7]),
        ({"model": "flux-2-flex-image-to-image"}, [14, 24]),
        ({"model": "flux_2_max_text_to_image"}, [30]),
        ({"output_resolution": "2k"}, [7, 24, 7, 24, 7, 24]),
        ({"model": "flux_2_klein_text_to_image"}, [3]),
        ({"model": "flux-2-klein"}, [3]),
    ],
)
async def test_the_exact_cents_of_the_calls_that_were_asked_for(
    question: dict[str, str], price_cents: list[int]
) -> None:
    async with world(key=None) as w:
        rows = facts(await w.call("check_pricing", question))["prices"]
        assert [row["price_cents"] for row in rows] == price_cents
        assert {row["price_basis"] for row in rows} == {"the sandbox's price list"}


async def test_prices_need_no_key_and_send_none() -> None:
    async with world() as w:
        await w.call("check_pricing")
        assert ["authorization" in sent.headers for sent in w.wire.sent] == [False] * len(SERVICES)


async def test_out_of_reach_the_dated_snapshot_answers_and_max_is_unknown() -> None:
    async with world(key=None) as w:
        w.wire.down = True
        rows = {row["model"]: row for row in facts(await w.call("check_pricing"))["prices"]}
        assert rows["flux-2-pro-text-to-image"] == {
            "model": "flux-2-pro-text-to-image",
            "output_resolution": "2k",
            "price_cents": 7,
            "price_basis": "RunAPI's published price of 2026-07; the live one could not be read",
        }
        assert rows["flux-2-max-remix-image"] == {
            "model": "flux-2-max-remix-image",
            "output_resolution": "1k",
            "price_basis": "unknown; RunAPI has not published it and the live price could not "
            "be read",
        }


@pytest.mark.parametrize("kind", ["500", "html", "broken-json", "torn", "429"])
async def test_a_price_list_that_cannot_be_read_is_not_an_error(kind: FaultKind) -> None:
    async with world() as w:
        w.sandbox.faults.inject("prices", kind, times=None)
        result = await w.call("check_pricing", {"model": "flux-2-pro-text-to-image"})
        assert [row["price_cents"] for row in facts(result)["prices"]] == [5, 7]


async def test_a_slow_price_list_delays_a_paid_call_by_four_seconds_at_most() -> None:
    async with world() as w:
        w.sandbox.faults.inject("prices", "slow", seconds=60, times=None)
        started = anyio.current_time()
        await w.call("flux_2_pro_text_to_image", {"prompt": "a fox", "wait_seconds": 0})
        assert anyio.current_time() - started == pytest.approx(4, abs=0.01)


async def test_slow_price_lists_of_two_services_delay_an_answer_by_four_seconds_in_all() -> None:
    async with world() as w:
        w.sandbox.faults.inject("prices", "slow", seconds=60, times=None)
        started = anyio.current_time()
        rows = facts(await w.call("check_pricing"))["prices"]
        assert anyio.current_time() - started == pytest.approx(4, abs=0.01)
        assert [row["price_cents"] for row in rows if row["model"] == "flux-2-klein"] == [3]


async def test_only_the_service_of_the_variant_is_asked_for_its_price() -> None:
    async with world() as w:
        await w.call("flux_2_klein_text_to_image", {"prompt": "a fox", "wait_seconds": 0})
        asked = [sent.query for sent in w.wire.sent if sent.path == "/api/v1/price_schedules"]
        assert asked == ["service=flux"]


async def test_prices_are_remembered_and_then_only_checked_for_change() -> None:
    async with world() as w:
        for _ in range(3):
            await w.call("check_pricing")
        await anyio.sleep(601)
        await w.call("check_pricing")
        checks = ["if-none-match" in sent.headers for sent in w.wire.sent]
        assert checks == [False] * len(SERVICES) + [True] * len(SERVICES)


async def test_prices_of_the_offered_variants_only() -> None:
    async with world(variants=select(["pro"])) as w:
        rows = facts(await w.call("check_pricing"))["prices"]
        assert {row["model"] for row in rows} == {v.model for v in VARIANTS if v.tier.name == "pro"}


async def test_the_balance_in_cents_with_what_was_spent() -> None:
    async with world() as w:
        await w.call("flux_2_flex_text_to_image", {"prompt": "a fox"})
        result = await w.call("check_balance")
        assert facts(result) == {
            "balance_cents": 986,
            "paid_balance_cents": 986,
            "bonus_balance_cents": 0,
            "spent_today_cents": 14,
            "spent_total_cents": 14,
            "next": "check_pricing says what a call costs.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        assert "balance_cents: 986 ($9.86)" in said(result)


async def test_a_large_balance_is_the_same_number_in_both_forms() -> None:
    async with world() as w:
        w.sandbox.accounts.of(KEY).balance_cents = 1_234_567
        result = await w.call("check_balance")
        assert facts(result)["balance_cents"] == 1_234_567
        assert "balance_cents: 1234567 ($12345.67)" in said(result)


async def test_a_price_being_looked_up_is_waited_for_and_outlives_who_asked_first() -> None:
    async with world() as w:
        w.sandbox.faults.inject("prices", "slow", seconds=2, times=None)
        with anyio.move_on_after(0.2):
            await w.call("check_pricing")
        rows = facts(await w.call("check_pricing", {"model": "flux-2-max-remix-image"}))["prices"]
        assert rows[0]["price_cents"] == 30
