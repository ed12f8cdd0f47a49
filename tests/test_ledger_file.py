"""The ledger's file: private, where the user wants it, and no more than the user wants kept.

One that cannot be used stops paying, and nothing else.
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import anyio
import pytest

from runapi_mcp.settings import load
from runapi_mcp.tasks.ledger import Ledger
from runapi_mcp.tasks.ledger.ledger import in_place
from runapi_mcp.tasks.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.processes import Network, Program, finished, network, opening, program, request
from tests.world import ERAS, NOON, World, clock, facts, said, world

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]
DRAW = "flux_2_pro_text_to_image"
FOX = {"prompt": "a fox"}
AT_ONCE = FOX | {"wait_seconds": 0}
DAY = 24 * 3600.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def ledger_at(where: Path | str, keep_days: float = 90) -> aclosing[Ledger]:
    """A ledger where RUNAPI_LEDGER says, as one process has it open."""
    locate = load({"RUNAPI_LEDGER": str(where)}).ledger.locate
    assert locate is not None
    return aclosing(Ledger(locate, keep_days=keep_days, clock=clock, run=in_place))


def other(path: Path) -> closing[sqlite3.Connection]:
    """Another program that has the file open."""
    return closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))


async def prompts(w: World, **question: Any) -> list[str]:
    """Of the tasks that are listed."""
    return [row["prompt"] for row in facts(await w.call("list_tasks", question))["tasks"]]


def contents(folder: Path) -> bytes:
    """All that lies in a folder, of whatever file."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def move_away(path: Path) -> None:
    """As a person does who wants to begin anew."""
    for part in list(path.parent.glob(f"{path.name}*")):
        part.rename(path.with_name(f"old-{part.name}"))


@contextmanager
def everybody_may_read_what_is_made() -> Generator[None]:
    """As for a user whose umask hides nothing."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("exists", [False, True])
async def test_only_its_user_can_read_the_ledger(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001 - a parameter
    path = tmp_path / "state" / "ledger.sqlite3"
    if exists:
        path.parent.mkdir(mode=0o700)
        path.touch(mode=0o644)
    with everybody_may_read_what_is_made():
        async with ledger_at(path) as ledger, world(ledger=ledger) as w:
            await w.call(DRAW, AT_ONCE)
            found = [path.parent, *path.parent.rglob("*")]
            modes = {each.name: f"{each.stat().st_mode & 0o777:o}" for each in found}
    names = {name: mode for name, mode in modes.items() if not name.endswith(".alive")}
    assert names == {
        "state": "700",
        "ledger.sqlite3": "600",
        "ledger.sqlite3-wal": "600",
        "ledger.sqlite3-shm": "600",
        "ledger.sqlite3.d": "700",
    }
    assert {mode for name, mode in modes.items() if name.endswith(".alive")} == {"600"}


async def test_readers_of_the_ledger_wait_for_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        task_id = facts(await w.call(DRAW, FOX))["task_id"]
        with other(path) as writer:
            assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            writer.execute("BEGIN EXCLUSIVE")
            listed = await w.call("list_tasks")
            assert facts(listed)["tasks"][0]["task_id"] == task_id


async def answers(running: Program, *calls: tuple[str, Mapping[str, object]]) -> list[str]:
    """What a server that just started says to calls of tools, one after the other."""
    await running.write(*opening("auto"))
    found: list[str] = []
    for number, (tool, arguments) in enumerate(calls, 1):
        await running.write(request(number, "tools/call", "auto", name=tool, arguments=arguments))
        found.append((await running.answer(number))["content"][0]["text"])
    return found


@LINUX
@IN_REAL_TIME
@pytest.mark.parametrize(
    ("more", "is_kept", "has_prompt"),
    [
        ({}, True, True),
        ({"RUNAPI_LEDGER_PROMPTS": "off"}, True, False),
        ({"RUNAPI_LEDGER": "off"}, False, False),
    ],
)
async def test_what_a_process_leaves_in_the_users_state_folder(
    more: dict[str, str],
    is_kept: bool,  # noqa: FBT001 - a parameter
    has_prompt: bool,  # noqa: FBT001 - a parameter
) -> None:
    home = Path(os.environ["HOME"])
    async with (
        network() as net,
        program(environment={**net.environment(), **more}) as running,
    ):
        drawn, listed = await answers(running, (DRAW, AT_ONCE), ("list_tasks", {}))
        [task_id] = net.account().tasks
        assert task_id in drawn
        assert task_id in listed
        assert ("a fox" in listed) == (has_prompt or not is_kept)
        left_behind = contents(home)
    assert (home / ".local/state/runapi-mcp/ledger.sqlite3").exists() == is_kept
    assert (task_id.encode() in left_behind) == is_kept
    assert (b"a fox" in left_behind) == has_prompt


def test_a_server_without_a_ledger_starts_with_no_daily_budget() -> None:
    ended = finished(environment={"RUNAPI_LEDGER": "off", "RUNAPI_DAILY_BUDGET": "5"})
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert "RUNAPI_DAILY_BUDGET needs the ledger, and RUNAPI_LEDGER turns it off." in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_what_is_older_than_the_days_to_keep_is_gone_from_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with ledger_at(folder / "ledger", keep_days=2) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
        await anyio.sleep(DAY)
        await w.call(DRAW, {"prompt": "an owl"})
        await anyio.sleep(DAY)
        await w.call(DRAW, {"prompt": "a hare"})
        assert await prompts(w) == ["a hare", "an owl"]
    left_behind = contents(folder)
    assert b"an owl" in left_behind
    assert b"a fox" not in left_behind


async def test_what_is_older_than_the_days_to_keep_is_not_shown_to_who_only_reads(
    tmp_path: Path,
) -> None:
    async with ledger_at(tmp_path / "ledger", keep_days=2) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, FOX)
        await anyio.sleep(2 * DAY - 3600)
        assert await prompts(w) == ["a fox"]
        await anyio.sleep(2 * 3600)
        assert await prompts(w) == []


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


@pytest.mark.parametrize("era", ERAS)
async def test_a_callers_own_tasks_are_listed_newest_first_and_short(era: str) -> None:
    limits = Limits(per_day_cents=12)
    async with world(era=era, limits=limits) as w:
        ended = facts(await w.call(DRAW, FOX))["task_id"]
        await anyio.sleep_until(120)
        long_prompt = f"an owl\n  that {'never ' * 20}[[never]]"
        running = facts(await w.call(DRAW, {"prompt": long_prompt, "wait_seconds": 0}))["task_id"]
        listed = await w.call("list_tasks")
        assert facts(listed) == {
            "tasks": [
                {
                    "status": "pending",
                    "task_id": running,
                    "model": "flux-2-pro-text-to-image",
                    "prompt": "an owl that never never never never never never never never…",
                    "ordered": utc(NOON + 120),
                    "delivered": False,
                    "price_cents": 5,
                },
                {
                    "status": "completed",
                    "task_id": ended,
                    "model": "flux-2-pro-text-to-image",
                    "prompt": "a fox",
                    "ordered": utc(NOON),
                    "delivered": True,
                    "cost_cents": 5,
                },
            ],
            "left_today_cents": 2,
            "next": "get_task with a task_id gets its image, and costs nothing.",
            "notice": "From the sandbox: a practice answer, not RunAPI; no real money moved.",
        }
        assert ended in said(listed)


async def test_the_tasks_of_another_key_and_refused_calls_are_not_listed(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "ledger") as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "an owl [[402]]"})
        async with world(key="sandbox-key-of-another", ledger=ledger) as another:
            await another.call(DRAW, FOX)
            assert (await prompts(w), await prompts(another)) == ([], ["a fox"])


async def test_running_undelivered_and_recent_tasks_are_told_apart() -> None:
    late, failed, slow = "a late hare [[takes 80s]]", "a hen [[fail]]", "an owl [[never]]"
    async with world() as w:
        for prompt, wait_seconds in (("a fox", 30), (late, 600), (failed, 30), (slow, 0)):
            await w.call(DRAW, {"prompt": prompt, "wait_seconds": wait_seconds})
        assert await prompts(w, show="running") == [slow]
        assert await prompts(w, show="undelivered") == [slow, late]
        assert await prompts(w, show="recent") == [slow, failed, late, "a fox"]
        assert await prompts(w, limit=2) == [slow, failed]


@pytest.mark.parametrize("show", ["recent", "running", "undelivered"])
async def test_an_empty_list_says_so(show: str) -> None:
    async with world() as w:
        assert facts(await w.call("list_tasks", {"show": show})) == {
            "tasks": [],
            "next": "Nothing of the kind is in the ledger of this key.",
        }


async def test_what_is_in_doubt_is_listed_with_what_to_do() -> None:
    async with world() as w:
        await w.call(DRAW, {"prompt": "a fox [[created torn]]"})
        listed = facts(await w.call("list_tasks"))
        [row] = listed["tasks"]
        assert (row["status"], row["price_cents"], "task_id" in row) == ("intended", 5, False)
        assert listed["next"].endswith(
            "What is intended may have been charged; the same call again asks under the same key, "
            "and is not charged twice."
        )


async def test_a_list_needs_a_key() -> None:
    async with world(key=None) as w:
        listed = await w.call("list_tasks")
        assert listed.is_error
        assert "API key" in said(listed)
