"""The ledger's file: private, where and as the user wants it, and carried over to new versions."""

import hashlib
import json
import os
import sqlite3
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.ledger.sqlite.ledger import run_in_place
from runapi_mcp.orders.ledger.sqlite.migrations import MIGRATIONS, VERSION
from tests.support.ledgers import answers, contents, ledger_at, other
from tests.support.photos import REMIX, URL, asking, photo, remixing, uploads
from tests.support.processes import finished, network, program
from tests.support.world import clock, facts, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
FOX = {"prompt": "a fox"}
AT_ONCE = FOX | {"wait_seconds": 0}
DAY = 24 * 3600.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])


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
    assert modes == {
        "state": "700",
        "ledger.sqlite3": "600",
        "ledger.sqlite3-wal": "600",
        "ledger.sqlite3-shm": "600",
    }


async def test_readers_of_the_ledger_wait_for_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        task_id = facts(await w.call(DRAW, FOX))["task_id"]
        with other(path) as writer:
            assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            writer.execute("BEGIN EXCLUSIVE")
            listed = await w.call("list_tasks")
            assert facts(listed)["tasks"][0]["task_id"] == task_id


async def test_getting_an_image_again_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        drawn = facts(await w.call(DRAW, FOX))
        await anyio.sleep(DAY)
        with other(path) as reader:
            versions: list[object] = []
            for _ in range(2):
                versions.append(reader.execute("PRAGMA data_version").fetchone())
                await w.call("get_task", {"task_id": drawn["task_id"]})
            versions.append(reader.execute("PRAGMA data_version").fetchone())
    assert len(set(versions)) == 1


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


HOUR = 3600.0
OPENINGS = [
    pytest.param([3 * DAY], False, id="one opening"),
    pytest.param([3 * DAY, 3 * DAY + HOUR / 2], False, id="two at once"),
    pytest.param([3 * DAY, 3 * DAY + HOUR], True, id="two, an hour apart"),
    pytest.param(
        [3 * DAY, 3 * DAY + 60, 3 * DAY + HOUR], True, id="a third, when the second came too early"
    ),
    pytest.param([DAY, 90 * DAY], False, id="a clock that is ahead at the last"),
    pytest.param([90 * DAY, DAY + HOUR, DAY + 3 * HOUR], False, id="a clock that is ahead for one"),
    pytest.param(
        [90 * DAY, DAY, 91 * DAY, DAY + 2 * HOUR, 92 * DAY], False, id="one ahead again and again"
    ),
    pytest.param([4 * DAY, 3 * DAY], False, id="a clock that went back"),
    pytest.param(
        [90 * DAY, 3 * DAY, 3 * DAY + HOUR], True, id="one that went back, and two after it"
    ),
    pytest.param([90 * DAY, 90 * DAY + HOUR], True, id="one that was wrong until it was right"),
]


@pytest.mark.parametrize(("ages", "is_gone"), OPENINGS)
async def test_what_is_settled_is_forgotten_once_two_openings_agree_that_it_is_old(
    ages: Sequence[float],
    is_gone: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    """Kept for two days, and looked at when it is that old by the clock of then."""
    folder, begun = tmp_path / "state", clock()
    path = folder / "ledger"
    async with ledger_at(path) as ledger, world(ledger=ledger) as w:
        await w.call(DRAW, {"prompt": "a red fox"})
        await w.call(DRAW, {"prompt": "a red owl", "wait_seconds": 0})
    with other(path) as spoiler:
        spoiler.execute("DELETE FROM forgetting")
    for number, age in enumerate(ages):
        at = partial(float, begun + age)
        async with (
            aclosing(SqliteLedger(lambda: path, keep_days=2, clock=at, run=run_in_place)) as ledger,
            world(ledger=ledger) as w,
        ):
            await w.call(DRAW, {"prompt": f"{number} hares"})
    left_behind = contents(folder)
    assert (b"a red fox" not in left_behind) == is_gone
    assert b"a red owl" in left_behind


def version_1(path: Path, row: Mapping[str, Any]) -> None:
    """A ledger file as the version before wrote it, with one call."""
    arguments = json.loads(row["arguments"])
    asked = json.dumps([row["model"], arguments], sort_keys=True)
    old = {**row, "fingerprint": hashlib.sha256(asked.encode()).hexdigest()}
    with closing(sqlite3.connect(path)) as file:
        file.executescript(MIGRATIONS[0] + "; PRAGMA user_version = 1;")
        columns = [column[1] for column in file.execute("PRAGMA table_info(calls)")]
        assert "save_as" not in columns
        marks = ", ".join("?" * len(columns))
        values = [old.get(column) for column in columns]
        file.execute(f"INSERT INTO calls VALUES ({marks})", values)  # noqa: S608 - marks only
        file.commit()


@pytest.mark.parametrize("arguments", [{"prompt": "a fox"}, asking(URL)])
async def test_a_ledger_of_the_version_before_goes_on_with_its_tasks(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    fox = photo(tmp_path / "photos" / "fox.png")
    tool = REMIX if "source_image_urls" in arguments else DRAW
    new, old = tmp_path / "new", tmp_path / "old"
    async with ledger_at(new) as ledger, remixing(tmp_path, ledger=ledger) as w:
        made = facts(await w.call(tool, arguments | {"wait_seconds": 0}))
    with closing(sqlite3.connect(new)) as file:
        file.row_factory = sqlite3.Row
        [row] = file.execute("SELECT * FROM calls").fetchall()
    version_1(old, dict(row))
    async with (
        ledger_at(old) as ledger,
        remixing(tmp_path, ledger=ledger, sandbox=w.sandbox, saves=True) as after,
    ):
        [listed] = facts(await after.call("list_tasks"))["tasks"]
        assert listed["task_id"] == made["task_id"]
        continued = facts(await after.call(tool, arguments))
        assert continued["task_id"] == made["task_id"]
        assert "joined" in continued
        assert len(continued["image_paths"]) == 1
        got = facts(await after.call("get_task", {"task_id": made["task_id"]}))
        assert got["image_paths"] == continued["image_paths"]
        await after.call(REMIX, asking(fox))
        await after.call(REMIX, asking(fox))
        assert uploads(after) == 1
    with closing(sqlite3.connect(old)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (VERSION,)
