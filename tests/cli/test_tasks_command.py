"""`runapi-mcp tasks`: what a person in a terminal is shown of the ledger, and fetches from it."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import anyio.to_thread
import pytest

from tests.support.install_world import TYPED
from tests.support.ledgers import answers, other
from tests.support.processes import (
    DRAW,
    LIMIT_SECONDS,
    SLOW,
    Network,
    call,
    finished,
    network,
    opening,
    program,
)

pytestmark = pytest.mark.anyio
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")


@dataclass(frozen=True, slots=True)
class Terminal:
    """A person's, beside a server that orders for them."""

    net: Network
    environment: Mapping[str, str]
    ledger: Path

    async def ordered(self, prompt: str, count: int = 1) -> str:
        """The id of the last task whose call did not wait for it."""
        asked = {"prompt": prompt, "count": count, "wait_seconds": 0}
        async with program(environment=self.environment) as running:
            await answers(running, (DRAW, asked))
        return list(self.net.account().tasks)[-1]

    async def tasks(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What the command says."""
        command = partial(finished, "tasks", *arguments, environment=self.environment)
        return await anyio.to_thread.run_sync(command)

    async def listed(self) -> list[dict[str, Any]]:
        """All that it knows."""
        found: list[dict[str, Any]] = json.loads((await self.tasks("--json")).stdout)
        return found


@asynccontextmanager
async def terminal(folder: Path) -> AsyncGenerator[Terminal]:
    """Whose pictures and ledger are in this folder."""
    ledger = folder / "ledger.sqlite3"
    places = {"RUNAPI_LEDGER": str(ledger), "RUNAPI_OUTPUT_DIR": str(folder / "pictures")}
    async with network() as net:
        yield Terminal(net, {**net.environment(), **places}, ledger)


@IN_REAL_TIME
async def test_a_picture_that_was_fetched_here_was_seen(tmp_path: Path) -> None:
    async with terminal(tmp_path) as at:
        task_id = await at.ordered("a fox")
        fetched = await at.tasks(task_id)
        assert (fetched.returncode, fetched.stderr) == (0, "")
        assert fetched.stdout.startswith(f"image_paths:\n- {tmp_path}/pictures/")
        assert "completed, not seen yet" not in (await at.tasks()).stdout
        [entry] = await at.listed()
        assert entry["handed_over_at"] is not None


@IN_REAL_TIME
async def test_each_of_several_pictures_is_listed_and_fetched_by_its_own_task(
    tmp_path: Path,
) -> None:
    async with terminal(tmp_path) as at:
        last = await at.ordered("foxes", count=3)
        ids = list(at.net.account().tasks)
        assert [entry["task_id"] for entry in await at.listed()] == ids
        assert [(each["number"], each["count"]) for each in await at.listed()] == [
            (number, 3) for number in (1, 2, 3)
        ]
        listed = (await at.tasks()).stdout
        assert all(task_id in listed for task_id in ids)
        fetched = json.loads((await at.tasks(last, "--json")).stdout)
        assert fetched["task_ids"] == ids
        [path] = fetched["image_paths"]
        assert path.endswith("-3.png")
        assert all(entry["handed_over_at"] is None for entry in await at.listed())


@IN_REAL_TIME
async def test_a_failed_task_is_told_by_the_status_too(tmp_path: Path) -> None:
    async with terminal(tmp_path) as at:
        fetched = await at.tasks(await at.ordered("a fox [[fail: no foxes]]"))
        assert (fetched.returncode, fetched.stderr) == (1, "")
        assert 'says: "no foxes"' in fetched.stdout


@IN_REAL_TIME
async def test_a_list_says_why_a_task_failed_in_local_time_and_what_was_spent(
    tmp_path: Path,
) -> None:
    async with terminal(tmp_path) as at:
        await at.tasks(await at.ordered("a fox [[fail: no foxes]]"))
        for prompt in ("an owl", "an elk"):
            await at.tasks(await at.ordered(prompt))
        with other(at.ledger) as earlier:
            month = "begun_at = begun_at - 3000000, made_at = made_at - 3000000"
            earlier.execute(f"UPDATE calls SET {month} WHERE arguments LIKE '%elk%'")  # noqa: S608 - words of ours
        there = {**at.environment, "TZ": "Pacific/Kiritimati"}
        run = partial(finished, "tasks", environment=there)
        listed = (await anyio.to_thread.run_sync(run)).stdout.splitlines()
        [newest, *_] = await at.listed()
    begun_at = datetime.fromtimestamp(newest["begun_at"], ZoneInfo("Pacific/Kiritimati"))
    assert listed[0].startswith(f"{begun_at:%Y-%m-%d %H:%M}  completed ")
    assert '  RunAPI\'s sandbox says: "no foxes"' in listed
    assert listed[-1] == "Spent today $0.05, this month $0.05."


@IN_REAL_TIME
async def test_a_running_task_says_what_to_type_next(tmp_path: Path) -> None:
    async with terminal(tmp_path) as at:
        task_id = await at.ordered("a fox [[never]]")
        fetched = await at.tasks(task_id)
        assert fetched.returncode == 0
        assert fetched.stdout.splitlines()[-2] == (
            f"next: `{TYPED} tasks {task_id}` fetches the image once it is drawn, and costs "
            "nothing."
        )


def lose_the_tasks(ledger: Path) -> None:
    """As if nobody knew whether RunAPI made them, two days after it was asked for the owl."""
    with other(ledger) as spoiler:
        lost = "status = 'intended', task_id = NULL, sends_out = 0 WHERE task_id IS NOT NULL"
        spoiler.execute(f"UPDATE calls SET {lost}")  # noqa: S608 - words of ours
        old = "begun_at = begun_at - 172800 WHERE arguments LIKE '%owl%'"
        spoiler.execute(f"UPDATE calls SET {old}")  # noqa: S608 - words of ours


@IN_REAL_TIME
async def test_calls_without_a_task_say_how_they_stand_and_what_the_same_call_does(
    tmp_path: Path,
) -> None:
    async with terminal(tmp_path) as at:
        await at.ordered("an owl")
        await at.ordered("a fox")
        async with program(environment=at.environment) as running:
            await running.write(*opening("auto"), call(1, "auto", SLOW))
            await at.net.next_paid_request()
            lose_the_tasks(at.ledger)
            begin = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d  ", re.MULTILINE)
            slow, fox, owl = begin.split((await at.tasks()).stdout)[1:]
    assert slow.startswith("being ordered ")
    assert "It is being ordered just now;" in slow
    assert fox.startswith("in doubt ")
    assert "the next paid call asks about it" in fox
    assert owl.startswith("in doubt ")
    assert "the same call asks about it under its key" in owl


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"RUNAPI_LEDGER": "off"}, "RUNAPI_LEDGER is off"),
        ({"RUNAPI_SANDBOX": "1"}, "RUNAPI_SANDBOX is on"),
    ],
)
@pytest.mark.parametrize(("arguments", "stdout"), [([], ""), (["--json"], "[]\n")])
def test_that_no_ledger_is_kept_is_not_told_as_an_empty_one(
    environment: dict[str, str], why: str, arguments: list[str], stdout: str
) -> None:
    told = finished("tasks", *arguments, environment=environment)
    assert (told.returncode, told.stdout) == (0, stdout)
    assert told.stderr == f"No ledger is kept on the disk: {why}.\n"


@IN_REAL_TIME
async def test_a_prompt_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    async with terminal(tmp_path) as at:
        await at.ordered("a fox\x1b[2J\x1b]0;gone\x07\u202e")
        listed = (await at.tasks()).stdout
        assert "a fox [2J ]0;gone\n" in listed
        assert all(line.isprintable() for line in listed.split("\n"))


@LINUX
@pytest.mark.parametrize("command", [["tasks"], ["tasks", "--json"], ["demo", "--no-remix"]])
def test_an_answer_that_cannot_be_printed_is_said_in_a_sentence(command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(  # noqa: S603 - this very program
            [sys.executable, "-m", "runapi_mcp", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    assert ended.stderr == (
        "runapi-mcp: The answer could not be printed (No space left on device). Send it "
        "elsewhere.\n"
    )
    assert ended.returncode == 1
