"""What is open in the ledger, as whoever looks on is told: doubts, and what nobody was given."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import anyio
import pytest

from runapi_mcp.base.measures import Measure, listening
from runapi_mcp.orders.ledger import Entry, Spending, Use
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.telemetry.asked_gauges import COUNT_AGAIN_SECONDS, AskedGauges
from runapi_mcp.telemetry.observed_turns import ObservedTurns
from tests.support.world import clock

pytestmark = pytest.mark.anyio
HOUR: Final = 3_600.0


def allow_all(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
    """Money is no object."""


def allow_again(lapsed: Sequence[Entry], spending: Spending) -> None:
    """As little."""


async def told_by(gauges: AskedGauges) -> Mapping[str, float]:
    told: dict[str, float] = {}

    def hear(row: Measure, amount: float, labels: Mapping[str, str]) -> None:
        told[row.name] = amount

    with listening(hear):
        await gauges.refresh()
    return told


@pytest.fixture
async def ledger() -> AsyncGenerator[SqliteLedger]:
    async with aclosing(SqliteLedger.in_memory(clock)) as opened:
        yield opened


async def intended(ledger: SqliteLedger, key: str) -> Entry:
    entry = Entry(key, "me", "flux-2-pro-text-to-image", key, clock(), key, price_cents=5)
    [written] = await ledger.intend([entry], Use(), clock(), allow_all)
    return written


async def test_a_doubt_is_told_with_its_age_until_it_is_settled(ledger: SqliteLedger) -> None:
    gauges = AskedGauges(ledger)
    await intended(ledger, "one")
    await ledger.record_send("one", allow_again)
    assert (await told_by(gauges))["runapi.doubts"] == 0  # it is just being asked
    await ledger.record_doubt("one", 1, answered=False)
    await anyio.sleep(HOUR)
    told = await told_by(gauges)
    assert (told["runapi.doubts"], told["runapi.doubts.age"]) == (1, HOUR)
    await ledger.record_send("one", allow_again)
    await ledger.record_no("one", 1)
    await ledger.record_no("one", 1)
    told = await told_by(gauges)
    assert (told["runapi.doubts"], told["runapi.doubts.age"]) == (0, 0)


async def test_a_picture_that_was_charged_is_told_until_it_left(ledger: SqliteLedger) -> None:
    gauges = AskedGauges(ledger)
    entry = await intended(ledger, "one")
    ended = replace(entry, status="completed", task_id="1", cost_cents=5, ended_at=clock())
    await ledger.record(replace(ended, image_urls=("https://cdn.example/1.png",)))
    await anyio.sleep(HOUR)
    told = await told_by(gauges)
    assert (told["runapi.undelivered"], told["runapi.undelivered.age"]) == (1, HOUR)
    await ledger.record_handover("one", clock(), surely=True)
    assert (await told_by(gauges))["runapi.undelivered"] == 0


async def test_counters_are_compared_now_and_then(ledger: SqliteLedger) -> None:
    class Counters:
        asked = 0

        async def count_wrong_budgets(self) -> int:
            self.asked += 1
            return 2

    counters = Counters()
    await anyio.sleep(1)
    gauges = AskedGauges(ledger, counters)
    assert (await told_by(gauges))["runapi.ledger.drift"] == 2
    assert "runapi.ledger.drift" not in await told_by(gauges)
    await anyio.sleep(COUNT_AGAIN_SECONDS)
    assert (await told_by(gauges))["runapi.ledger.drift"] == 2
    assert counters.asked == 2


async def test_a_request_is_counted_while_it_waits_for_its_turn() -> None:
    class Turns:
        async def wait_turn(self, *, pays: bool, urgency: object) -> None:
            await anyio.sleep(3)

        def pause(self, seconds: float) -> None:
            """Nobody is slowed."""

    told: list[tuple[str, float, str]] = []

    def hear(row: Measure, amount: float, labels: Mapping[str, str]) -> None:
        told.append((row.name, amount, labels.get("kind", "")))

    with listening(hear):
        turns = ObservedTurns(Turns())
        await turns.wait_turn(pays=True, urgency=None)
        turns.pause(2)
    assert told == [
        ("runapi.pace.queue", 1, "pays"),
        ("runapi.pace.queue", -1, "pays"),
        ("runapi.pace.wait", 3, "pays"),
        ("runapi.pace.pauses", 1, ""),
    ]
