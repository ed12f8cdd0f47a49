"""Runflow answers nonsense: nothing is paid twice, nothing is taken for an absence or a picture."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest

from runapi_mcp.images.folders import Folders
from tests.providers.runflow.made_up import DONE, FLEX, RUN_ID, RUNFLOW_KEY, server_of
from tests.support.ledgers import contents
from tests.support.world import MADE_UP_KEY, facts, said

pytestmark = pytest.mark.anyio

FOX: Final[Mapping[str, Any]] = {"prompt": "a fox", "wait_seconds": 0}
OTHER_ID: Final = "0199aa00-0000-7000-8000-000000000002"
PAGE: Final = "<html><body>Down for maintenance</body></html>"
DEEP: Final = "[" * 3000 + "]" * 3000
OTHER_RUN: Final = {**DONE, "id": OTHER_ID, "client_ref": "another"}
EMPTY: Final[Mapping[str, Any]] = {"items": [], "first": "a", "next": None, "previous": None}


def listed(**more: object) -> httpx.Response:
    return httpx.Response(200, json={**EMPTY, **more})


LISTS: Final[Mapping[str, httpx.Response]] = {
    "a page": httpx.Response(200, text=PAGE),
    "an error": httpx.Response(200, json={"code": "OOPS", "message": "Try later", "errors": None}),
    "an error beside no runs": listed(code="INDEX_UNAVAILABLE", message="Try later"),
    "errors beside no runs": listed(errors=[{"message": "shard 3 timed out"}]),
    "another page by the guide": listed(next_pq="abc"),
    "another page by another name": listed(next_cursor="abc"),
    "another page as an object": listed(next={"pq": "abc"}),
    "another page as a number": listed(next=2),
    "another page in links": listed(links={"next": "/v1/runs?pq=abc"}),
    "another page in a pagination": listed(pagination={"has_more": True}),
    "more": listed(has_more=True),
    "more in all": listed(total=3),
    "a partial answer": listed(partial=True),
    "runs as an object": listed(items={}),
    "runs as a text": listed(items=""),
    "no runs at all": listed(items=None),
    "runs by page": listed(items=[[OTHER_RUN]]),
    "a run without a reference": listed(items=[{"id": OTHER_ID}]),
    "a run without an id": listed(items=[{**OTHER_RUN, "id": 7}]),
    "a list": httpx.Response(200, json=[]),
    "nothing": httpx.Response(200, content=b""),
    "null": httpx.Response(200, json=None),
    "no content": httpx.Response(204),
    "deep": httpx.Response(200, text=f'{{"items": {DEEP}}}'),
    "a bomb": httpx.Response(
        200, content=gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}
    ),
    "a redirect": httpx.Response(302, headers={"Location": "https://elsewhere.example/"}),
    "forbidden": httpx.Response(403, json={"code": "PERMISSION_DENIED", "message": "No."}),
    "not found": httpx.Response(404, json={"code": "NOT_FOUND", "message": "No."}),
    "refused": httpx.Response(400, json={"code": "BAD_FILTER", "message": "No."}),
}


class Hostile:
    """A Runflow whose creates are lost, and which answers lists and reads as a test says."""

    def __init__(self, listing: Callable[[httpx.Request], httpx.Response]) -> None:
        self.listing = listing
        self.references: list[str] = []
        """What was ordered."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.references.append(json.loads(request.content)["client_ref"])
            raise httpx.ReadError("torn")
        if request.url.path == "/v1/runs":
            return self.listing(request)
        return httpx.Response(404, json={"code": "RUN_NOT_FOUND", "message": "No."})


async def called_for_an_hour(there: Hostile) -> list[str]:
    """What the same call says, again and again."""
    heard: list[str] = []
    async with server_of(there) as client:
        for _ in range(20):
            heard.append(said(await client.call_tool(FLEX, FOX)))
            await anyio.sleep(180)
    return heard


@pytest.mark.parametrize("listing", LISTS.values(), ids=LISTS)
async def test_a_list_that_is_not_understood_whole_is_no_absence(listing: httpx.Response) -> None:
    there = Hostile(lambda _: listing)
    heard = await called_for_an_hour(there)
    assert len(there.references) == 1
    assert all("Runflow may or may not have charged this." in each for each in heard)


async def test_a_list_that_never_ends_is_no_absence() -> None:
    there = Hostile(lambda _: listed(items=[OTHER_RUN], next="again"))
    assert len({*await called_for_an_hour(there)}) <= 2
    assert len(there.references) == 1


async def test_a_run_on_a_later_page_is_found() -> None:
    def listing(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params.get("pq", "0"))
        if page < 3:
            return listed(items=[OTHER_RUN], next=str(page + 1))
        return listed(items=[OTHER_RUN, {**DONE, "client_ref": there.references[0]}])

    there = Hostile(listing)
    async with server_of(there) as client:
        made = facts(await client.call_tool(FLEX, FOX))
    assert (made["task_id"], made["status"], len(there.references)) == (RUN_ID, "completed", 1)


async def test_a_list_that_ignores_what_it_is_asked_gives_no_strangers_run() -> None:
    there = Hostile(lambda _: listed(items=[OTHER_RUN]))
    async with server_of(there) as client:
        heard = said(await client.call_tool(FLEX, FOX))
    assert OTHER_ID not in heard
    assert len(there.references) == 1


CREATED: Final[Mapping[str, httpx.Response]] = {
    "a page": httpx.Response(201, text=PAGE),
    "nothing": httpx.Response(201, content=b""),
    "an error": httpx.Response(200, json={"code": "OOPS", "message": "No.", "errors": None}),
    "no id": httpx.Response(201, json={"status_code": "queued"}),
    "a path as id": httpx.Response(201, json={**DONE, "id": "../../billing/balance"}),
    "a number as id": httpx.Response(201, json={**DONE, "id": 7}),
    "a long id": httpx.Response(201, json={**DONE, "id": "a" * 70_000}),
    "a list": httpx.Response(201, json=[DONE]),
    "deep": httpx.Response(201, text=f'{{"id": {DEEP}}}'),
    "a redirect": httpx.Response(308, headers={"Location": "https://elsewhere.example/"}),
    "not modified": httpx.Response(304),
    "too early": httpx.Response(425),
}


@pytest.mark.parametrize("created", CREATED.values(), ids=CREATED)
async def test_a_create_that_names_no_run_is_looked_for_and_never_sent_again(
    created: httpx.Response,
) -> None:
    sent: list[httpx.Request] = []
    referred: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.method == "POST":
            referred.append(json.loads(request.content)["client_ref"])
            return created
        if request.url.path == "/v1/runs":
            return listed(items=[{**DONE, "client_ref": referred[0]}])
        return httpx.Response(200, json=DONE)

    async with server_of(answer) as client:
        made = facts(await client.call_tool(FLEX, FOX))
    assert made["task_id"] == RUN_ID
    assert len(referred) == 1
    assert {request.url.host for request in sent} == {"api.runflow.io"}


@pytest.mark.parametrize(
    "read",
    [
        httpx.Response(200, text=PAGE),
        httpx.Response(200, json={**DONE, "id": OTHER_ID}),
        httpx.Response(200, json={"code": "OOPS", "message": "No.", "errors": None}),
        httpx.Response(200, json=[DONE]),
        httpx.Response(200, json={**DONE, "status_code": ["succeeded"]}),
        httpx.Response(200, json={"id": RUN_ID, "status": "succeeded", "output": DONE["output"]}),
        httpx.Response(503, text=PAGE),
        httpx.Response(302, headers={"Location": "https://elsewhere.example/"}),
    ],
    ids=["page", "other", "error", "list", "state", "callback's form", "503", "redirect"],
)
async def test_a_read_that_is_not_understood_is_no_picture_and_keeps_the_id(
    read: httpx.Response,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json={**DONE, "status_code": "queued", "output": None})
        return read if request.url.path.endswith(RUN_ID) else listed()

    async with server_of(answer) as client:
        told = facts(await client.call_tool(FLEX, {**FOX, "wait_seconds": 5}))
    assert told["task_id"] == RUN_ID
    assert told["status"] in ("unknown", "pending")
    assert "image_urls" not in told


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/fox.jpeg",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/fox.jpeg",
        "https://[::1]/fox.jpeg",
        "http://127.0.0.1:8700/fox.jpeg",
        "http://pictures.example/fox.jpeg",
        "https://api.runflow.internal/fox.jpeg",
    ],
)
async def test_a_picture_at_a_private_address_is_refused_and_never_asked_for(
    url: str, tmp_path: Path
) -> None:
    asked: list[httpx.Request] = []

    def answer_picture(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"")

    def answer(request: httpx.Request) -> httpx.Response:
        done = {**DONE, "output": {"outputs": [{"url": url}]}}
        return httpx.Response(201 if request.method == "POST" else 200, json=done)

    images = httpx.MockTransport(answer_picture)
    async with server_of(
        answer, folders=Folders(tmp_path), images=images, saves=True, previews=False
    ) as client:
        told = facts(await client.call_tool(FLEX, {**FOX, "wait_seconds": 5}))
    assert told["notice"].endswith("It was refused, and is left out.")
    assert (told["task_id"], told.keys() & {"image_urls", "paths"}) == (RUN_ID, set())
    assert (asked, contents(tmp_path)) == ([], b"")


async def test_each_vendor_is_told_its_own_key_alone() -> None:
    keys: set[tuple[str, str]] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        if authorization := request.headers.get("authorization"):
            keys.add((request.url.host, authorization))
        return httpx.Response(404, json={"code": "RUN_NOT_FOUND", "message": "No."})

    async with server_of(answer, runapi=answer) as client:
        for tool, arguments in (
            ("get_task", {"task_id": RUN_ID}),
            ("check_balance", {}),
            ("check_pricing", {}),
            (FLEX, FOX),
            ("flux_2_pro_text_to_image", FOX),
        ):
            await client.call_tool(tool, arguments)
    assert keys == {
        ("runapi.ai", f"Bearer {MADE_UP_KEY.reveal()}"),
        ("api.runflow.io", f"Bearer {RUNFLOW_KEY.reveal()}"),
    }
