"""A finished image is handed over: fetched within the host's time, and within a minute at most."""

from pathlib import Path

import anyio
import httpx
import pytest
from mcp_types import Implementation

from runapi_mcp.images.folders import Folders
from tests.support.pictures import DRAW, FOX, dripping, made_up, png
from tests.support.world import facts

pytestmark = pytest.mark.anyio


async def test_an_image_that_never_comes_is_fetched_for_a_minute_however_long_the_host_waits(
    tmp_path: Path,
) -> None:
    def keeper(_: httpx.Request) -> httpx.Response:
        return dripping(png(), 1_000, pause_seconds=1)

    codex = {"client_info": Implementation(name="codex-mcp-client", version="1")}
    async with made_up(keeper, Folders(tmp_path), client=codex) as client:
        result = await client.call_tool(DRAW, FOX)
    assert facts(result)["not_saved"] == "It did not arrive in time."
    assert anyio.current_time() == pytest.approx(60, abs=0.5)
