"""Many requests that come at once are begun one after another, and all of them soon."""

from collections import Counter

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from runapi_mcp.transports.gradual_start import BEGUN_AT_ONCE, GradualStart
from runapi_mcp.transports.paths import MCP_PATH

pytestmark = pytest.mark.anyio


class Rounds:
    """An app that counts what begins between two rounds of the loop."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self._round = 0

    async def count(self) -> None:
        while True:
            await anyio.lowlevel.checkpoint()
            self._round += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun[self._round] += 1


async def begin(path: str, requests: int) -> Rounds:
    rounds = Rounds()
    app = GradualStart(rounds)
    scope = {"type": "http", "path": path}

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """Nobody waits for it."""

    async with anyio.create_task_group() as counting:
        counting.start_soon(rounds.count)
        async with anyio.create_task_group() as group:
            for _ in range(requests):
                group.start_soon(app, scope, receive, send)
        counting.cancel_scope.cancel()
    return rounds


async def test_of_many_requests_at_once_a_few_begin_each_time_the_loop_comes_round() -> None:
    rounds = await begin(MCP_PATH, 200)
    assert rounds.begun.total() == 200
    assert max(rounds.begun.values()) <= BEGUN_AT_ONCE
    # One after another, with no rest between.
    assert len(rounds.begun) <= 3 * 200 / BEGUN_AT_ONCE


async def test_a_page_waits_for_no_request() -> None:
    rounds = await begin("/health", 200)
    assert len(rounds.begun) == 1
