"""A call that does not say how long to wait waits as long as its host allows."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import Implementation, RequestParamsMeta

from runapi_mcp.base.hosts.host import ANSWER_MARGIN_SECONDS
from runapi_mcp.sandbox.faults import Where
from tests.support.photos import REMIX, asking, photo, remixing
from tests.support.world import ERAS, World, facts, said, world

pytestmark = pytest.mark.anyio
DRAW = "flux_2_pro_text_to_image"
ENDLESS = {"prompt": "a fox [[never]]"}

# How long each host lets a call go on: silent, and with progress.
HOSTS = {
    "claude-code": (300, 300),
    "codex-mcp-client": (300, 300),
    "copilot-cli": (180, 300),
    "gemini-cli-mcp-client": (600, 600),
    "opencode": (60, 300),
    "OpenCode": (60, 300),
    "a-host-of-tomorrow": (60, 60),
}


def named(host: str) -> dict[str, Implementation]:
    """The client of a host."""
    return {"client_info": Implementation(name=host, version="1")}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("meta", [None, {"progress_token": 7}], ids=["silent", "with progress"])
@pytest.mark.parametrize("host", HOSTS)
async def test_a_call_ends_before_its_host_gives_it_up(
    host: str, meta: RequestParamsMeta | None, era: str
) -> None:
    async with world(era=era, client=named(host)) as w:
        result = await w.client.call_tool(DRAW, ENDLESS, meta=meta)
        assert facts(result)["status"] == "processing"
        assert lasted() == HOSTS[host][meta is not None] - ANSWER_MARGIN_SECONDS


@pytest.mark.parametrize("era", ERAS)
async def test_get_task_waits_as_long_as_its_host_allows(era: str) -> None:
    async with world(era=era, client=named("codex-mcp-client")) as w:
        made = facts(await w.call(DRAW, {**ENDLESS, "wait_seconds": 0}))
        await w.call("get_task", {"task_id": made["task_id"]})
        assert lasted() == 285


@pytest.mark.parametrize("host", ["claude-code", "a-host-of-tomorrow"])
@pytest.mark.parametrize(
    ("set_seconds", "asked_seconds", "seconds"), [(20, None, 20), (500, None, 500), (20, 70, 70)]
)
async def test_what_the_user_sets_and_what_the_call_says_come_first(
    host: str, set_seconds: int, asked_seconds: int | None, seconds: int
) -> None:
    async with world(client=named(host), wait_seconds=set_seconds) as w:
        asked = {} if asked_seconds is None else {"wait_seconds": asked_seconds}
        await w.call(DRAW, {**ENDLESS, **asked})
        assert lasted() == seconds


@pytest.mark.parametrize(("host", "pictures"), [("codex-mcp-client", 2), ("opencode", 1)])
async def test_an_image_counts_as_delivered_until_its_host_gives_up(
    host: str, pictures: int
) -> None:
    """Silent calls: the one host waits for 300 seconds, the other for 60."""
    async with world(client=named(host)) as w:
        for _ in range(2):
            await silently(w, {"prompt": "a fox [[takes 200s]]", "wait_seconds": 250})
        assert w.task_count == pictures


HANGS: list[Where] = ["prices", "prepare", "upload", "confirm", "create", "created", "poll"]


@pytest.mark.parametrize(("count", "era"), [(1, "legacy"), (8, "auto")])
@pytest.mark.parametrize("where", [*HANGS, "image", "all"])
async def test_whatever_hangs_an_unknown_host_is_answered_in_its_minute(
    where: Any, count: int, era: str, tmp_path: Path
) -> None:
    source = photo(tmp_path / "photos" / "fox.png")
    async with remixing(tmp_path, era=era, saves=True, previews=True) as w:
        for each in HANGS if where == "all" else (where,):
            w.sandbox.faults.inject(each, "slow", seconds=900, times=None)
        result = await w.call(REMIX, asking(source) | {"count": count})
        assert anyio.current_time() <= (58 if where == "image" else 50)
        is_free = where in ("prepare", "upload", "confirm", "all")
        assert ("paid nothing" in said(result) or "Nothing was paid" in said(result)) == is_free
        known = all(task_id in said(result) for task_id in w.task_ids)
        assert known or "RunAPI may or may not have charged this." in said(result)
        w.sandbox.faults.injected.clear()
        again = facts(await w.call(REMIX, asking(source) | {"count": count}))
        assert len(again["image_paths"]) == count == w.task_count


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("count", [1, 4])
async def test_a_request_that_outlasts_the_hosts_time_goes_on_and_the_same_call_gets_its_picture(
    count: int, era: str, tmp_path: Path
) -> None:
    source = photo(tmp_path / "photos" / "fox.png")
    call = asking(source) | {"count": count}
    async with remixing(tmp_path, era=era) as w:
        for step in ("prepare", "upload"):
            w.sandbox.faults.inject(step, "slow", seconds=14)
        w.sandbox.faults.inject("created", "slow", seconds=19, times=count)
        doubtful = await w.call(REMIX, call)
        assert anyio.current_time() <= 47
        assert "RunAPI has not answered yet. RunAPI may or may not have charged" in said(doubtful)
        assert "Call again with the same arguments" in said(doubtful)
        await anyio.sleep(30)
        assert w.task_count == count
        made, sent = w.task_ids, len(w.wire.paths("POST"))
        again = facts(await w.call(REMIX, call))
        assert again.get("task_ids", [again["task_id"]]) == made
        assert again["status"] == "completed"
        assert len(w.wire.paths("POST")) == sent


@pytest.mark.parametrize("show", ["recent", "running", "undelivered"])
@pytest.mark.parametrize("era", ERAS)
async def test_a_list_answers_at_once_whatever_runapi_does(show: str, era: str) -> None:
    async with world(era=era) as w:
        w.sandbox.faults.inject("created", "torn", times=None)
        await w.call(DRAW, ENDLESS)
        w.sandbox.faults.inject("prices", "slow", seconds=900, times=None)
        w.wire.down = True
        await anyio.sleep(120)
        began, sent = anyio.current_time(), len(w.wire.sent)
        listed = facts(await w.call("list_tasks", {"show": show}))
        assert [row["status"] for row in listed["tasks"]] == ["intended"]
        assert anyio.current_time() == began
        assert len(w.wire.sent) == sent


async def silently(w: World, arguments: dict[str, object]) -> None:
    result = await w.client.call_tool(DRAW, arguments)
    assert facts(result)["status"] == "completed"


def lasted() -> object:
    """How many seconds the test has lasted, as one compares them."""
    return pytest.approx(anyio.current_time(), abs=0.01)
