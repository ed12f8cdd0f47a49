"""A failed upload pays nothing, is told in words, and the same call works afterwards."""

import re
from pathlib import Path

import anyio
import httpx
import pytest

from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.limits import Limits
from runapi_mcp.sandbox.faults import FaultKind, Where
from tests.support.photos import (
    PAYING,
    REMIX,
    STEPS,
    asking,
    assert_free,
    photo,
    remixing,
    seed_of,
    sources_of,
)
from tests.support.world import ERAS, NO_PICTURES, client_of, facts, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
HOW: tuple[FaultKind, ...] = ("401", "404", "409", "429", "500", "html", "torn")
FAILING: list[tuple[Where, FaultKind]] = [
    *((step, kind) for step in STEPS for kind in HOW),
    ("prepare", "broken-json"),
    ("confirm", "broken-json"),
]


@pytest.mark.parametrize(("step", "kind"), FAILING)
async def test_a_failed_upload_pays_nothing_and_the_same_call_works_afterwards(
    step: Where, kind: FaultKind, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, limits=Limits(per_day_cents=100)) as w:
        w.sandbox.faults.inject(step, kind)
        failed = await w.call(REMIX, asking(fox))
        assert failed.is_error
        assert said(failed).count("Nothing was paid.") == 1
        assert "may or may not" not in said(failed)
        await assert_free(w)
        again = await w.call(REMIX, asking(fox))
        assert facts(again)["status"] == "completed"
        assert "joined" not in facts(again)
        assert facts(again)["left_today_cents"] == 95
        assert w.task_count == 1
        assert [seed_of(each) for each in await sources_of(w)] == [50]


@ERA
@pytest.mark.parametrize("step", STEPS)
async def test_an_upload_that_hangs_ends_and_pays_nothing(
    era: str, step: Where, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, era=era) as w:
        w.sandbox.faults.inject(step, "slow", seconds=9_000, times=None)
        failed = await w.call(REMIX, asking(fox))
        assert re.search(r"(Nothing was paid|This call paid nothing)\.", said(failed))
        assert anyio.current_time() <= 125
        await assert_free(w)


@pytest.mark.parametrize("kind", ["401", "409"])
async def test_what_the_storage_refuses_is_not_told_as_a_wrong_key_or_a_paid_call(
    kind: FaultKind, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("upload", kind)
        failed = await w.call(REMIX, asking(fox))
        assert "API key" not in said(failed)
        assert "idempotency key" not in said(failed)


async def test_of_several_uploads_one_failure_ends_the_others_at_once(tmp_path: Path) -> None:
    photos = [photo(tmp_path / f"photos/{seed}.png", seed=seed) for seed in range(10, 50, 10)]
    async with remixing(tmp_path) as w:
        w.sandbox.faults.inject("prepare", "500")
        w.sandbox.faults.inject("upload", "slow", seconds=60, times=None)
        failed = await w.call(REMIX, asking(*photos))
        assert said(failed).count("Nothing was paid.") == 1
        assert anyio.current_time() < 5
        await assert_free(w)


async def test_a_network_that_is_down_pays_nothing(tmp_path: Path, fox: Path) -> None:
    async with remixing(tmp_path) as w:
        w.wire.down_after_posts = 1
        failed = await w.call(REMIX, asking(fox))
        assert said(failed).count("Nothing was paid.") == 1
        w.wire.down_after_posts = None
        await assert_free(w)


async def test_an_address_that_may_not_have_the_key_is_told_as_the_setting_to_change(
    tmp_path: Path, fox: Path
) -> None:
    asked: list[str] = []

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url.path)
        return httpx.Response(404)

    folders = Folders(tmp_path / "pictures", (tmp_path / "photos",))
    unsafe = "http://runapi.example"
    async with client_of(answer, base_url=unsafe, folders=folders, **NO_PICTURES) as client:
        refused = await client.call_tool(REMIX, asking(fox))
    assert refused.is_error
    assert "RUNAPI_BASE_URL" in said(refused)
    assert not any("files" in path for path in asked)


ODD_HEADERS: list[dict[str, object]] = [
    {"X-Ö": "1"},
    {"X": "ö\u2028"},
    {"X": "1\r\nY: 2"},
    {"": ""},
    {"X": {}},
]


ODD_PLACES: list[dict[str, object]] = [
    {},
    {"upload_url": "https://storage.example/1"},
    {"signed_id": "1", "upload_url": 7},
    *(
        {"signed_id": "1", "upload_url": url, "headers": {}}
        for url in (
            "",
            "nowhere",
            "/uploads/1",
            "ftp://storage.example/1",
            "http://[",
            "http://a:b",
        )
    ),
    *(
        {"signed_id": "1", "upload_url": "https://storage.example/1", "headers": headers}
        for headers in ODD_HEADERS
    ),
]


@pytest.mark.parametrize("place", ODD_PLACES)
async def test_an_odd_place_for_an_upload_is_a_failure_in_words(
    place: dict[str, object], project: Path
) -> None:
    photo(project / "fox.png")
    asked: list[str] = []

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url.path)
        if sent.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("as a real transport says")
        if sent.headers["host"] == "storage.example":
            assert "authorization" not in sent.headers
            return httpx.Response(503)
        return httpx.Response(200 if sent.method == "POST" else 404, json=place)

    async with client_of(answer) as client:
        failed = await client.call_tool(REMIX, asking("fox.png"))
    assert failed.is_error
    assert said(failed).count("Nothing was paid.") == 1
    assert PAYING not in asked


@pytest.mark.parametrize(
    "expires_at",
    [None, 7, "", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2020-01-01"],
)
async def test_an_odd_end_of_an_uploads_life_does_not_hinder_the_call(
    expires_at: object, project: Path
) -> None:
    photo(project / "fox.png")
    asked: list[str] = []
    url = "https://files.example/1"
    place = {"signed_id": "1", "upload_url": "https://storage.example/1"}

    def answer(sent: httpx.Request) -> httpx.Response:
        asked.append(sent.url.path)
        if sent.url.path == PAYING:
            return httpx.Response(402)
        confirmed = {"url": url, "expires_at": expires_at}
        return httpx.Response(200, json=confirmed if "confirm" in sent.url.path else place)

    async with client_of(answer) as client:
        failed = await client.call_tool(REMIX, asking("fox.png"))
    assert said(failed).count("Nothing was paid.") == 1
    assert asked[-1] == PAYING
