"""A ledger that cannot be used stops paying, and nothing else."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import anyio
import pytest

from runapi_mcp.tasks.limits import Limits
from tests.ledgers import answers, ledger_at, move_away, other
from tests.processes import Network, network, program
from tests.world import ERAS, facts, said, world

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]
DRAW = "flux_2_pro_text_to_image"
FOX = {"prompt": "a fox"}
AT_ONCE = FOX | {"wait_seconds": 0}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def a_folder(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 1000)


def of_another_program(path: Path) -> None:
    with other(path) as its_file:
        its_file.executescript("CREATE TABLE notes (text); PRAGMA user_version = 1")


def with_its_locks_in_the_way(path: Path) -> None:
    path.with_name(f"{path.name}.d").touch()


def a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o644)


SPOILT = [
    a_folder,
    below_a_file,
    garbage,
    of_another_program,
    with_its_locks_in_the_way,
    pytest.param(a_pipe, marks=pytest.mark.skipif(sys.platform == "win32", reason="no pipes")),
]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("spoil", SPOILT)
async def test_a_ledger_that_cannot_be_used_stops_paying_and_nothing_else(
    era: str, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    path, limits = tmp_path / "state" / "ledger", Limits(per_day_cents=10)
    path.parent.mkdir()
    spoil(path)
    async with world() as first, ledger_at(path) as ledger:
        task_id = facts(await first.call(DRAW, FOX))["task_id"]
        async with world(era=era, sandbox=first.sandbox, ledger=ledger, limits=limits) as w:
            for _ in range(2):
                refused = await w.call(DRAW, FOX)
                assert refused.is_error
                assert said(refused).startswith(f"The ledger {path} cannot be used (")
                assert said(refused).endswith(
                    "), and nothing is paid without it. Mend what it says, move the file away, or "
                    "set RUNAPI_LEDGER=off to pay without a ledger."
                )
            assert w.wire.paths("POST") == []
            got = facts(await w.call("get_task", {"task_id": task_id}))
            assert (got["status"], got.get("left_today_cents")) == ("completed", None)
            assert facts(await w.call("check_pricing"))["prices"]
            assert facts(await w.call("check_balance"))["spent_today_cents"] == 5
            assert said(await w.call("list_tasks")).startswith(f"The ledger {path} cannot be used")


async def test_a_ledger_of_a_newer_version_is_left_alone_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
    with other(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        assert "(a newer runapi-mcp wrote it; update this one)" in said(await w.call(DRAW, FOX))
        assert w.wire.paths("POST") == []
    with other(path) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
async def test_what_is_no_file_keeps_its_mode(tmp_path: Path) -> None:
    # As root, a ledger at /dev/null would else take it away from everybody.
    path = tmp_path / "pipe"
    a_pipe(path)
    path.chmod(0o666)
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        assert (await w.call(DRAW, FOX)).is_error
    assert path.stat().st_mode & 0o777 == 0o666


async def test_a_place_that_cannot_be_found_stops_paying_and_nothing_else() -> None:
    async with world() as first, ledger_at("~nobody-of-that-name/ledger") as ledger:
        task_id = facts(await first.call(DRAW, FOX))["task_id"]
        async with world(sandbox=first.sandbox, ledger=ledger) as w:
            assert "RUNAPI_LEDGER=off" in said(await w.call(DRAW, FOX))
            assert w.wire.paths("POST") == []
            got = await w.call("get_task", {"task_id": task_id})
            assert facts(got)["status"] == "completed"


@pytest.mark.parametrize("column", ["arguments", "image_urls"])
async def test_a_row_that_cannot_be_read_hides_no_image(column: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        task_id = facts(await w.call(DRAW, AT_ONCE))["task_id"]
        with other(path) as spoiler:
            spoiler.execute(f"UPDATE calls SET {column} = '['")  # noqa: S608 - a name of ours
        got = await w.call("get_task", {"task_id": task_id})
        assert facts(got)["status"] == "completed"


async def test_a_ledger_locked_for_good_refuses_to_pay_until_it_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
        with other(path) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            refused = await w.call(DRAW, AT_ONCE)
            assert said(refused).startswith(
                f"The ledger {path} cannot be used (database is locked)"
            )
        assert w.task_count == 1
        assert not (await w.call(DRAW, AT_ONCE)).is_error


@LINUX
@IN_REAL_TIME
async def test_a_full_disk_stops_paying_and_nothing_else(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "ledger"
    async with (
        network() as net,
        program(environment=net.environment() | {"RUNAPI_LEDGER": str(path)}) as running,
    ):
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        refused, prices = await answers(running, (DRAW, AT_ONCE), ("check_pricing", {}))
        assert refused.startswith(f"The ledger {path} cannot be used (")
        assert "price_cents: 5" in prices
        assert net.paid_requests() == 0


async def test_a_ledger_moved_out_of_the_way_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
        with other(path) as spoiler:
            spoiler.execute("DROP TABLE calls")
        assert "move the file away" in said(await w.call(DRAW, AT_ONCE))
        move_away(path)
        assert not (await w.call(DRAW, AT_ONCE)).is_error
        assert w.task_count == 2


@pytest.mark.parametrize(
    "broken", ["UPDATE ON calls WHEN OLD.holder IS NOT NULL", "UPDATE OF task_id ON calls"]
)
async def test_a_picture_paid_while_the_ledger_breaks_is_delivered_and_settled_by_its_key(
    broken: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as first:
        await first.call("list_tasks")
        with other(path) as spoiler:
            failing = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
            spoiler.execute(f"CREATE TRIGGER broken BEFORE {broken} {failing}")
        drawn = facts(await first.call(DRAW, FOX))
        assert (drawn["status"], drawn["cost_cents"]) == ("completed", 5)
    with other(path) as mender:
        mender.execute("DROP TRIGGER broken")
    async with ledger_at(path) as ledger, world(sandbox=first.sandbox, ledger=ledger) as second:
        [row] = facts(await second.call("list_tasks"))["tasks"]
        assert row["task_id"] == drawn["task_id"]
        assert (second.task_count, second.spent_cents) == (1, 5)
        [paid], [settled] = [
            [sent.headers["idempotency-key"] for sent in w.wire.sent if sent.method == "POST"]
            for w in (first, second)
        ]
        assert settled == paid


@IN_REAL_TIME
async def test_two_processes_on_a_fresh_ledger_at_once_both_pay_and_see_both(
    tmp_path: Path,
) -> None:
    listed: list[str] = []

    async def serve(net: Network, prompt: str) -> None:
        async with program(environment=net.environment() | ledger) as running:
            arguments = {"prompt": prompt, "wait_seconds": 0}
            listed.append((await answers(running, (DRAW, arguments), ("list_tasks", {})))[1])

    ledger = {"RUNAPI_LEDGER": str(tmp_path / "new" / "ledger")}
    async with network() as net:
        async with anyio.create_task_group() as processes:
            processes.start_soon(serve, net, "a fox")
            processes.start_soon(serve, net, "an owl")
        tasks = set(net.account().tasks)
        assert len(tasks) == 2
        assert any(all(task_id in text for task_id in tasks) for text in listed)


async def test_a_ledger_that_another_server_is_about_to_make_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with other(path) as maker:
        maker.execute("BEGIN IMMEDIATE")
        lets_go = Timer(0.1, maker.execute, ["ROLLBACK"])
        lets_go.start()
        async with ledger_at(path) as ledger, world(ledger=ledger) as w:
            listed = await w.call("list_tasks")
        lets_go.join()
    assert facts(listed)["tasks"] == []
