"""A picture is drawn: the whole way of a paid call, through the front door."""

import anyio
import pytest

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.tools.facts import utc
from tests.support.world import ERAS, NOON, facts, said, world

pytestmark = pytest.mark.anyio
SOURCE = "https://example.com/a.png"


def smallest_arguments(variant: Variant) -> dict[str, object]:
    """The least that a variant's tool takes."""
    required = {n for n, f in variant.params.model_fields.items() if f.is_required()}
    values = {"prompt": "a red fox", "source_image_urls": [SOURCE], "aspect_ratio": "16:9"}
    return {name: values[name] for name in sorted(required)}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.model)
async def test_every_variant_draws_one_picture_for_one_price(variant: Variant, era: str) -> None:
    async with world(era=era) as w:
        began = anyio.current_time()
        result = await w.call(variant.tool_name, smallest_arguments(variant))
        task_id = facts(result)["task_id"]
        assert facts(result) == {
            "status": "completed",
            "task_id": task_id,
            "model": variant.model,
            "image_seconds": facts(result)["image_seconds"],
            "image_urls": [f"http://127.0.0.1/images/{task_id}.png"],
            "expires": utc(NOON + 7 * 86_400),
            "cost_cents": w.spent_cents,
            "spent_today_cents": w.spent_cents,
            "next": "The image URLs expire about 7 days after drawing; download what should last.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        [seconds] = facts(result)["image_seconds"]
        assert seconds == pytest.approx(anyio.current_time() - began, abs=0.1)
        assert w.spent_cents > 0
        assert w.wire.paths("POST") == [f"/api/v1/{variant.service}/{variant.action}"]
        assert not result.is_error
        await anyio.sleep(60)
        later = await w.call("get_task", {"task_id": task_id})
        assert facts(later)["image_seconds"] == [seconds]


async def test_waiting_zero_seconds_answers_at_once_with_the_id_and_the_price() -> None:
    async with world() as w:
        result = await w.call("flux_2_pro_text_to_image", {"prompt": "a fox", "wait_seconds": 0})
        assert facts(result)["status"] == "pending"
        assert facts(result)["price_cents"] == 5
        assert "get_task" in said(result)
        assert w.wire.paths("GET") == ["/api/v1/price_schedules"]
