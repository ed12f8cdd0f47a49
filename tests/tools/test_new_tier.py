"""A tier nobody has heard of, of another service: its two rows, and nothing else anywhere."""

import re

import pytest

from runapi_mcp.base.catalog import VARIANTS, Schedule, Tier, Variant, select
from runapi_mcp.base.catalog.fields import AspectRatio, Params
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.tools import instructions
from tests.support.world import ERAS, facts, said, world

pytestmark = pytest.mark.anyio


class Sketch(AspectRatio, Params):
    """Neither a resolution nor a safety switch."""


QUICK = Tier(
    name="quick",
    service="sketches",
    usual_seconds=8,
    sandbox_seconds=12,
    when="first ideas",
    advice="Quick is for first ideas.",
    snapshot=Schedule(2),
)
SKETCH = Variant(QUICK, "text_to_image", Sketch, "Sketch an idea.", own_model="sketch-1")
KNOWN = (*VARIANTS, SKETCH)
TOOL = "flux_2_quick_text_to_image"
IDEA = {"prompt": "a fox", "aspect_ratio": "16:9"}


@pytest.mark.parametrize("era", ERAS)
async def test_it_draws_through_its_own_service_for_its_own_price(era: str) -> None:
    async with world(era=era, known=KNOWN) as w:
        drawn = facts(await w.call(TOOL, IDEA))
        assert (drawn["status"], drawn["model"], drawn["cost_cents"]) == (
            "completed",
            "sketch-1",
            2,
        )
        assert w.wire.paths("POST") == ["/api/v1/sketches/text_to_image"]
        assert f"/api/v1/sketches/text_to_image/{drawn['task_id']}" in w.wire.paths()
        assert w.spent_cents == 2


async def test_get_task_follows_it_at_its_own_service() -> None:
    async with world(known=KNOWN) as w:
        ordered = facts(await w.call(TOOL, {**IDEA, "wait_seconds": 0}))
        assert (ordered["status"], ordered["price_cents"]) == ("pending", 2)
        task = {"task_id": ordered["task_id"], "wait_seconds": 60}
        assert facts(await w.call("get_task", task))["status"] == "completed"
        read = [path for path in w.wire.paths() if path.endswith(ordered["task_id"])]
        assert set(read) == {f"/api/v1/sketches/text_to_image/{ordered['task_id']}"}


async def test_its_tier_is_named_once_enough_of_it_was_seen() -> None:
    async with world(known=KNOWN) as w:
        for number in range(6):
            await w.call(TOOL, {"prompt": f"fox {number}"})
        words = " ".join(message for _, message in w.progress)
        assert re.search(r"; quick usually takes about \d+ s", words)


async def test_its_price_is_live_by_unit_and_in_the_snapshot() -> None:
    async with world(known=KNOWN) as w:
        question = {"model": TOOL}
        row = {"model": "sketch-1", "price_cents": 2, "price_basis": "the sandbox's price list"}
        assert facts(await w.call("check_pricing", question))["prices"] == [row]
        everything = facts(await w.call("check_pricing"))["prices"]
        assert row in everything
        refused = await w.call("check_pricing", {**question, "output_resolution": "1k"})
        assert "sketch-1 does not draw at 1k." in said(refused)
    async with world(known=KNOWN) as w:
        w.wire.down = True
        [row] = facts(await w.call("check_pricing", question))["prices"]
        assert (row["price_cents"], "output_resolution" in row) == (2, False)


async def test_a_tier_without_a_published_price_costs_something_in_the_sandbox() -> None:
    dear = Tier(name="dear", service="art", usual_seconds=9, sandbox_seconds=9, when="never")
    async with world(known=(Variant(dear, "text_to_image", Sketch, "Paint it."),)) as w:
        drawn = facts(await w.call("flux_2_dear_text_to_image", IDEA))
        assert (drawn["model"], drawn["cost_cents"]) == ("flux-2-dear-text-to-image", 30)


async def test_a_field_that_it_has_not_is_refused_before_anything_is_sent() -> None:
    async with world(known=KNOWN) as w:
        refused = said(await w.call(TOOL, {**IDEA, "output_resolution": "1k"}))
        assert "'output_resolution' is not for this tool" in refused
        assert w.wire.sent == []


async def test_the_other_services_do_not_sell_it() -> None:
    async with world(known=KNOWN, sandbox=Sandbox()) as w:
        refused = await w.call(TOOL, IDEA)
        assert refused.is_error
        assert w.task_count == 0


def test_it_is_selected_and_advised_like_any_other() -> None:
    assert select(["quick"], KNOWN) == select(["sketch_1"], KNOWN) == (SKETCH,)
    with pytest.raises(NotConfigured, match=r"Use tiers \(pro, .*quick\) or ids: .*sketch-1"):
        select(["swift"], KNOWN)
    assert "Quick is for first ideas." in instructions(KNOWN)
    assert "Quick" not in instructions([SKETCH])
