"""The answer to a request over HTTP: when it begins, what it becomes, when it counts as out."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from runapi_mcp.transports.http_app import http_app
from tests.support.processes import cancellation, opening, request
from tests.support.telling_server import TOOL, telling_server
from tests.support.world import ERAS

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
SOON_SECONDS = 1.0
"""By then the first byte of an answer is out."""


@dataclass
class Site:
    """The program over HTTP, without sockets."""

    app: Starlette
    era: str
    out: list[int]
    came: dict[int, float]
    session: str = ""

    def call(self, number: int, **arguments: float) -> "Visit":
        asked = {"number": number, **arguments}
        return self.visit(request(number, "tools/call", self.era, name=TOOL, arguments=asked))

    def visit(self, body: str) -> "Visit":
        modern = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}
        modern["mcp-name"] = TOOL
        legacy = {"mcp-session-id": self.session} if self.session else {}
        headers = {
            "host": "127.0.0.1",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            **(modern if self.era == "auto" else legacy),
        }
        return Visit(self.app, headers, body.encode())


@dataclass
class Visit:
    """One request, and what came back at which second."""

    app: Starlette
    headers: dict[str, str]
    body: bytes
    sent: list[tuple[float, Message]] = field(default_factory=list[tuple[float, Message]])
    leaves: anyio.Event = field(default_factory=anyio.Event)
    read_seconds: float = 0.0
    """How long the client takes for each part of the answer."""
    _asked: bool = False

    async def run(self) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "root_path": "",
            "query_string": b"",
            "http_version": "1.1",
            "headers": [(k.encode(), v.encode()) for k, v in self.headers.items()],
        }
        await self.app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await anyio.sleep(self.read_seconds)
        self.sent.append((anyio.current_time(), message))

    @property
    def begun_at(self) -> float:
        return self.sent[0][0]

    @property
    def status(self) -> int:
        return self.sent[0][1]["status"]

    @property
    def header(self) -> dict[str, str]:
        return {k.decode().lower(): v.decode() for k, v in self.sent[0][1]["headers"]}

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for _, message in self.sent).decode()

    def answer(self) -> dict[str, Any]:
        """The JSON-RPC answer, alone or as an event."""
        if "event-stream" not in self.header["content-type"]:
            return json.loads(self.text)
        lines = [line for line in self.text.splitlines() if line.startswith("data: ")]
        return json.loads(lines[-1].removeprefix("data: "))


@asynccontextmanager
async def site(era: str) -> AsyncGenerator[Site]:
    out, came = list[int](), dict[int, float]()
    app = http_app(telling_server(out.append, came.__setitem__), [], needs_key=False)
    async with app.router.lifespan_context(app):
        there = Site(app, era, out, came)
        if era == "legacy":
            visit = there.visit(opening(era)[0])
            await visit.run()
            there.session = visit.header["mcp-session-id"]
            await there.visit(opening(era)[1]).run()
        yield there


@ERA
async def test_an_answer_that_is_long_in_coming_begins_within_a_second(era: str) -> None:
    async with site(era) as there:
        visit, asked_at = there.call(1, seconds=40), anyio.current_time()
        await visit.run()
        assert visit.begun_at - asked_at <= SOON_SECONDS
        assert (visit.status, visit.header["content-type"][:17]) == (200, "text/event-stream")
        assert visit.text.count(": ping") >= 2
        assert visit.answer()["result"]["content"][0]["text"] == "x"
        assert visit.sent[-1][1].get("more_body") in (None, False)
        assert there.out == [1]


@ERA
async def test_a_silent_answer_shows_life_so_that_a_proxy_finds_out_who_left(era: str) -> None:
    async with site(era) as there:
        visit, asked_at = there.call(1, seconds=100), anyio.current_time()
        await visit.run()
        moments = [0.0, *(at - asked_at for at, _ in visit.sent)]
        gaps = list(pairwise(moments))
        # Whoever left is found out in the time that he had waited, and a little.
        assert all(after - before <= max(before + 0.5, 0.5) for before, after in gaps)
        assert all(after - before <= 15 for before, after in gaps)
        assert visit.text.count(": ping") < 20


@ERA
@pytest.mark.parametrize("words", [0, 1])
@pytest.mark.parametrize("seconds", [0, 0.2, 0.49, 0.5, 0.51, 3, 15, 16])
async def test_an_answer_is_the_same_whenever_it_comes(
    era: str, seconds: float, words: int
) -> None:
    async with site(era) as there:
        visit = there.call(1, seconds=seconds, words=words)
        await visit.run()
        assert sum(message["type"].endswith("start") for _, message in visit.sent) == 1
        assert visit.answer()["id"] == 1
        assert "result" in visit.answer()


async def test_an_error_at_once_keeps_its_status() -> None:
    async with site("auto") as there:
        visit = there.call(1)
        visit.headers["mcp-method"] = "tools/list"
        await visit.run()
        assert visit.status == 400
        assert visit.answer()["error"]


@ERA
async def test_an_answer_counts_as_out_with_its_last_byte_and_not_before(era: str) -> None:
    async with site(era) as there, anyio.create_task_group() as group:
        visit = there.call(1, seconds=2, words=1)
        visit.read_seconds = 5
        group.start_soon(visit.run)
        while not visit.sent or visit.sent[-1][1].get("more_body", True):
            assert there.out == []
            await anyio.sleep(1)
        await anyio.sleep(1)
        assert there.out == [1]


@ERA
@pytest.mark.parametrize("leaves_after", [0.1, 1, 1.9])
async def test_an_answer_to_one_who_has_left_is_not_out(era: str, leaves_after: float) -> None:
    async with site(era) as there, anyio.create_task_group() as group:
        visit = there.call(1, seconds=2)
        group.start_soon(visit.run)
        await anyio.sleep(leaves_after)
        visit.leaves.set()
        await anyio.sleep(60)
        assert there.out == []


async def test_a_request_whose_client_left_is_cancelled() -> None:
    async with site("auto") as there, anyio.create_task_group() as group:
        visit = there.call(1, seconds=20)
        group.start_soon(visit.run)
        await anyio.sleep(5)
        visit.leaves.set()
        await anyio.sleep(60)
        assert there.came == {}


async def test_the_word_that_a_call_was_cancelled_is_no_delivery() -> None:
    async with site("legacy") as there, anyio.create_task_group() as group:
        visit = there.call(1, seconds=20)
        group.start_soon(visit.run)
        await anyio.sleep(5)
        await there.visit(cancellation(1)).run()
        await anyio.sleep(60)
        assert visit.answer()["error"]["message"] == "Request cancelled"
        assert there.out == []


@ERA
async def test_a_request_came_when_it_was_read_however_long_it_takes(era: str) -> None:
    async with site(era) as there, anyio.create_task_group() as group:
        asked: dict[int, float] = {}
        for number in (1, 2, 3):
            asked[number] = anyio.current_time()
            group.start_soon(there.call(number, seconds=9 - 2 * number).run)
            await anyio.sleep(1)
        await anyio.sleep(60)
        assert there.came == asked
