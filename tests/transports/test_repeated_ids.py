"""Two requests with one id at once, over streams that carry all answers: only the first is served.

Over /mcp each answer has a way of its own; `test_strangers.py` has that.
"""

import json
from typing import Any, cast

import anyio
import pytest

from tests.support.processes import (
    ENDLESS,
    Program,
    call,
    cancellation,
    network,
    opening,
    program,
    request,
)
from tests.support.world import ERAS
from tests.transports.test_strangers import ADA, site, telling, under_way

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
ONE: tuple[str | int, ...] = (1, "1", " 1", "01", "+1")
"""What the SDK, which compares ids as numbers, takes for the same."""


def renamed(line: str, request_id: str | int) -> str:
    return json.dumps({**json.loads(line), "id": request_id})


def answers(lines: list[str]) -> list[dict[str, Any]]:
    messages = [cast("dict[str, Any]", json.loads(line)) for line in lines]
    return [message for message in messages if "result" in message or "error" in message]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@ERA
async def test_over_stdio_the_second_is_refused_without_an_id_and_pays_nothing(
    anyio_backend: str, era: str
) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await running.write(*opening(era), call(1, era, ENDLESS))
        await running.stdout.holding("notifications/progress")
        broken = json.dumps({"jsonrpc": "1.0", "id": 1, "method": "tools/list"})
        again = [renamed(call(1, era, f"{ENDLESS} {other}"), other) for other in ONE]
        await running.write(*again, broken, request(2, "tools/list", era))
        await running.answer(2)
        refused = [each for each in answers(running.stdout.seen) if "error" in each]
        assert [(each["id"], each["error"]["code"]) for each in refused] == [
            *((None, -32600) for _ in ONE),
            (None, -32600),
        ]
        assert len(net.account().tasks) == 1
        await is_free_again(running, era)


async def is_free_again(running: Program, era: str) -> None:
    """An id is free for the next once its request was cancelled, and once it was answered."""
    await running.write(cancellation(1))
    await running.stderr.holding("stopped waiting")
    for _ in range(2):
        skipped = len(running.stdout.seen)
        await running.write(request(1, "tools/list", era))
        assert '"result"' in await running.stdout.holding('"id":1,', skipped)


@pytest.mark.parametrize("request_id", ONE)
async def test_over_sse_the_second_is_refused_without_an_id(request_id: str | int) -> None:
    async with site() as there:
        events = there.ask(method="GET", path="/sse", key=ADA)

        async def post(line: str) -> None:
            posted = there.ask(line, key=ADA, **events.endpoint)
            assert (await posted.run()).status == 202

        async with under_way(events):
            for line in (*opening("legacy"), telling(1, seconds=5)):
                await post(line)
            await post(renamed(telling(2), request_id))
            await anyio.sleep(60)
            await post(renamed(telling(3), request_id))
            await anyio.sleep(60)
        data = [line[6:] for line in events.text.splitlines() if line.startswith("data: {")]
        told = [(each["id"], "result" in each) for each in answers(data)]
        assert told == [(0, True), (None, False), (1, True), (request_id, True)]
