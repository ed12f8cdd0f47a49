"""RunAPI fails in every way it can: one clear error, the right number of tries, one charge."""

import anyio
import pytest

from tests.support.world import ERAS, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"

FINAL = [
    ("401", 'API key (RunAPI\'s sandbox says: "Invalid API key"). Nothing was paid.'),
    (
        "402",
        'call (RunAPI\'s sandbox says: "Insufficient credits"). Nothing was paid.',
    ),
    ("404", 'refused the request (RunAPI\'s sandbox says: "Not found"). Nothing was paid.'),
    (
        "422",
        'says: "Validation failed: prompt was refused, as the sandbox was asked"). Nothing was',
    ),
]
PASSING = [
    "429 3s x2",
    "409 x2",
    "500 x2",
    "503 x2",
    "html x2",
    "torn x2",
    "broken-json x2",
    "slow 30s x1",
]


@pytest.mark.parametrize(("kind", "sentence"), FINAL)
async def test_a_final_refusal_is_one_error_after_one_try(kind: str, sentence: str) -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": f"a fox [[{kind}]]"})
        assert result.is_error
        assert sentence in said(result)
        assert "(RunAPI request id req_" in said(result)
        assert len(w.wire.paths("POST")) == 1
        assert w.task_count == 0


@pytest.mark.parametrize("where", ["create", "created"])
@pytest.mark.parametrize("kind", PASSING)
async def test_a_passing_failure_is_repeated_under_the_same_key_and_paid_once(
    where: str, kind: str
) -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": f"a fox [[{where} {kind}]]", "wait_seconds": 600})
        creates = [sent for sent in w.wire.sent if sent.method == "POST"]
        assert facts(result)["status"] == "completed"
        assert len({sent.headers["idempotency-key"] for sent in creates}) == 1
        assert len({sent.body for sent in creates}) == 1
        assert w.task_count == 1
        assert w.spent_cents == 5


@pytest.mark.parametrize("kind", ["409", "429", "500", "503", "html", "torn", "broken-json"])
async def test_a_lasting_doubt_says_that_money_may_have_moved(kind: str) -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": f"a fox [[created {kind}]]"})
        assert result.is_error
        assert "RunAPI may or may not have charged this." in said(result)
        assert "Nothing was paid" not in said(result)
        assert "<" not in said(result)
        assert w.task_count == 1


async def test_a_pause_that_retry_after_wants_is_kept() -> None:
    async with world(draw_seconds=0) as w:
        started = anyio.current_time()
        await w.call(DRAW, {"prompt": "a fox [[429 7s x1]]", "wait_seconds": 0})
        assert anyio.current_time() - started == pytest.approx(7, abs=0.01)


@pytest.mark.parametrize("era", ERAS)
async def test_a_failed_task_is_an_error_that_was_not_charged(era: str) -> None:
    async with world(era=era) as w:
        result = await w.call(DRAW, {"prompt": "a fox [[fail: too many foxes]]"})
        assert result.is_error
        assert facts(result)["status"] == "failed"
        assert facts(result)["error"] == 'RunAPI\'s sandbox says: "too many foxes"'
        assert "Failed images are not charged." in said(result)
        assert facts(result)["task_id"] in said(result)
        assert w.spent_cents == 0


async def test_a_failed_task_read_by_its_id_says_why() -> None:
    async with world() as w:
        made = facts(await w.call(DRAW, {"prompt": "a [[fail: no]]", "wait_seconds": 0}))
        async with world(sandbox=w.sandbox) as other:
            result = await other.call("get_task", {"task_id": made["task_id"]})
            assert facts(result)["error"] == 'RunAPI\'s sandbox says: "no"'
            assert result.is_error


async def test_an_unknown_task_is_not_found() -> None:
    async with world() as w:
        result = await w.call("get_task", {"task_id": "00000000-0000-4000-8000-000000000000"})
        assert result.is_error
        assert "knows no task with this id for this API key" in said(result)


async def test_runapi_out_of_reach_is_said_and_nothing_is_in_doubt() -> None:
    async with world() as w:
        w.wire.down = True
        result = await w.call(DRAW, {"prompt": "a fox"})
        assert said(result) == (
            'RunAPI did not answer at http://127.0.0.1 ("connection refused"). '
            "Nothing was paid. Check the network, a proxy and RUNAPI_BASE_URL, then call again."
        )
        assert result.is_error


async def test_an_account_without_credit_pays_nothing() -> None:
    async with world() as w:
        w.sandbox.accounts.of("sandbox-key-of-the-tests").balance_cents = 4
        result = await w.call(DRAW, {"prompt": "a fox"})
        assert (
            'enough credit for this call (RunAPI\'s sandbox says: "Insufficient credits")'
            in said(result)
        )
        assert w.task_count == 0


async def test_an_unknown_sandbox_directive_is_named() -> None:
    async with world() as w:
        result = await w.call(DRAW, {"prompt": "a fox [[explode]]"})
        assert "prompt [[explode]] is not a sandbox directive" in said(result)


async def test_a_doubt_is_not_undone_by_a_later_failure_that_is_certain() -> None:
    async with world() as w:
        w.wire.down_after_posts = 1
        result = await w.call(DRAW, {"prompt": "a fox [[created torn x1]]"})
        assert "connection refused" in said(result)
        assert "RunAPI may or may not have charged this." in said(result)
        assert w.task_count == 1
