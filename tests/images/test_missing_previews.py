"""Where a preview was wanted and is not there, the answer says why; else it says nothing of it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp_types import CallToolResult

from runapi_mcp.images.folders import Folders
from runapi_mcp.images.workers import Workers
from tests.support.pictures import (
    DRAW,
    FOX,
    ORIGIN,
    Keeper,
    encoded,
    made_up,
    noise,
    png,
    previews,
)
from tests.support.world import facts, said

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong, and what the answer says of it."""

    why: str
    keeper: Keeper | bytes = field(default_factory=png)
    saves: bool = True
    urls: Sequence[str] = (f"{ORIGIN}/fox.png",)
    preview_px: int | None = None
    server: dict[str, Any] = field(default_factory=dict[str, Any])


def missing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(403)


BROKEN = {"workers": Workers(["false"])}
CASES = {
    "it is there": Case(""),
    "none was wanted": Case("", preview_px=0),
    "none was wanted of a broken one": Case("", server=BROKEN, preview_px=0),
    "its decoder broke": Case("Looking at the image failed.", server=BROKEN),
    "its decoder broke, unsaved": Case("Looking at the image failed.", saves=False, server=BROKEN),
    "not fetched, unsaved": Case("HTTP 403", missing, saves=False),
    "no image, unsaved": Case("not a whole PNG", b"no image", saves=False),
    "no image, none wanted": Case("", b"no image", saves=False, preview_px=0),
    "turned off": Case("RUNAPI_PREVIEW=off", server={"previews": False}, preview_px=64),
    "turned off, not asked": Case("", server={"previews": False}),
}


async def drawn_with(case: Case, folder: Path) -> CallToolResult:
    asked = {} if case.preview_px is None else {"preview_px": case.preview_px}
    given = {"saves": case.saves, **case.server}
    async with made_up(case.keeper, Folders(folder), case.urls, **given) as client:
        return await client.call_tool(DRAW, {**FOX, **asked})


@pytest.mark.parametrize("name", CASES)
async def test_an_answer_says_why_a_preview_is_missing(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    result = await drawn_with(case, tmp_path)
    notice = facts(result).get("notice", "")
    assert ("An image has no preview: " in notice, case.why in notice) == (bool(case.why), True)
    assert bool(previews(result)) == (name == "it is there")


async def test_of_a_picture_that_is_not_saved_either_the_reason_stands_once(
    tmp_path: Path,
) -> None:
    told = facts(await drawn_with(Case("", missing), tmp_path))
    assert "HTTP 403" in told["not_saved"]
    assert "notice" not in told


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such paths")
async def test_an_answer_too_long_for_its_previews_says_so(tmp_path: Path) -> None:
    urls = [f"{ORIGIN}/{number}?{'a' * 3_900}" for number in range(8)]
    content = encoded(noise("RGB", (1024, 1024)), "JPEG")
    deep = tmp_path.joinpath(*["d" * 200] * 15)
    result = await drawn_with(Case("", content, urls=urls), deep)
    assert 0 < len(previews(result)) < 8
    assert facts(result)["notice"] == "Not all previews fit into this answer."
    assert "\nnotice: Not all previews fit into this answer." in said(result)
