"""The promise where a vendor knows no idempotency keys: sent once, looked for, never lost."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.support.ledgers import ledger_at
from tests.support.sellers import RUNAPI_SELLER, RUNFLOW_SELLER
from tests.support.world import NOON, Pass, Sent, World, facts, said, world

pytestmark = pytest.mark.anyio
FLEX = RUNFLOW_SELLER.tool
FOX: Mapping[str, Any] = {"prompt": "a fox", "wait_seconds": 0}
DAY = 86_400.0
IN_DOUBT = "Runflow may or may not have charged this."
NOT_LISTED = "Runflow never answered it, and has not listed it so far."


@asynccontextmanager
async def worlds(folder: Path, count: int = 2, **server: Any) -> AsyncGenerator[list[World]]:
    """So many servers on one ledger and one sandbox."""
    async with AsyncExitStack() as stack:
        opened: list[World] = []
        for _ in range(count):
            ledger = await stack.enter_async_context(ledger_at(folder / "ledger.db"))
            sandbox = opened[0].sandbox if opened else None
            there = world(seller=RUNFLOW_SELLER, ledger=ledger, sandbox=sandbox, **server)
            opened.append(await stack.enter_async_context(there))
        yield opened


def lose_answers(w: World) -> None:
    """Let every create arrive, and no answer to one come back."""

    async def lost(sent: Sent, go_on: Pass) -> httpx.Response:
        answer = await go_on()
        if sent.method == "POST":
            raise httpx.ReadError("torn")
        return answer

    w.wire.meddle = lost


def lose_creates(w: World) -> None:
    """Let no create arrive, and nobody know that."""

    async def lost(sent: Sent, go_on: Pass) -> httpx.Response:
        if sent.method == "POST":
            raise httpx.ReadError("torn")
        return await go_on()

    w.wire.meddle = lost


def lose_lists_too(w: World) -> None:
    async def lost(sent: Sent, go_on: Pass) -> httpx.Response:
        if sent.method == "POST" or sent.path.endswith("/v1/runs"):
            raise httpx.ReadError("torn")
        return await go_on()

    w.wire.meddle = lost


def mend(w: World) -> None:
    async def let_pass(_: Sent, go_on: Pass) -> httpx.Response:
        return await go_on()

    w.wire.meddle = let_pass


async def test_a_lost_answer_is_found_in_the_list_at_once_and_nothing_is_sent_again() -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        lose_answers(w)
        made = facts(await w.call(FLEX, {**FOX, "wait_seconds": 60}))
        assert (made["status"], made["model"]) == ("completed", "runflow-flux-2-flex-text-to-image")
        assert (w.task_ids, len(w.wire.paths("POST"))) == ([made["task_id"]], 1)
        assert w.spent_cents == 5


async def test_a_run_that_is_listed_late_is_found_by_the_same_call() -> None:
    fox = {"prompt": "a fox [[listed-after 50s]]", "wait_seconds": 60}
    async with world(seller=RUNFLOW_SELLER) as w:
        lose_answers(w)
        doubt = said(await w.call(FLEX, fox))
        assert IN_DOUBT in doubt
        assert "looks for it at Runflow by its reference" in doubt
        mend(w)
        await anyio.sleep(55)
        made = facts(await w.call(FLEX, fox))
        assert (w.task_ids, len(w.wire.paths("POST"))) == ([made["task_id"]], 1)


async def test_what_two_complete_lists_have_not_was_not_made_and_the_same_call_pays(
    tmp_path: Path,
) -> None:
    async with worlds(tmp_path) as (first, second):
        lose_creates(first)
        assert IN_DOUBT in said(await first.call(FLEX, FOX))
        mend(first)
        # The first list was read at once; this is the second, but too early.
        await anyio.sleep(100)
        assert NOT_LISTED in said(await second.call(FLEX, FOX))
        assert second.task_count == 0
        await anyio.sleep(25)
        made = facts(await second.call(FLEX, FOX))
        assert second.task_ids == [made["task_id"]]
        assert "notice" not in made or "may have been charged" not in made["notice"]


async def test_lists_that_cannot_be_read_settle_nothing(tmp_path: Path) -> None:
    async with worlds(tmp_path) as (first, second):
        lose_lists_too(first)
        lose_lists_too(second)
        for w in (first, second, first):
            assert IN_DOUBT in said(await w.call(FLEX, FOX))
            await anyio.sleep(DAY / 4)
        assert len(first.wire.paths("POST") + second.wire.paths("POST")) == 1


async def test_after_a_day_the_same_call_pays_anew_and_says_that_the_first_may_be_charged(
    tmp_path: Path,
) -> None:
    async with worlds(tmp_path) as (first, second):
        lose_lists_too(first)
        lose_lists_too(second)
        assert IN_DOUBT in said(await first.call(FLEX, FOX))
        await anyio.sleep(DAY - 60)
        assert IN_DOUBT in said(await second.call(FLEX, FOX))
        await anyio.sleep(120)

        async def lists_are_lost(sent: Sent, go_on: Pass) -> httpx.Response:
            if sent.path.endswith("/v1/runs") and sent.method == "GET":
                raise httpx.ReadError("torn")
            return await go_on()

        second.wire.meddle = lists_are_lost
        made = facts(await second.call(FLEX, FOX))
        assert made["notice"].startswith(
            f"The identical call of {utc(NOON)} may have been charged as well: Runflow never "
            "answered it, and its list could not tell for a day."
        )
        assert "joined" not in made
        again = facts(await first.call("list_tasks", {}))
        assert [task["status"] for task in again["tasks"]] == ["pending", "intended"]
        # Its own retries join the new one.
        mend(first)
        joined = facts(await first.call(FLEX, FOX))
        assert joined["task_id"] == made["task_id"]
        assert first.task_count == 1


async def test_of_many_at_once_one_sends_and_the_others_join_or_report_the_doubt(
    tmp_path: Path,
) -> None:
    async with worlds(tmp_path, count=4) as servers:
        for w in servers:
            lose_creates(w)
        told: list[str] = []

        async def ask(w: World) -> None:
            told.append(said(await w.call(FLEX, FOX)))

        async with anyio.create_task_group() as group:
            for w in servers:
                group.start_soon(ask, w)
                group.start_soon(ask, w)
        assert len(told) == 8
        assert all(IN_DOUBT in each for each in told)
        assert sum(len(w.wire.paths("POST")) for w in servers) == 1


async def test_many_at_once_are_one_picture(tmp_path: Path) -> None:
    async with worlds(tmp_path, count=3) as servers:
        made: list[str] = []

        async def ask(w: World) -> None:
            made.append(facts(await w.call(FLEX, {**FOX, "wait_seconds": 60}))["task_id"])

        async with anyio.create_task_group() as group:
            for w in servers * 2:
                group.start_soon(ask, w)
        assert {*made} == {*servers[0].task_ids}
        assert (len(made), servers[0].task_count, servers[0].spent_cents) == (6, 1, 5)


async def test_a_doubt_is_looked_for_unbidden_by_the_next_call_of_any_kind(tmp_path: Path) -> None:
    fox = {"prompt": "a fox [[listed-after 50s]]", "wait_seconds": 0}
    async with worlds(tmp_path) as (first, second):
        lose_answers(first)
        assert IN_DOUBT in said(await first.call(FLEX, fox))
        await anyio.sleep(90)
        await second.call(FLEX, {"prompt": "a hare", "wait_seconds": 30})
        listed = facts(await second.call("list_tasks", {}))
        assert {task["task_id"] for task in listed["tasks"]} == {*second.task_ids}
        assert second.task_count == 2


async def test_a_doubt_keeps_its_reservation_for_a_day(tmp_path: Path) -> None:
    limits = Limits(per_day_cents=9)
    async with worlds(tmp_path, count=1, limits=limits) as [w]:
        lose_lists_too(w)
        assert IN_DOUBT in said(await w.call(FLEX, FOX))
        refused = said(await w.call(FLEX, {"prompt": "a hare"}))
        assert "limit $0.09, spent $0.00, reserved $0.05, this call $0.05" in refused


async def test_the_budget_counts_what_both_vendors_sold() -> None:
    async with world(seller=RUNFLOW_SELLER, limits=Limits(per_day_cents=12)) as w:
        await w.call(RUNAPI_SELLER.tool, {"prompt": "a fox", "wait_seconds": 60})
        await w.call(FLEX, {"prompt": "a fox", "wait_seconds": 60})
        refused = said(await w.call(FLEX, {"prompt": "a hare"}))
        assert "limit $0.12, spent $0.10, reserved $0.00, this call $0.05" in refused


async def test_a_process_that_slept_before_its_send_does_not_send(tmp_path: Path) -> None:
    """What others may have judged meanwhile by the list, it cannot know."""
    now = {"ahead": 0.0}

    def clock() -> float:
        now["ahead"] += 90.0
        return NOON + anyio.current_time() + now["ahead"]

    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        world(seller=RUNFLOW_SELLER, ledger=ledger) as w,
    ):
        with anyio.move_on_after(5):
            await w.call(FLEX, FOX)
        assert w.wire.paths("POST") == []


async def test_a_doubt_is_listed_with_what_becomes_of_it() -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        lose_lists_too(w)
        await w.call(FLEX, FOX)
        listed = facts(await w.call("list_tasks", {}))
        assert [task["status"] for task in listed["tasks"]] == ["intended"]
        assert (
            "looks for it in the vendor's list, and nothing is sent a second time" in listed["next"]
        )


async def test_a_key_of_runapi_that_comes_later_does_not_make_the_same_call_pay_twice(
    tmp_path: Path,
) -> None:
    """Whose orders are listed follows RunAPI's key; who pays at Runflow does not."""
    async with ledger_at(tmp_path / "ledger.db") as one, ledger_at(tmp_path / "ledger.db") as two:
        async with world(seller=RUNFLOW_SELLER, key=None, ledger=one) as w:
            made = facts(await w.call(FLEX, FOX))
            sandbox = w.sandbox
        async with world(seller=RUNFLOW_SELLER, ledger=two, sandbox=sandbox) as w:
            again = facts(await w.call(FLEX, FOX))
            assert (again["task_id"], w.task_count) == (made["task_id"], 1)


async def test_a_count_of_two_is_two_runs_each_sent_once() -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        lose_answers(w)
        made = facts(await w.call(FLEX, {**FOX, "count": 2, "wait_seconds": 60}))
        assert {*made["task_ids"]} == {*w.task_ids}
        assert (w.task_count, len(w.wire.paths("POST")), w.spent_cents) == (2, 2, 10)


async def test_another_key_at_runflow_is_another_payer(tmp_path: Path) -> None:
    from runapi_mcp.providers.runflow import Runflow

    async with worlds(tmp_path, count=1) as [w]:
        await w.call(FLEX, FOX)
        other = Runflow("http://127.0.0.1/runflow", Key(SecretStr("rf_live_sandbox_two")), w.wire)
        async with (
            ledger_at(tmp_path / "ledger.db") as ledger,
            world(
                seller=RUNFLOW_SELLER, ledger=ledger, sandbox=w.sandbox, others=(other,)
            ) as another,
        ):
            assert "joined" not in facts(await another.call(FLEX, FOX))
            assert len(w.sandbox.runflow.accounts.of("rf_live_sandbox_two").tasks) == 1
