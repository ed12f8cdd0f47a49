"""A ledger that cannot be used stops paying, and nothing else."""

import errno
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from threading import Timer

import anyio
import pytest

from runapi_mcp.orders.ledger.entry import SEND_SECONDS
from runapi_mcp.orders.limits import Limits
from tests.support.ledgers import answers, ledger_at, move_away, other
from tests.support.processes import Network, network, program
from tests.support.unwritable import POSIX_MODES, unwritable
from tests.support.world import ERAS, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
FOX = {"prompt": "a fox"}
AT_ONCE = FOX | {"wait_seconds": 0}
OWL = {"prompt": "an owl", "wait_seconds": 0}
TASK = "00000000-0000-4000-8000-000000000000"
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


def a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o644)


OR_OFF = "or set RUNAPI_LEDGER=off to pay without a ledger."
ELSEWHERE = f"Set RUNAPI_LEDGER to the absolute path of a file that can be made, {OR_OFF}"
ANEW = (
    f"Move the file away, {OR_OFF} A new ledger begins the day's budget anew, and does not know "
    "which pictures were undelivered or in doubt."
)
SPOILT = [
    (a_folder, ELSEWHERE),
    (below_a_file, ELSEWHERE),
    (garbage, ANEW),
    (of_another_program, ANEW),
    pytest.param(
        a_pipe, ELSEWHERE, marks=pytest.mark.skipif(sys.platform == "win32", reason="no pipes")
    ),
]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("spoil", "advice"), SPOILT)
async def test_a_ledger_that_cannot_be_used_stops_paying_and_nothing_else(
    era: str, spoil: Callable[[Path], None], advice: str, tmp_path: Path
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
                assert said(refused).endswith(f"), and nothing is paid without it. {advice}")
            assert w.wire.paths("POST") == []
            got = facts(await w.call("get_task", {"task_id": task_id}))
            assert (got["status"], got.get("left_today_cents")) == ("completed", None)
            prices = facts(await w.call("check_pricing"))
            assert prices["prices"]
            assert prices["notice"].endswith(
                "What the daily budget leaves is unknown, because the ledger cannot be used; paid "
                "calls are refused meanwhile, and say why."
            )
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
        assert said(await w.call(DRAW, FOX)) == (
            f"The ledger {path} cannot be used (a newer runapi-mcp wrote it), and nothing is paid "
            f"without it. Update this one (`uvx runapi-mcp@latest install`), {OR_OFF}"
        )
        assert w.wire.paths("POST") == []
    with other(path) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (99,)


@asynccontextmanager
async def nobody_has_it_open(_: Path) -> AsyncGenerator[None]:
    yield


@asynccontextmanager
async def another_reads_it(path: Path) -> AsyncGenerator[None]:
    """Its newest pages are in the WAL."""
    with other(path) as reader:
        reader.execute("SELECT count(*) FROM calls").fetchone()
        reader.execute("UPDATE calls SET begun_at = begun_at")
        yield


@POSIX_MODES
@pytest.mark.parametrize("meanwhile", [nobody_has_it_open, another_reads_it])
async def test_a_ledger_that_cannot_be_written_is_read_and_refuses_to_pay_until_it_can(
    meanwhile: Callable[[Path], AbstractAsyncContextManager[None]], tmp_path: Path
) -> None:
    path, limits = tmp_path / "state" / "ledger", Limits(per_day_cents=12)
    async with ledger_at(path) as ledger, world(ledger=ledger) as first:
        made = facts(await first.call(DRAW, AT_ONCE))["task_id"]
    async with (
        meanwhile(path),
        ledger_at(path) as ledger,
        world(ledger=ledger, sandbox=first.sandbox, limits=limits) as w,
    ):
        with unwritable(path.parent):
            before = sorted(path.parent.iterdir())
            listed = facts(await w.call("list_tasks"))
            got = facts(await w.call("get_task", {"task_id": made}))
            prices = facts(await w.call("check_pricing"))
            refused = await w.call(DRAW, OWL)
            again = facts(await w.call(DRAW, AT_ONCE))
            assert sorted(path.parent.iterdir()) == before
        assert [row["task_id"] for row in listed["tasks"]] == [made]
        assert w.wire.paths()[0] == f"/api/v1/flux_2/text_to_image/{made}"
        assert (got["status"], prices["left_today_cents"]) == ("completed", 7)
        assert "unknown" not in prices["notice"]
        assert said(refused).endswith(f"Let this user write the file and its folder, {OR_OFF}")
        assert again["task_id"] == made
        assert w.wire.paths("POST") == []
        assert not (await w.call(DRAW, OWL)).is_error


@POSIX_MODES
async def test_an_older_ledger_that_cannot_be_written_says_why_it_is_not_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state" / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
    with other(path) as older:
        older.execute("PRAGMA user_version = 1")
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        with unwritable(path.parent):
            assert "Let this user write the file" in said(await w.call("list_tasks"))


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
            refused = await w.call(DRAW, OWL)
            assert said(refused) == (
                f"The ledger {path} cannot be used (database is locked), and nothing is paid "
                "without it. Call again in a minute. If it stays locked, end the program that has "
                "it open: a database viewer, a backup, a server that hangs."
            )
        assert w.task_count == 1
        assert not (await w.call(DRAW, OWL)).is_error


async def test_a_locked_ledger_is_read_by_a_server_that_just_started(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        made = facts(await w.call(DRAW, FOX))["task_id"]
    with other(path) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        async with ledger_at(path) as ledger, world(ledger=ledger) as w:
            [row] = facts(await w.call("list_tasks"))["tasks"]
        assert row["task_id"] == made


async def test_a_locked_ledger_with_a_doubt_in_it_is_said_to_be_locked(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "a hare [[created torn]]"})
    with other(path) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        async with ledger_at(path) as ledger, world(ledger=ledger) as w:
            assert "database is locked" in said(await w.call(DRAW, FOX))


@LINUX
@IN_REAL_TIME
async def test_a_full_disk_stops_paying_and_nothing_else(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "ledger"
    async with network() as net:
        environment = net.environment() | {"RUNAPI_LEDGER": str(path)}
        async with program(environment=environment) as running:
            await answers(running, (DRAW, AT_ONCE))
            await running.close_stdin()
            await running.end()
        async with program(environment=environment) as running:
            resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (0, 0))
            refused, prices, listed = await answers(
                running, (DRAW, OWL), ("check_pricing", {}), ("list_tasks", {})
            )
        assert refused.startswith(f"The ledger {path} cannot be used (")
        assert refused.endswith(f"Free space on its disk, mend the disk, {OR_OFF}")
        assert "price_cents: 5" in prices
        [task_id] = net.account().tasks
        assert task_id in listed
        assert net.paid_requests() == 1


_WITHOUT_LOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
static int call(const char *name, int file, int command, void *argument) {
    int (*real)(int, int, ...) = dlsym(RTLD_NEXT, name);
    if (command != F_SETLK && command != F_SETLKW) return real(file, command, argument);
    errno = atoi(getenv("LOCK_ERRNO"));
    return -1;
}
#define CALL(name) int name(int file, int command, ...) { \
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \
    return call(#name, file, command, argument); }
CALL(fcntl)
CALL(fcntl64)
"""


@LINUX
@IN_REAL_TIME
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
async def test_a_file_system_without_locks_is_said_to_be_one(number: int, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or pytest.skip("there is no C compiler")
    library, path = tmp_path / "without_locks.so", tmp_path / "state" / "ledger"
    compiling = [compiler, "-shared", "-fPIC", "-o", str(library), "-x", "c", "-", "-ldl"]
    await anyio.run_process(compiling, input=_WITHOUT_LOCKS.encode())
    lockless = {"LD_PRELOAD": str(library), "LOCK_ERRNO": str(number), "RUNAPI_LEDGER": str(path)}
    async with network() as net:
        async with program(environment=net.environment() | lockless) as running:
            [refused] = await answers(running, (DRAW, AT_ONCE))
        assert refused == (
            f"The ledger {path} cannot be used (its file system does not lock files), and nothing "
            "is paid without it. Set RUNAPI_LEDGER to the absolute path of a file on a local disk, "
            f"{OR_OFF}"
        )
        assert net.paid_requests() == 0


async def test_a_ledger_moved_out_of_the_way_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
        with other(path) as spoiler:
            spoiler.execute("DROP TABLE calls")
        assert "Move the file away" in said(await w.call(DRAW, AT_ONCE))
        move_away(path)
        assert not (await w.call(DRAW, AT_ONCE)).is_error
        assert w.task_count == 2


@pytest.mark.parametrize(
    "broken", ["UPDATE ON calls WHEN OLD.sent_at IS NOT NULL", "UPDATE OF task_id ON calls"]
)
@pytest.mark.parametrize("settling", [(DRAW, FOX), (DRAW, OWL), ("get_task", {"task_id": TASK})])
async def test_a_picture_paid_while_the_ledger_breaks_is_delivered_and_settled_by_its_key(
    settling: tuple[str, Mapping[str, object]], broken: str, tmp_path: Path
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
    await anyio.sleep(SEND_SECONDS)
    async with ledger_at(path) as ledger, world(sandbox=first.sandbox, ledger=ledger) as second:
        await second.call(*settling)
        await anyio.sleep(1)
        assert drawn["task_id"] in said(await second.call("list_tasks"))
        assert second.task_count == len({"a fox", settling[1].get("prompt", "a fox")})
        paid, settled = (
            {sent.headers["idempotency-key"] for sent in w.wire.sent if sent.method == "POST"}
            for w in (first, second)
        )
        assert len(paid & settled) == 1


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
