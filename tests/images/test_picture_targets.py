"""Where a named picture goes is decided when it is ordered, whoever fetches it later and where."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from mcp import Client
from mcp.client.extension import advertise

from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from tests.support.ledgers import ledger_at, other
from tests.support.pictures import DRAW, FOX, LATER, again, files_in, path_of
from tests.support.processes import QUICK, finished, network, stdio_server
from tests.support.world import ERAS, World, clock, facts, world

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
HERO = {"save_as": "assets/hero"}
_SHOWS_PAGES = {"extensions": [advertise("io.modelcontextprotocol/ui")]}


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    """Two repositories."""
    for name in ("shop", "blog"):
        (tmp_path / name / ".git").mkdir(parents=True)
    return tmp_path / "shop", tmp_path / "blog"


@asynccontextmanager
async def ordered(
    shop: Path, blog: Path, monkeypatch: pytest.MonkeyPatch, era: str = "auto"
) -> AsyncGenerator[tuple[World, str]]:
    """A server started in the blog, once one in the shop has ordered a hero there."""
    async with aclosing(SqliteLedger.in_memory(clock)) as ledger:
        monkeypatch.chdir(shop)
        async with world(era=era, folders=Folders(), ledger=ledger) as w:
            task_id = facts(await w.call(DRAW, {**LATER, **HERO}))["task_id"]
            monkeypatch.chdir(blog)
            async with world(
                era=era, client=_SHOWS_PAGES, folders=Folders(), ledger=ledger, sandbox=w.sandbox
            ) as in_the_blog:
                yield in_the_blog, task_id


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_in_another_project_saves_it_where_it_was_ordered(
    era: str, projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, blog = projects
    async with ordered(shop, blog, monkeypatch, era) as (w, task_id):
        got = await w.call("get_task", {"task_id": task_id})
        assert path_of(got) == shop / "assets/hero.png"
        assert files_in(blog) == []


async def test_the_same_name_in_another_project_is_another_picture(
    projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, blog = projects
    async with ordered(shop, blog, monkeypatch) as (w, task_id):
        drawn = await w.call(DRAW, {**FOX, **HERO})
        assert "joined" not in facts(drawn)
        assert facts(drawn)["task_id"] != task_id
        assert path_of(drawn) == blog / "assets/hero.png"
        monkeypatch.chdir(shop)
        joined = await w.call(DRAW, {**FOX, **HERO})
        assert facts(joined)["task_id"] == task_id
        assert path_of(joined) == shop / "assets/hero.png"


async def test_the_page_is_told_the_name_as_it_was_asked_for(
    projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ordered(*projects, monkeypatch) as (w, task_id):
        told = (await w.call("get_task", {"task_id": task_id})).meta or {}
        assert told["runapi-mcp/asked"]["save_as"] == "assets/hero"
        assert not (await w.call(DRAW, told["runapi-mcp/asked"])).is_error


@POSIX
async def test_a_link_that_came_below_the_project_since_is_not_followed(
    projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, blog = projects
    async with ordered(shop, blog, monkeypatch) as (w, task_id):
        (shop / "assets").symlink_to(blog)
        got = facts(await w.call("get_task", {"task_id": task_id}))
        assert "assets is a link, or not a folder" in got["not_saved"]
        assert files_in(blog) == []


async def test_an_order_of_an_earlier_version_has_a_name_alone(tmp_path: Path) -> None:
    where = tmp_path / "ledger.sqlite3"
    folders = Folders(tmp_path / "pictures")
    async with ledger_at(where) as ledger, world(folders=folders, ledger=ledger) as w:
        lost = await w.call(DRAW, {**LATER, **HERO})
        with other(where) as connection:
            [(kept,)] = connection.execute("SELECT save_as FROM calls").fetchall()
            connection.execute("UPDATE calls SET save_as = 'img/fox'")
        assert kept == f"{tmp_path}/pictures/./assets/hero"
        async with world(folders=folders, ledger=ledger, sandbox=w.sandbox) as later:
            assert path_of(await again(later, lost)) == tmp_path / "pictures/img/fox.png"


@POSIX
async def test_a_folder_whose_name_is_no_text_takes_named_pictures_too(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    where = tmp_path / "ledger.sqlite3"
    async with ledger_at(where) as ledger, world(folders=Folders(folder), ledger=ledger) as w:
        assert not (await w.call(DRAW, {**FOX, **HERO})).is_error
    assert files_in(folder) == ["assets/hero.png", "assets/hero.png.json"]


@IN_REAL_TIME
async def test_in_a_terminal_elsewhere_it_is_saved_where_it_was_ordered(
    projects: tuple[Path, Path], tmp_path: Path
) -> None:
    shop, _ = projects
    async with network() as net:
        ledger = {"RUNAPI_LEDGER": str(tmp_path / "ledger.sqlite3")}
        environment = {**net.environment(), **ledger, "HOME": str(tmp_path), "RUNAPI_SAVE": "on"}
        in_the_shop = {"cwd": shop, "env": environment}
        async with Client(stdio_server(net).model_copy(update=in_the_shop)) as client:
            order = {"prompt": QUICK, "wait_seconds": 0, **HERO}
            lost = facts(await client.call_tool(DRAW, order))["task_id"]
        told = await anyio.to_thread.run_sync(
            partial(finished, "tasks", lost, environment=environment)
        )
    assert told.stdout.startswith(f"image_paths:\n- {shop}/assets/hero.png\n")
    assert not (tmp_path / "Pictures").exists()
