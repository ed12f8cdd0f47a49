"""A download is told as it goes on, made once for all who wait, and left without a trace."""

from pathlib import Path

import anyio
import httpx
import pytest
from mcp_types import CallToolResult
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.images.folders import Folders
from runapi_mcp.sandbox.app import Sandbox
from tests.support.ledgers import ledger_at
from tests.support.pictures import (
    DRAW,
    FOX,
    LATER,
    again,
    dripping,
    fetches,
    files_in,
    made_up,
    matches,
    path_of,
    png,
)
from tests.support.world import ERAS, World, facts, world

pytestmark = pytest.mark.anyio


async def test_a_download_is_told_as_it_goes_on(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        told.append((progress, message or ""))

    content = png("RGB", (1000, 1000), compress_level=0)
    async with made_up(lambda _: dripping(content, 10, 1.0), Folders(tmp_path)) as client:
        await client.call_tool(DRAW, FOX, progress_callback=on_progress)
    numbers = [number for number, _ in told]
    assert numbers == sorted(set(numbers))
    words = [message for _, message in told]
    assert words[0] == "fetching the image"
    percents = [int(message.split()[1]) for message in words if "%" in message]
    assert len(percents) >= 3
    assert percents == sorted(set(percents))
    assert percents[-1] < 100


async def test_a_download_of_no_known_length_is_told_in_megabytes(tmp_path: Path) -> None:
    told: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    def keeper(_: httpx.Request) -> httpx.Response:
        response = dripping(png("RGB", (1000, 1000), compress_level=0), 10, 1.0)
        del response.headers["Content-Length"]
        return response

    async with made_up(keeper, Folders(tmp_path)) as client:
        await client.call_tool(DRAW, FOX, progress_callback=on_progress)
    assert "downloading, 0.9 MB" in told


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("after_seconds", [0.5, 2.5])
async def test_a_caller_who_leaves_during_a_download_leaves_nothing_and_can_come_back(
    era: str, after_seconds: float, tmp_path: Path
) -> None:
    content = png("RGB", (1500, 1500), compress_level=0)
    client = {"mode": era}
    async with made_up(
        lambda _: dripping(content, 10, 1.0), Folders(tmp_path), client=client
    ) as connected:
        async with anyio.create_task_group() as group:
            group.start_soon(connected.call_tool, DRAW, {**FOX, "save_as": "fox"})
            await anyio.sleep(after_seconds)
            [part] = files_in(tmp_path)
            assert matches(r"\.runapi-[0-9a-f]+\.part", part)
            group.cancel_scope.cancel()
        await anyio.sleep(0.1)
        assert files_in(tmp_path) == []
        joined = await connected.call_tool(DRAW, {**FOX, "save_as": "fox"})
        assert "joined" in facts(joined)
        assert path_of(joined) == tmp_path / "fox.png"
        assert path_of(joined).read_bytes() == content
        assert files_in(tmp_path) == ["fox.png", "fox.png.json"]


async def test_calls_that_wait_for_one_task_fetch_and_save_it_once(tmp_path: Path) -> None:
    paths: list[Path] = []

    async def get(w: World, first: CallToolResult) -> None:
        paths.append(path_of(await again(w, first)))

    async with world(folders=Folders(tmp_path)) as w:
        w.sandbox.faults.inject("image", "slow", seconds=3)
        first = await w.call(DRAW, LATER)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(get, w, first)
        assert len(fetches(w)) == 1
        assert len(set(paths)) == 1
        assert len(files_in(tmp_path)) == 2


async def test_two_servers_that_save_one_task_at_once_leave_one_picture(tmp_path: Path) -> None:
    folders, where = Folders(tmp_path / "pictures"), tmp_path / "ledger.sqlite3"
    paths: list[Path] = []

    async def get(w: World, first: CallToolResult) -> None:
        paths.append(path_of(await again(w, first)))

    async with (
        ledger_at(where) as ledger,
        ledger_at(where) as theirs,
        world(folders=folders, ledger=ledger) as w,
        world(folders=folders, ledger=theirs, sandbox=w.sandbox) as other,
    ):
        first = await w.call(DRAW, LATER)
        async with anyio.create_task_group() as group:
            group.start_soon(get, w, first)
            group.start_soon(get, other, first)
    assert len(set(paths)) == 1
    assert len(files_in(tmp_path / "pictures")) == 2


class _SlowImages:
    """The sandbox, which takes ten seconds to hand out an image."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").startswith("/images/"):
            await anyio.sleep(10)
        await self._app(scope, receive, send)


async def test_an_identical_call_while_the_first_ones_image_is_fetched_gets_the_same_picture(
    tmp_path: Path,
) -> None:
    sandbox = Sandbox(1)
    sandbox.app.add_middleware(_SlowImages)
    async with world(sandbox=sandbox, folders=Folders(tmp_path)) as w:
        async with anyio.create_task_group() as calls:
            for started in (0, 6):
                await anyio.sleep(started)
                calls.start_soon(w.call, DRAW, FOX)
        assert w.task_count == 1
        assert len(files_in(tmp_path)) == 2
