"""The pace of a key: all its requests take turns, so that RunAPI's limit is kept and all end."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import httpx
import pytest
from mcp import Client
from mcp_types import CallToolResult
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, create_server
from tests.support.world import BASE_URL, KEY, clock, facts, service_on

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
MOST_A_SECOND = 20
"""RunAPI's limit for each key."""


@dataclass
class Crowd:
    """Two users of one server, and when what was sent for them."""

    sandbox: Sandbox
    one: Client
    other: Client
    sent: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """Seconds and method of every request that carried the first user's key."""
    results: list[CallToolResult] = field(default_factory=list[CallToolResult])

    async def draw(self, number: int, script: str = "", **arguments: object) -> None:
        """A call of the first user."""
        asked = {"prompt": f"fox number {number} {script}", **arguments}
        self.results.append(await self.one.call_tool(DRAW, asked))

    def paid_at(self) -> list[float]:
        return [second for second, method in self.sent if method == "POST"]

    def most_in_a_second(self) -> int:
        seconds = [second for second, _ in self.sent]
        return max(sum(start <= other < start + 1 for other in seconds) for start in seconds)


class _Clocked:
    """Notes when a request of the first user arrives."""

    def __init__(self, app: ASGIApp, sent: list[tuple[float, str]]) -> None:
        self._app = app
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (b"authorization", f"Bearer {KEY}".encode()) in scope["headers"]:
            self._sent.append((anyio.current_time(), scope["method"]))
        await self._app(scope, receive, send)


@asynccontextmanager
async def crowd(limits: Limits | None = None) -> AsyncGenerator[Crowd]:
    sandbox, sent = Sandbox(), list[tuple[float, str]]()
    sandbox.app.add_middleware(_Clocked, sent)
    upstream = RunAPI(BASE_URL, httpx.ASGITransport(app=sandbox.app))
    keys = [Keys(Key(SecretStr(secret))) for secret in (KEY, "sandbox-key-of-another")]
    async with aclosing(SqliteLedger.in_memory(clock)) as ledger, aclosing(upstream):
        service = service_on(upstream, keys[0], ledger, limits=limits)
        servers = [create_server(replace(service, keys=each), VARIANTS) for each in keys]
        async with Client(servers[0]) as one, Client(servers[1]) as other:
            yield Crowd(sandbox, one, other, sent)


async def test_two_hundred_calls_at_once_are_all_delivered_within_the_limit() -> None:
    async with crowd() as c:
        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(c.draw, number)
        assert Counter(facts(result)["status"] for result in c.results) == {"completed": 200}
        assert c.most_in_a_second() <= MOST_A_SECOND
        assert len(c.paid_at()) == 200
        assert max(c.paid_at()) < 20


async def test_two_hundred_waits_of_one_key_do_not_slow_another_key() -> None:
    async with crowd() as c:
        await timed(c.other, "a fox [[takes 4s]]")
        alone = await timed(c.other, "another fox [[takes 4s]]")
    async with crowd() as c, anyio.create_task_group() as group:
        await timed(c.other, "a fox [[takes 4s]]")
        for number in range(200):
            group.start_soon(partial(c.draw, number, "[[takes 60s]]", wait_seconds=600))
        await anyio.sleep(1)
        assert await timed(c.other, "another fox [[takes 4s]]") <= alone + 0.1
        await anyio.sleep(15)
        assert 15 <= c.most_in_a_second() <= MOST_A_SECOND
        group.cancel_scope.cancel()


async def test_a_call_that_leaves_while_it_waits_for_its_turn_costs_nothing() -> None:
    async with crowd(Limits(per_day_cents=500)) as c, anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(partial(c.draw, number, wait_seconds=0))
        await anyio.sleep(0.5)
        with anyio.move_on_after(1):
            await c.draw(99)
        await anyio.sleep(30)
        assert len(c.paid_at()) == 40
        listed = facts(await c.one.call_tool("list_tasks", {"limit": 50}))
        assert [row for row in listed["tasks"] if "99" in row["prompt"]] == []
        assert listed["left_today_cents"] == 500 - 40 * 5
        await c.draw(99)
        assert "joined" not in facts(c.results[-1])


async def timed(client: Client, prompt: str) -> float:
    """How many seconds a picture takes its caller."""
    started = anyio.current_time()
    result = await client.call_tool(DRAW, {"prompt": prompt})
    assert facts(result)["status"] == "completed"
    return anyio.current_time() - started
