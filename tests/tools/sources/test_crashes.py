"""Whoever leaves or dies while a file is uploaded has paid nothing, and the next call pays once."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import anyio
import pytest

from runapi_mcp.orders.ledger.rules import NEVER_SENT_SECONDS
from runapi_mcp.orders.limits import Limits
from runapi_mcp.providers.runapi.provider import RunapiProvider
from runapi_mcp.sandbox.faults import Where
from tests.support.fork_server import Start
from tests.support.killing import FORKS, End, conversation
from tests.support.ledgers import ledger_at, other
from tests.support.photos import REMIX, STEPS, URL, asking, assert_free, photo, remixing
from tests.support.processes import (
    LIMIT_SECONDS,
    SIGNALS,
    Network,
    network,
    opening,
    program,
    request,
    until,
)
from tests.support.steps import moments, name
from tests.support.world import ERAS, facts, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
QUICK = "a fox [[poll-after 0.05s]]"
STEP_PATHS = {"prepare": "/files/prepare", "upload": "/uploads/", "confirm": "/files/confirm"}
AT_ONCE = 6


@ERA
@pytest.mark.parametrize("step", STEPS)
async def test_a_call_cancelled_while_it_uploads_leaves_nothing(
    era: str, step: Where, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era, limits=Limits(per_day_cents=100)) as w:
        w.sandbox.faults.inject(step, "slow", seconds=15)
        with anyio.move_on_after(5):
            await w.call(REMIX, asking(fox))
        await anyio.sleep(30)
        await assert_free(w)
        again = facts(await w.call(REMIX, asking(fox)))
        assert "joined" not in again
        assert again["left_today_cents"] == 95
        assert (w.task_count, w.spent_cents) == (1, 5)


@pytest.mark.parametrize("step", STEPS)
async def test_what_a_call_has_reserved_that_died_uploading_is_free_after_a_quarter_of_an_hour(
    step: Where, tmp_path: Path, fox: Path
) -> None:
    path, limits = tmp_path / "ledger", Limits(per_day_cents=5)
    async with ledger_at(path) as ledger, remixing(tmp_path, ledger=ledger, limits=limits) as w:
        await w.call("list_tasks")
        w.sandbox.faults.inject(step, "slow", seconds=15)
        with other(path) as spoiler, anyio.move_on_after(5):
            # It dies, and writes nothing any more.
            spoiler.execute(
                "CREATE TRIGGER dead BEFORE UPDATE ON calls BEGIN SELECT RAISE(ABORT, 'dead'); END"
            )
            await w.call(REMIX, asking(fox))
        await anyio.sleep(15)
        with other(path) as mender:
            mender.execute("DROP TRIGGER dead")
        assert "reserved $0.05" in said(await w.call(REMIX, asking(URL)))
        await anyio.sleep(NEVER_SENT_SECONDS)
        assert facts(await w.call(REMIX, asking(URL)))["status"] == "completed"
        assert facts(await w.call("list_tasks", {"show": "undelivered"}))["tasks"] == []


async def test_a_call_whose_like_died_while_it_uploaded_is_in_no_doubt(
    tmp_path: Path, fox: Path
) -> None:
    path, arguments = tmp_path / "ledger", asking(fox, prompt="a fox [[402]]")
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        remixing(tmp_path, ledger=first) as dying,
        remixing(tmp_path, ledger=second, sandbox=dying.sandbox) as living,
        anyio.create_task_group() as group,
    ):
        dying.sandbox.faults.inject("upload", "slow", seconds=15)
        group.start_soon(dying.call, REMIX, arguments)
        await anyio.sleep(5)
        await first.aclose()
        refused = await living.call(REMIX, arguments)
        assert "Nothing was paid." in said(refused)
        assert facts(await living.call("list_tasks"))["tasks"] == []
        group.cancel_scope.cancel()


@SIGNALS
@IN_REAL_TIME
@pytest.mark.parametrize("step", STEPS)
async def test_killed_while_it_uploads_the_same_call_pays_once(
    step: Where, tmp_path: Path, fox: Path
) -> None:
    async with network() as net:
        settings = net.environment() | {
            "RUNAPI_LEDGER": str(tmp_path / "ledger"),
            "RUNAPI_INPUT_DIRS": str(fox.parent),
            "RUNAPI_DAILY_BUDGET": "0.05",
            "RUNAPI_SAVE": "off",
        }
        net.sandbox.faults.inject(step, "slow", seconds=60)
        async with program(environment=settings) as dying:
            await dying.write(*opening("auto"), remix_on_the_wire(fox))
            await until(lambda: any(STEP_PATHS[step] in path for _, path in net.asked))
            dying.process.send_signal(signal.SIGKILL)
            await dying.process.wait()
        assert net.account().tasks == {}
        async with program(environment=settings) as next_one:
            await next_one.write(*opening("auto"), remix_on_the_wire(fox))
            answer = await next_one.answer(1)
        assert answer["structuredContent"]["status"] == "completed", answer
        assert answer["structuredContent"]["left_today_cents"] == 0
        assert (len(net.account().tasks), net.account().spent_cents) == (1, 5)


def remix_on_the_wire(path: Path, number: int = 1) -> str:
    arguments = asking(path, prompt=QUICK)
    return request(number, "tools/call", "auto", name=REMIX, arguments=arguments)


@FORKS
@IN_REAL_TIME
@pytest.mark.parametrize("keeps_prompts", [True, False])
async def test_a_doubt_is_settled_though_its_file_is_gone_or_its_prompt_was_not_kept(
    keeps_prompts: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    fox: Path,
) -> None:
    async with network() as net:
        settings = net.environment() | {
            "RUNAPI_LEDGER": str(tmp_path / "ledger"),
            "RUNAPI_LEDGER_PROMPTS": "on" if keeps_prompts else "off",
            "RUNAPI_INPUT_DIRS": str(fox.parent),
            "RUNAPI_SAVE": "off",
        }
        net.sandbox.faults.inject("created", "slow", seconds=60)
        async with program(environment=settings) as dying:
            await dying.write(*opening("auto"), remix_on_the_wire(fox))
            await until(lambda: bool(net.account().tasks))
            dying.process.send_signal(signal.SIGKILL)
            await dying.process.wait()
        async with program(environment=settings, send_seconds=0) as next_one:
            await next_one.write(*opening("auto"))
            if keeps_prompts:
                fox.unlink()  # noqa: ASYNC240 - nobody else is waiting
                asked = {"task_id": "00000000-0000-4000-8000-000000000000", "wait_seconds": 0}
                await next_one.write(
                    request(1, "tools/call", "auto", name="get_task", arguments=asked)
                )
            else:
                await next_one.write(remix_on_the_wire(fox))
            await next_one.answer(1)
            await until(lambda: net.paid_requests() == 2)
            [task_id] = net.account().tasks
            number = 2
            await next_one.write(request(number, "tools/call", "auto", name="list_tasks"))
            while task_id not in (await next_one.answer(number))["content"][0]["text"]:
                number += 1
                await next_one.write(request(number, "tools/call", "auto", name="list_tasks"))
        assert net.account().spent_cents == 5


@dataclass(frozen=True, slots=True)
class Machine:
    """A user's machine with a photo, and a RunAPI that only this user knows."""

    net: Network
    home: Path

    async def end(self, *, log: bool = False, last_step: str | None = None) -> End:
        steps = str(self.home / "steps") if log or last_step else None
        folder = self.home / "photos"
        environment = os.environ | self.net.environment() | {
            "HOME": str(self.home), "RUNAPI_INPUT_DIRS": str(folder), "RUNAPI_SAVE": "off",
            "RUNAPI_DAILY_BUDGET": "0.05",
        }  # fmt: skip
        call = remix_on_the_wire(folder / "fox.png")
        with anyio.fail_after(LIMIT_SECONDS):
            start = Start.here(environment=environment)
            watched = replace(start, log=steps, last_step=last_step)
            return await conversation(watched, opening("auto"), [call])


def of_the_upload(way: Sequence[str]) -> Sequence[str]:
    """Every third step, by its name, between the call's intent and the request that pays."""
    began = next(n for n, step in enumerate(way) if "upload_sources" in step)
    paying = next(n for n, step in enumerate(way) if name(RunapiProvider.create) in step)
    return [step for step in way[began:paying] if crc32(step.encode()) % 3 == 0]


@FORKS
@IN_REAL_TIME
@pytest.mark.exhaustive
async def test_killed_at_any_step_of_an_upload_the_same_call_pays_once(tmp_path: Path) -> None:
    outcomes: dict[str, tuple[int, int, int]] = {}
    room = anyio.Semaphore(AT_ONCE)

    async def kill(step: str, number: int) -> None:
        async with room, network() as net:
            machine = Machine(net, tmp_path / str(number))
            photo(machine.home / "photos" / "fox.png")
            end = await machine.end(last_step=step)
            if end.status == -signal.SIGKILL:
                answer = (await machine.end()).answers[-1]["result"]
                images = len(answer.get("structuredContent", {}).get("image_urls", ()))
                outcomes[step] = images, len(net.account().tasks), net.account().spent_cents

    async with network() as net:
        first = Machine(net, tmp_path / "first")
        photo(first.home / "photos" / "fox.png")
        await first.end(log=True)
    way = (first.home / "steps").read_text().splitlines()
    steps = [each for each in of_the_upload(moments(way)) if each.endswith(" 1")]
    async with anyio.create_task_group() as group:
        for number, step in enumerate(steps):
            group.start_soon(kill, step, number)
    assert {step: outcome for step, outcome in outcomes.items() if outcome != (1, 1, 5)} == {}
    assert len(outcomes) >= 7
