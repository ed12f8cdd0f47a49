"""Real processes: the SDK's server comes in at any byte, and the end comes at any moment."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

import anyio
import pytest

from tests.support.processes import (
    ENDLESS,
    LIMIT_SECONDS,
    SIGNALS,
    Program,
    call,
    cancellation,
    finished,
    network,
    opening,
    program,
    request,
    run_alone,
)
from tests.support.world import ERAS

pytestmark = pytest.mark.anyio

ERA = pytest.mark.parametrize("era", ERAS)
ON: Mapping[str, str] = {}
OFF: Mapping[str, str] = {"RUNAPI_MCP_FRONT": "off"}
NO_MODULES = """
import sys
from runapi_mcp.__main__ import main
sys.argv[1:] = []
main()
print(*sorted(sys.modules), file=sys.stderr)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def said(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def pipelined(era: str) -> list[str]:
    """A host's start, calls and more questions, written without a look at the answers."""
    return [
        *opening(era),
        request(1, "tools/list", era),
        request(2, "prompts/list", era),
        request(3, "resources/list", era),
        request(4, "tools/call", era, name="list_tasks", arguments={}),
        request(5, "tools/list", era),
    ]


async def write(running: Program, data: bytes) -> None:
    assert running.process.stdin is not None
    await running.process.stdin.send(data)


async def answers(running: Program, numbers: Sequence[int]) -> dict[int, object]:
    return {number: await running.answer(number) for number in numbers}


@ERA
@pytest.mark.parametrize("environment", [ON, OFF], ids=["front", "off"])
async def test_whatever_is_pipelined_is_answered_once(
    era: str, environment: Mapping[str, str]
) -> None:
    async with program("--sandbox", environment=environment) as running:
        await running.write(*pipelined(era))
        found = await answers(running, range(6))
        assert found[1] == found[5]
        assert [json.loads(line)["id"] for line in running.stdout.seen[:3]] == [0, 1, 2]
        await running.close_stdin()
        assert await running.end() == 0
    assert len(running.stdout.seen) == 6


@ERA
async def test_it_is_the_same_wherever_the_bytes_are_parted(era: str) -> None:
    data = said([*pipelined(era)[:-3], request(3, "resources/list", era)])
    start = len(said(opening(era)))
    cuts = {1, start - 1, start, start + 1, data.index(b"prompts/"), len(data) - 40, len(data) - 1}
    seen: list[list[str]] = []
    for cut in sorted(cuts):
        async with program(environment={"RUNAPI_BASE_URL": "http://127.0.0.1:9"}) as running:
            await write(running, data[:cut])
            await anyio.sleep(0.01)
            await write(running, data[cut:])
            await answers(running, range(4))
        seen.append(running.stdout.seen)
    assert seen == [seen[0]] * len(cuts)


@ERA
async def test_a_call_that_is_cancelled_while_the_server_comes_in_is_not_answered(era: str) -> None:
    async with network() as net, program(environment=net.environment()) as running:
        asking = [*opening(era), request(1, "tools/list", era)]
        await running.write(*asking, call(2, era, ENDLESS), cancellation(2))
        await running.write(request(3, "resources/list", era))
        await running.answer(3)
        assert not [line for line in running.stdout.seen if '"id":2' in line]


@ERA
async def test_an_id_may_be_used_again_by_what_needs_the_server(era: str) -> None:
    async with program("--sandbox") as running:
        await running.write(*opening(era))
        await running.answer(0)
        await running.write(request(0, "resources/list", era))
        line = await running.stdout.holding('"id":0', skipped=1)
        assert "ui://runapi/gallery.html" in line


async def test_what_a_host_said_of_itself_is_known_after_the_hand_over() -> None:
    said_first = json.loads(opening("legacy")[0])
    said_first["params"]["capabilities"] = {"elicitation": {}}
    async with program("--sandbox", environment={"RUNAPI_CONFIRM_OVER": "0.01"}) as running:
        await running.write(json.dumps(said_first), *opening("legacy")[1:])
        await running.answer(0)
        await running.write(call(1, "legacy", "a fox"))
        await running.stdout.holding('"method":"elicitation/create"')


@pytest.mark.parametrize("cut", [0, 1, 60, -1, None])
@ERA
def test_the_end_of_its_input_ends_it_at_every_byte(era: str, cut: int | None) -> None:
    data = said([*opening(era), request(1, "tools/list", era)])[:cut]
    ran, without = (finished(stdin=data, environment=each) for each in (ON, OFF))
    assert (ran.returncode, ran.stderr) == (without.returncode, without.stderr)
    assert ran.returncode == 0


@SIGNALS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [[], [request(1, "resources/list", "legacy")]], ids=["idle", "in"])
async def test_a_signal_ends_it_before_and_while_the_server_comes_in(
    number: signal.Signals, more: list[str]
) -> None:
    async with program() as running:
        await running.write(*opening("legacy"), *more)
        await running.answer(0)
        running.process.send_signal(number)
        assert await running.end() == 0
        assert running.stderr.seen == []


@SIGNALS
async def test_a_host_that_reads_nothing_and_leaves_ends_it() -> None:
    reading, writing = os.pipe()
    try:
        async with program(stdout=os.dup(writing)) as running:
            asking = [request(number, "tools/list", "auto") for number in range(1, 9)]
            await running.write(*asking)
            await running.close_stdin()
            assert await running.end() == 0
    finally:
        os.close(reading)
        os.close(writing)


@SIGNALS
async def test_a_host_that_reads_no_more_ends_it() -> None:
    reading, writing = os.pipe()
    async with program(stdout=os.dup(writing)) as running:
        os.close(writing)
        os.close(reading)
        await running.write(*opening("auto"))
        assert await running.end() == 0
        assert running.stderr.seen == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"RUNAPI_DAILY_BUDGET": "a lot"}, "RUNAPI_DAILY_BUDGET is not an amount"),
        ({"RUNAPI_DAILY_BUDGET": "${input:max}"}, "holds a placeholder"),
        ({"RUNAPI_DALY_BUDGET": "2"}, "did you mean RUNAPI_DAILY_BUDGET?"),
        ({"RUNAPI_VARIANTS": "ultra"}, "RUNAPI_VARIANTS names ultra"),
        ({"RUNAPI_MCP_FRONT": "perhaps"}, "RUNAPI_MCP_FRONT is neither on nor off"),
    ],
)
def test_a_setting_that_stops_the_server_is_told_before_any_answer(
    environment: Mapping[str, str], told: str
) -> None:
    ran = finished(environment=environment, stdin=said(opening("legacy")))
    assert told in ran.stderr
    assert (ran.stdout, ran.returncode) == ("", 2)


@pytest.mark.parametrize(
    "environment",
    [
        {"RUNAPI_API_KEY": "${RUNAPI_API_KEY}"},
        {"RUNAPI_VARIANT": "pro"},
        {"RUNAPI_BUDGET_TIMEZONE": "Europe/Nowhere"},
    ],
)
async def test_what_a_person_should_hear_is_told_before_the_first_answer(
    environment: Mapping[str, str],
) -> None:
    async with program(environment=environment) as running:
        await running.stderr.holding("runapi-mcp: ")
        await running.write(*opening("legacy"))
        await running.answer(0)


def test_an_idle_server_has_loaded_the_standard_library_alone() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-c", NO_MODULES],
        input=said([*opening("legacy"), request(1, "tools/list", "legacy")]),
        env=environment,
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in ran.stderr.decode().split()}
    kept_out = {"anyio", "asyncio", "click", "dataclasses", "httpx", "mcp", "pydantic", "threading"}
    assert loaded.isdisjoint(kept_out)
    assert len(ran.stdout.splitlines()) == 2


def test_completions_are_not_taken_for_a_host() -> None:
    asked = {**os.environ, "_RUNAPI_MCP_COMPLETE": "bash_complete", "COMP_WORDS": "runapi-mcp do"}
    ran = run_alone([], {**asked, "COMP_CWORD": "1"})
    assert "doctor" in ran.stdout
