"""What an answer advises after RunAPI's moderation said no."""

import pytest

from tests.support.world import facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
HELPS = "What usually helps: describe what is to be seen instead of naming real people"


@pytest.mark.parametrize(
    "reason",
    [
        "Content policy violation",
        "The prompt was flagged by moderation",
        "NSFW content detected",
        "Output blocked by the safety checker",
        "Request contains sensitive content",
        "This is not allowed",
    ],
)
@pytest.mark.parametrize("count", [1, 2])
async def test_what_usually_helps_is_told_and_that_it_cost_nothing(reason: str, count: int) -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": f"a fox [[fail: {reason}]]", "count": count})
        assert w.spent_cents == 0
    assert result.is_error
    assert reason in said(result)
    assert facts(result)["next"].startswith("Failed images are not charged. That was moderation")
    assert HELPS in facts(result)["next"]


@pytest.mark.parametrize("reason", ["The model is overloaded", "internal error", "no cats today"])
async def test_another_reason_gets_other_advice(reason: str) -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": f"a fox [[fail: {reason}]]"})
    assert HELPS not in said(result)
    assert "Change the prompt or the source images" in facts(result)["next"]
