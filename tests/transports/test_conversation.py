"""A conversation over two streams: which answers count as out, and when a request came."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCResponse, jsonrpc_message_adapter

from runapi_mcp.transports.conversation import converse
from tests.support.processes import cancellation, opening, request
from tests.support.telling_server import TOOL, telling_server
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import ERAS

pytestmark = pytest.mark.anyio


@dataclass
class SlowWriter:
    """A stdout whose reader takes a while for each message; what has left is not torn."""

    seconds: float
    log: list[tuple[str, int]]
    _turns: anyio.Lock = field(default_factory=anyio.Lock)

    async def send(self, item: SessionMessage) -> None:
        async with self._turns:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(self.seconds)
        if isinstance(item.message, JSONRPCResponse):
            self.log.append(("sent", int(item.message.id or 0)))

    async def aclose(self) -> None:
        pass


@dataclass
class Talk:
    """What a client says, and what became of it."""

    era: str
    log: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Which answers were sent, and which were confirmed."""
    confirmed_at: dict[int, float] = field(default_factory=dict[int, float])
    came: dict[int, float] = field(default_factory=dict[int, float])
    _send: MemoryObjectSendStream[Any] | None = None

    async def say(self, *lines: str) -> None:
        assert self._send is not None
        for line in lines:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            await self._send.send(SessionMessage(message))

    async def call(self, number: int, **arguments: float) -> None:
        """Call, with the request's id for a number."""
        asked = {"number": number, **arguments}
        await self.say(request(number, "tools/call", self.era, name=TOOL, arguments=asked))

    def hear(self, number: int) -> None:
        """An answer was confirmed."""
        self.log.append(("confirmed", number))
        self.confirmed_at[number] = anyio.current_time()

    @property
    def confirmed(self) -> list[int]:
        return sorted(number for what, number in self.log if what == "confirmed")

    def assert_none_early(self) -> None:
        for place, (what, number) in enumerate(self.log):
            assert what == "sent" or ("sent", number) in self.log[:place]


@asynccontextmanager
async def talking(era: str, writer_seconds: float = 0.0) -> AsyncGenerator[Talk]:
    send, receive = anyio.create_memory_object_stream[Any](100)
    talk = Talk(era, _send=send)
    server = telling_server(talk.hear, talk.came.__setitem__)
    async with anyio.create_task_group() as group, send:
        group.start_soon(converse, server, receive, SlowWriter(writer_seconds, talk.log))
        await talk.say(*opening(era))
        yield talk


async def settled() -> None:
    await anyio.sleep(600)


@pytest.mark.parametrize("era", ERAS)
async def test_forty_calls_at_once_are_each_confirmed_when_their_own_answer_is_out(
    era: str,
) -> None:
    async with talking(era, writer_seconds=1) as talk:
        for number in range(1, 41):
            await talk.call(number, words=2)
        await anyio.sleep(3.5)
        for number in range(1, 11):  # each waits to say its first word
            await talk.say(cancellation(number))
        await settled()
        talk.assert_none_early()
        assert talk.confirmed == list(range(11, 41))


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_cancelled_before_it_is_out_is_not_confirmed_by_the_next_of_its_name(
    era: str,
) -> None:
    async with talking(era, writer_seconds=1) as talk:
        await talk.call(1)
        await talk.call(2)
        await anyio.sleep(1.5)  # the opening's answer is out, and one of the two on its way
        await talk.say(cancellation(1), cancellation(2))
        await settled()
        await talk.say(request(1, "ping", "legacy"), request(2, "ping", "legacy"))
        await settled()
        assert talk.confirmed == []


@pytest.mark.parametrize("era", ERAS)
async def test_an_id_is_free_as_soon_as_its_answer_may_be_read(era: str) -> None:
    async with talking(era, writer_seconds=1) as talk:
        await talk.call(1)
        await anyio.sleep(1.5)  # the opening's answer is out, and this one on its way
        await talk.call(1)
        await settled()
        assert talk.log.count(("sent", 1)) == 2
        assert talk.confirmed == [1, 1]


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: when it comes, how long it takes, and when it is cancelled if it is."""

    at: int
    seconds: int
    words: int
    cancelled_after: int | None


PLANS = st.lists(
    st.builds(
        Plan, st.integers(0, 6), st.integers(0, 6), st.integers(0, 3), st.none() | st.integers(0, 9)
    ),
    min_size=1,
    max_size=8,
)


@given(era=st.sampled_from(ERAS), plans=PLANS, writer_seconds=st.sampled_from([0, 0.5, 1, 3]))
def test_however_calls_and_cancellings_fall_an_answer_is_confirmed_after_it_is_out(
    era: str, plans: list[Plan], writer_seconds: float
) -> None:
    async def tell() -> None:
        async with talking(era, writer_seconds) as talk, anyio.create_task_group() as group:
            for number, plan in enumerate(plans, 1):
                group.start_soon(follow, talk, number, plan)
            await settled()
            talk.assert_none_early()
            assert len(set(talk.confirmed)) == len(talk.confirmed)
            for number, plan in enumerate(plans, 1):
                confirmed_at = talk.confirmed_at.get(number, math.inf)
                if plan.cancelled_after is None:
                    assert confirmed_at < math.inf
                elif confirmed_at < math.inf:
                    assert confirmed_at <= plan.at + plan.cancelled_after

    anyio.run(tell, backend="asyncio", backend_options={"loop_factory": VirtualTimeLoop})


async def follow(talk: Talk, number: int, plan: Plan) -> None:
    await anyio.sleep(plan.at)
    await talk.call(number, seconds=plan.seconds, words=plan.words)
    if plan.cancelled_after is not None:
        await anyio.sleep(plan.cancelled_after)
        await talk.say(cancellation(number))


@pytest.mark.parametrize("era", ERAS)
async def test_a_request_came_when_it_was_read_however_long_it_takes(era: str) -> None:
    async with talking(era) as talk, anyio.create_task_group() as group:
        for number in (1, 2, 3):
            group.start_soon(partial(follow, talk, number, Plan(number, 9 - number, 0, None)))
        await settled()
        assert talk.came == {1: 1, 2: 2, 3: 3}
