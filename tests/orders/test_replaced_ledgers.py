"""A ledger's files that are moved, deleted or exchanged under servers that have them open."""

import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from tests.support.ledgers import ledger_at, other
from tests.support.photos import PAYING, REMIX, asking, photo, remixing
from tests.support.processes import Network, Program, network, opening, program, request
from tests.support.world import facts, said, world

DRAW = "flux_2_pro_text_to_image"
LEFT = 2
"""How many pictures the budget has left after the first."""

IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="no file goes there that is open"),
]


def beside(path: Path, *sides: str) -> list[Path]:
    return [path.with_name(f"{path.name}{side}") for side in sides]


def without_wal(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


def without_shared_memory(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


def alone(path: Path) -> None:
    for side in beside(path, "-wal", "-shm"):
        side.unlink()


def deleted(path: Path) -> None:
    path.unlink()


def all_deleted(path: Path) -> None:
    for each in beside(path, "", "-wal", "-shm"):
        each.unlink()


def in_a_renamed_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))


def exchanged_for_a_copy(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def restored_from_a_backup(path: Path) -> None:
    """One without calls."""
    with other(path) as ledger, closing(sqlite3.connect(":memory:")) as backup:
        ledger.backup(backup)
        backup.execute("DELETE FROM calls")
        backup.commit()
        backup.backup(ledger)


REPLACEMENTS = [
    (without_wal, LEFT),
    (without_shared_memory, LEFT),
    (alone, LEFT),
    (exchanged_for_a_copy, LEFT),
    (deleted, LEFT + 1),
    (all_deleted, LEFT + 1),
    (in_a_renamed_folder, LEFT + 1),
    (emptied, LEFT + 1),
    (restored_from_a_backup, LEFT + 1),
]


@dataclass(slots=True)
class Server:
    running: Program
    number: int = 0

    async def call(self, tool: str, arguments: dict[str, object] | None = None) -> str:
        self.number += 1
        await self.running.write(
            request(self.number, "tools/call", "auto", name=tool, arguments=arguments or {})
        )
        return (await self.running.answer(self.number))["content"][0]["text"]

    async def draw(self, prompt: str) -> str:
        return await self.call(DRAW, {"prompt": prompt, "wait_seconds": 0})


@asynccontextmanager
async def server(net: Network, path: Path) -> AsyncGenerator[Server]:
    budget = {"RUNAPI_LEDGER": str(path), "RUNAPI_DAILY_BUDGET": f"{0.05 * (LEFT + 1)}"}
    async with program(environment=net.environment() | budget) as running:
        await running.write(*opening("auto"))
        yield Server(running)
        await running.close_stdin()
        await running.end()


@IN_REAL_TIME
@pytest.mark.parametrize(("replaced", "can_pay"), REPLACEMENTS)
async def test_two_servers_go_on_in_the_ledger_that_others_open(
    replaced: Callable[[Path], None], can_pay: int, tmp_path: Path
) -> None:
    path = tmp_path / "state" / "ledger"
    async with network() as net:
        async with server(net, path) as one, server(net, path) as two:
            await one.draw("a fox")
            await two.call("list_tasks")
            replaced(path)
            told = [await (one, two)[n % 2].draw(f"owl {n}") for n in range(LEFT + 2)]
            paid = [words for words in told if "over the day's budget" not in words]
            assert all("task_id: " in words for words in paid), told
            assert len(paid) == can_pay
            async with server(net, path) as third:
                assert "over the day's budget" in await third.draw("a hare")
        async with server(net, path) as last:
            listed = await last.call("list_tasks")
        paid_since = [*net.account().tasks][-can_pay:]
        assert [task_id in listed for task_id in paid_since] == [True] * can_pay
        assert net.paid_requests() == can_pay + 1


@IN_REAL_TIME
@pytest.mark.parametrize(("replaced", "can_pay"), REPLACEMENTS)
async def test_what_a_newcomer_pays_meanwhile_is_kept(
    replaced: Callable[[Path], None], can_pay: int, tmp_path: Path
) -> None:
    """Who was there before neither deletes nor overwrites it."""
    path = tmp_path / "state" / "ledger"
    async with network() as net:
        async with server(net, path) as one:
            await one.draw("a fox")
            replaced(path)
            async with server(net, path) as newcomer:
                told = await newcomer.draw("an owl")
            for number in range(LEFT + 1):
                await one.draw(f"hare {number}")
        assert ("task_id: " in told) or "moved or deleted while in use" in told
        async with server(net, path) as last:
            listed = await last.call("list_tasks")
            assert "over the day's budget" in await last.draw("a hare")
        _, *paid_since = net.account().tasks
        assert [task_id in listed for task_id in paid_since] == [True] * len(paid_since)
        assert len(paid_since) >= LEFT


@pytest.mark.parametrize("replaced", [deleted, all_deleted, emptied, restored_from_a_backup])
async def test_a_call_whose_row_is_gone_is_told_of_in_the_log_and_delivered(
    replaced: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:

        async def call() -> None:
            drawn.append(facts(await w.call(DRAW, {"prompt": "a fox [[slow 5s]]"})))

        drawn: list[dict[str, object]] = []
        async with anyio.create_task_group() as calls:
            calls.start_soon(call)
            await anyio.sleep(3)
            replaced(path)
        assert drawn[0]["status"] == "completed"
        assert "the call is no longer in it: it was replaced while in use" in caplog.text
        assert "disk" not in caplog.text
        assert "a fox" not in said(await w.call("list_tasks"))


async def test_a_call_whose_row_is_gone_before_it_is_sent_is_not_paid(tmp_path: Path) -> None:
    path, fox = tmp_path / "ledger", photo(tmp_path / "photos" / "fox.png")
    async with ledger_at(path) as ledger, remixing(tmp_path, ledger=ledger) as w:
        await w.call("list_tasks")
        with other(path) as spoiler:
            gone = "AFTER INSERT ON calls BEGIN DELETE FROM calls; END"
            spoiler.execute(f"CREATE TRIGGER gone {gone}")
        refused = await w.call(REMIX, asking(fox))
        assert refused.is_error
        assert said(refused) == (
            f"The ledger {path} cannot be used (the call is no longer in it: it was replaced while "
            "in use), and nothing is paid without it. Call again. If that does not help, end the "
            "other servers that have the old one open: restart their hosts."
        )
        assert PAYING not in w.wire.paths("POST")
