"""The same call made again, by whom and over whatever: one charge for each picture asked for."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, cast, get_args

import anyio
import httpx
import pytest

from runapi_mcp.sandbox.faults import FaultKind, Where
from tests.support.ledgers import ledger_at
from tests.support.photos import REMIX, asking, photo, remixing
from tests.support.processes import (
    LIMIT_SECONDS,
    QUICK,
    SIGNALS,
    Program,
    call,
    network,
    opening,
    program,
    request,
)
from tests.support.sellers import RUNAPI_SELLER, RUNFLOW_SELLER, SELLERS, Seller
from tests.support.world import ERAS, World, said

pytestmark = pytest.mark.anyio
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
REFUSED = ("401", "402", "404", "422")
"""What RunAPI answers to a create that it has not taken."""
ROUNDS = 5


def troubles() -> list[tuple[Seller, Where, FaultKind, int, int]]:
    """Every fault of every request, with and without a source, for one picture and for two."""
    asks = {RUNAPI_SELLER: [(0, 1), (0, 2), (1, 1)], RUNFLOW_SELLER: [(0, 1), (0, 2)]}
    reads = {RUNAPI_SELLER: ("prices", "poll"), RUNFLOW_SELLER: ("models", "poll", "list")}
    found: list[tuple[Seller, str, FaultKind, int, int]] = []
    for seller, kind in product(SELLERS, get_args(FaultKind)):
        creates = product(("create", "created"), asks[seller])
        found += [(seller, where, kind, *ask) for where, ask in creates]
        found += [(seller, where, kind, 0, 1) for where in reads[seller]]
    taken = [each for each in found if each[1] != "created" or each[2] not in REFUSED]
    return cast("list[tuple[Seller, Where, FaultKind, int, int]]", taken)


@pytest.mark.parametrize(("seller", "where", "kind", "sources", "count"), troubles(), ids=str)
async def test_two_processes_that_ask_the_same_through_any_fault_are_charged_once(
    seller: Seller, where: Where, kind: FaultKind, sources: int, count: int, tmp_path: Path
) -> None:
    fox = photo(tmp_path / "photos" / "fox.png")
    arguments = {**(asking(fox) if sources else {"prompt": "a fox"}), "count": count}
    path, (era, other_era) = tmp_path / "ledger", ERAS
    async with (
        ledger_at(path) as mine,
        ledger_at(path) as yours,
        remixing(tmp_path, seller=seller, ledger=mine, era=era) as first,
        remixing(
            tmp_path, seller=seller, ledger=yours, era=other_era, sandbox=first.sandbox
        ) as second,
    ):
        faults = seller.faults(first.sandbox)
        # All of a call's pictures or none: one alone that was surely not made is not made again.
        is_final = seller is RUNFLOW_SELLER or kind in REFUSED
        times = 4 if count == 2 and is_final else 3
        faults.inject(where, kind, seconds=30 if kind == "slow" else None, times=times)
        if where == "list":
            # Nothing is looked for that was answered.
            faults.inject("created", "torn")
        async with anyio.create_task_group() as group:
            for w in (first, second):
                group.start_soon(
                    call_until_drawn, w, REMIX if sources else w.seller.tool, arguments
                )
        assert (first.task_count, first.spent_cents) == (count, 5 * count)


async def call_until_drawn(w: World, tool: str, arguments: Mapping[str, Any]) -> None:
    # Where nothing may be sent again, what was not made is certain after two minutes.
    pauses = (5.0,) * 5 if w.seller is RUNAPI_SELLER else (5.0, 60.0) * 8
    for pause in pauses:
        answer = await w.call(tool, arguments)
        if said(answer).count("/images/") == arguments["count"]:
            return
        await anyio.sleep(pause)
    pytest.fail("it was never drawn")


@IN_REAL_TIME
@pytest.mark.parametrize("era", ERAS)
async def test_a_client_that_gives_up_in_silence_and_asks_again_is_charged_once(era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        net.sandbox.faults.inject("created", "slow", seconds=0.3)
        async with anyio.create_task_group() as group:
            group.start_soon(running.write, *opening(era), call(1, era, QUICK))
            await net.next_paid_request()
        await running.write(call(2, era, QUICK))
        await running.answer(2)
        # Whether the client has read that, nobody knows.
        await running.write(call(3, era, QUICK))
        answers = [(await running.answer(number))["structuredContent"] for number in (1, 2, 3)]
        assert [answer["status"] for answer in answers] == ["completed"] * 3
        assert {answer["task_id"] for answer in answers} == set(net.account().tasks)
        assert (net.paid_requests(), net.account().spent_cents) == (1, 5)


@asynccontextmanager
async def session(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A connection of a client of 2025, with its handshake behind it."""
    begin, begun = opening("legacy")
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Authorization": "Bearer sandbox-key-of-the-torn",
    }
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=LIMIT_SECONDS) as http:
        opened = await http.post("/mcp", content=begin)
        http.headers["Mcp-Session-Id"] = opened.headers.get("mcp-session-id", "")
        await http.post("/mcp", content=begun)
        yield http


@IN_REAL_TIME
async def test_the_same_call_after_a_torn_connection_of_2025_is_charged_once() -> None:
    async with network() as net, serving(net.environment()) as url:
        for number in range(ROUNDS):
            content = call(1, "legacy", f"{number} foxes [[created slow 0.2s x1]]")
            async with session(url) as http, anyio.create_task_group() as group:
                group.start_soon(partial(http.post, "/mcp", content=content))
                await net.next_paid_request()
                group.cancel_scope.cancel()
            async with session(url) as http:
                again = await http.post("/mcp", content=content)
            assert "completed" in again.text
            account = net.account("sandbox-key-of-the-torn")
            assert (len(account.tasks), account.spent_cents) == (number + 1, 5 * (number + 1))


@asynccontextmanager
async def serving(environment: Mapping[str, str]) -> AsyncGenerator[str]:
    command = ("serve", "--http", "--port", "0")
    async with program(*command, environment=environment, send_seconds=0.2) as running:
        line = await running.stderr.holding("runapi-mcp serves ")
        yield line.split()[2].removesuffix("/mcp")


@SIGNALS
@IN_REAL_TIME
async def test_a_wal_that_is_removed_under_a_server_that_pays_costs_neither_budget_nor_picture(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    async with network() as net:
        environment = net.environment() | {
            "RUNAPI_LEDGER": str(path), "RUNAPI_DAILY_BUDGET": "0.10", "RUNAPI_SAVE": "off",
        }  # fmt: skip
        async with program(environment=environment) as running:
            await running.write(*opening("auto"))
            first = await drawn(running, 1, "a fox")
            path.with_name("ledger-wal").unlink()
            assert await drawn(running, 2, "a fox") == first
            path.with_name("ledger-wal").unlink()
            assert await drawn(running, 3, "an owl") is not None
            path.with_name("ledger-wal").unlink()
            assert await drawn(running, 4, "a hare") is None
        async with program(environment=environment) as later:
            await later.write(*opening("auto"))
            assert await drawn(later, 1, "a fox") == first
            assert await drawn(later, 2, "a hare") is None
            await later.write(request(3, "tools/call", "auto", name="list_tasks"))
            listed = (await later.answer(3))["structuredContent"]["tasks"]
        assert {row["task_id"] for row in listed} == set(net.account().tasks)
        assert (net.paid_requests(), net.account().spent_cents) == (2, 10)


async def drawn(running: Program, number: int, prompt: str) -> str | None:
    """The task of a call; None where it was over the budget."""
    await running.write(call(number, "auto", f"{prompt} [[poll-after 0.05s]]"))
    answer = await running.answer(number)
    if answer.get("isError"):
        assert "over the day's budget" in answer["content"][0]["text"], answer
        return None
    return answer["structuredContent"]["task_id"]
