"""Over stdio, as most hosts start it: one process, two pipes, and signals."""

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BufferedReader
from typing import Any, cast

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp import Client

from runapi_mcp.base.catalog import VARIANTS
from tests.support.processes import (
    DRAW,
    ENDING,
    ENDLESS,
    LATE,
    LIMIT_SECONDS,
    SIGNALS,
    SLOW,
    Heard,
    Network,
    Program,
    assert_progress,
    call,
    cancellation,
    draw,
    network,
    opening,
    program,
    request,
    stdio_server,
)
from tests.support.telling_server import PIPE_BYTES, TOOL
from tests.support.world import ERAS, facts

pytestmark = pytest.mark.anyio

TOOLS = [
    *(variant.tool_name for variant in VARIANTS),
    "get_task",
    "list_tasks",
    "check_pricing",
    "check_balance",
    "convert_image",
    "login",
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def idle(program: Program, _: Network, era: str) -> None:
    await program.write(*opening(era))
    await program.stdout.holding('"id":0')


async def waiting(program: Program, _: Network, era: str) -> None:
    await program.write(*opening(era), call(1, era, ENDLESS))
    await program.stdout.holding("notifications/progress")


async def paying(program: Program, net: Network, era: str) -> None:
    await program.write(*opening(era), call(1, era, SLOW))
    await net.next_paid_request()


Doing = Callable[[Program, Network, str], Awaitable[None]]
ERA = pytest.mark.parametrize("era", ERAS)


@ERA
async def test_a_picture_is_drawn_with_progress(era: str) -> None:
    heard: list[Heard] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with network() as net, Client(stdio_server(net), mode=era) as client:
        result = await draw(client, on_progress=on_progress)
        assert facts(result)["status"] == "completed"
        assert net.account().spent_cents == 5
        assert_progress(heard)


@pytest.mark.parametrize(
    ("doing", "era"),
    [(idle, "auto"), (waiting, "auto"), (waiting, "legacy"), (paying, "auto")],
)
async def test_the_end_of_its_input_ends_it(doing: Doing, era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await doing(running, net, era)
        await running.close_stdin()
        assert await running.end() == 0
        assert running.stderr.seen == net.farewells()
        assert net.paid_requests() <= 1  # it did not stay to ask again


@SIGNALS
@pytest.mark.parametrize(
    ("doing", "number"),
    [
        (idle, signal.SIGTERM),
        (waiting, signal.SIGTERM),
        (waiting, signal.SIGINT),
        (paying, signal.SIGTERM),
    ],
)
async def test_a_signal_ends_it(doing: Doing, number: signal.Signals) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await doing(running, net, "auto")
        running.process.send_signal(number)
        assert await running.end() == 0
        assert running.stderr.seen == net.farewells()
        assert net.paid_requests() <= 1  # it did not stay to ask again


@SIGNALS
async def test_a_task_made_while_it_ends_is_named_in_its_log() -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await running.write(*opening("auto"), call(1, "auto", ENDING))
        await net.next_paid_request()
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        assert len(net.account().tasks) == 1
        assert running.stderr.seen == net.farewells()


@asynccontextmanager
async def waiting_with_a_pipe(net: Network) -> AsyncGenerator[tuple[Program, BufferedReader]]:
    """A program in the middle of a wait, with a stdout that can be closed at the host's end."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stdout, os.fdopen(write, "wb") as other_end:
        async with program(environment=net.environment(), stdout=write) as running:
            other_end.close()
            await running.write(*opening("auto"), call(1, "auto", ENDLESS))
            heard = b""
            while b"notifications/progress" not in heard:
                await anyio.wait_readable(stdout)
                heard += os.read(read, 65536)
            yield running, stdout


async def test_a_host_that_stops_listening_ends_it() -> None:
    async with network() as net, waiting_with_a_pipe(net) as (running, stdout):
        stdout.close()
        # Whatever it says next cannot be said.
        await running.write(request(2, "tools/list", "auto"))
        assert await running.end() == 0
        assert running.stderr.seen == net.farewells()


async def test_a_host_that_dies_in_the_middle_of_a_wait_leaves_no_traceback() -> None:
    async with network() as net, waiting_with_a_pipe(net) as (running, stdout):
        stdout.close()
        await running.close_stdin()
        assert await running.end() == 0
        assert running.stderr.seen == net.farewells()


NOISE = (
    "",
    "noise",
    "\x00\ufffe",
    "{}",
    "[]",
    "null",
    '"tools/list"',
    "[" * 100_000,
    "x" * 5_000_000,
    '{"jsonrpc": "2.0", "id": null, "method": "tools/list"}',
    '{"jsonrpc": "2.0", "id": true, "method": 5}',
    '{"jsonrpc": "2.0", "id": 5, "result": {}}',
    '{"jsonrpc": "2.0", "method": "notifications/unheard"}',
)
"""What is no request at all; it is read and forgotten."""


@ERA
async def test_stdout_carries_one_answer_a_request_and_nothing_else(era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await running.write(*opening(era))
        await running.stdout.holding('"id":0')
        await running.write(
            *NOISE,
            '{"jsonrpc": "1.0", "id": 6, "method": "tools/list"}',
            '{"jsonrpc": "2.0", "id": 7, "method": 5}',
            request(1, "tools/call", era, name="nothing"),
            request(2, "no/such/method", era),
            request(3, "tools/call", era, name=DRAW, arguments={"prompt": "x" * 5_000_000}),
            request(4, "tools/call", era, name=DRAW, arguments=["a fox"]),
            request(5, "tools/list", era),
        )
        await running.stdout.holding('"id":5')
        await running.close_stdin()
        assert await running.end() == 0
        messages = [cast("dict[str, Any]", json.loads(line)) for line in running.stdout.seen]
        answers = {message["id"]: message for message in messages if "id" in message}
        assert len(messages) == len(answers) == 8
        assert {
            number: answer.get("error", {}).get("code") for number, answer in answers.items()
        } == {
            0: None,
            1: -32602,
            2: -32601,
            3: None,
            4: -32602,
            5: None,
            6: -32600,
            7: -32600,
        }
        assert [tool["name"] for tool in answers[5]["result"]["tools"]] == TOOLS


@ERA
async def test_a_cancelled_wait_stops_looking(era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await waiting(running, net, era)
        await running.write(cancellation(1))
        await running.stderr.holding("stopped waiting")
        [endless] = net.account().tasks
        looks = net.looks(endless)
        await running.write(call(2, era, LATE))
        await running.answer(2)
        assert net.looks(endless) == looks


@ERA
async def test_a_cancelled_create_is_carried_through_once_and_its_task_named(era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await running.write(*opening(era), call(1, era, "a fox [[slow 0.3s]]"))
        await net.next_paid_request()
        await running.write(cancellation(1))
        line = await running.stderr.holding("task")
        [task_id] = net.account().tasks
        assert line == f"runapi-mcp: stopped waiting; task {task_id} goes on, and get_task finds it"
        assert net.account().spent_cents == 5
        assert net.paid_requests() == 1


@ERA
async def test_a_request_that_cannot_be_read_is_answered_with_what_is_wrong(era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        await running.write(*opening(era))
        await running.stdout.holding('"id":0')
        await running.write(
            call(1, era, "half an emoji \ud83d"),
            request(3, "tools/list", era),
        )
        await running.stdout.holding('"id":3')
        answers = [cast("dict[str, Any]", json.loads(line)) for line in running.stdout.seen]
        errors = {answer["id"]: answer["error"] for answer in answers if "error" in answer}
        assert {number: error["code"] for number, error in errors.items()} == {1: -32700}
        assert "cut inside an emoji" in errors[1]["message"]
        assert net.account().spent_cents == 0


async def test_with_a_reader_that_dawdles_each_answer_is_confirmed_when_it_is_out() -> None:
    """An answer is more than a pipe holds, so that it is not out before its reader has begun it."""
    process = await anyio.open_process([sys.executable, "-m", "tests.support.telling_server"])
    async with process, anyio.create_task_group() as group:
        running = Program(process)
        assert process.stdout is not None
        assert process.stderr is not None
        group.start_soon(running.stderr.collect, process.stderr)
        await running.write(*opening("legacy"), *(tell(number) for number in range(1, 41)))
        lines = BufferedByteReceiveStream(process.stdout)
        await read_answer(lines)
        # Some of those that wait to say a word are cancelled in the middle of it.
        await running.write(*(cancellation(number) for number in range(31, 41)))
        answered: list[int] = []
        while len(answered) < 30:
            answered.append(await read_answer(lines))
            await running.stderr.holding(f"out {answered[-1]}.")
            assert running.stderr.seen == [f"out {number}." for number in answered]
        await running.close_stdin()
        assert sorted(answered) == list(range(1, 31))


def tell(number: int) -> str:
    """A call with two words of progress and a long answer."""
    asked = {"number": number, "words": 2, "size": 2 * PIPE_BYTES}
    return request(number, "tools/call", "legacy", name=TOOL, arguments=asked)


async def read_answer(lines: BufferedByteReceiveStream) -> int:
    """The id of the next answer, and nothing read of what follows it but a little."""
    while True:
        with anyio.fail_after(LIMIT_SECONDS):
            line = await lines.receive_until(b"\n", 10 * PIPE_BYTES)
        message = json.loads(line)
        if "result" in message:
            return int(message["id"])
