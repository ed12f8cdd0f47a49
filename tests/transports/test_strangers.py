"""Over HTTP a caller is a stranger: what it may make the server do and keep is bounded."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import anyio
import pytest
from starlette.types import ASGIApp, Message

from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.transports.http_app import http_app
from tests.support.processes import opening, request
from tests.support.telling_server import TOOL, telling_server
from tests.support.world import ERAS

pytestmark = pytest.mark.anyio

ADA, BOB = "Bearer sandbox-of-ada", "Bearer sandbox-of-bob"
HERE, THERE, ELSEWHERE = "127.0.0.1", "198.51.100.1", "198.51.100.2"
MODERN = {"mcp-protocol-version": "2026-07-28"}
Headers = list[tuple[str, str]]


@dataclass
class Exchange:
    """One request, and its answer as far as it has come."""

    app: ASGIApp
    method: str
    path: str
    address: str
    headers: Headers
    parts: list[bytes]
    query: str = ""
    is_whole: bool = True
    leaves: anyio.Event = field(default_factory=anyio.Event)
    sent: list[Message] = field(default_factory=list[Message])

    async def run(self) -> "Exchange":
        scope = {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": self.query.encode(),
            "http_version": "1.1",
            "client": (self.address, 1),
            "headers": [(name.encode(), value.encode()) for name, value in self.headers],
        }
        await self.app(scope, self._receive, self._send)
        return self

    async def _receive(self) -> Message:
        if self.parts:
            part = self.parts.pop(0)
            more = bool(self.parts) or not self.is_whole
            return {"type": "http.request", "body": part, "more_body": more}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def header(self) -> dict[str, str]:
        return {k.decode().lower(): v.decode() for k, v in self.sent[0]["headers"]}

    @property
    def session(self) -> str:
        return self.header["mcp-session-id"]

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    @property
    def endpoint(self) -> Mapping[str, str]:
        """Where an event stream takes its messages, as `ask` wants it."""
        told = urljoin(self.path, self.text.partition("data: ")[2].split()[0])
        path, _, query = told.partition("?")
        return {"path": path, "query": query}


@dataclass
class Site:
    """The program over HTTP, without sockets."""

    app: ASGIApp

    def ask(
        self,
        body: str = "",
        *more: tuple[str, str],
        key: str = "",
        address: str = THERE,
        method: str = "POST",
        path: str = "/mcp",
        session: str = "",
        **exchange: Any,
    ) -> Exchange:
        headers = [
            ("host", "127.0.0.1"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            *([("authorization", key)] if key else []),
            *([("mcp-session-id", session)] if session else []),
            *more,
        ]
        parts = [body.encode()]
        return Exchange(self.app, method, path, address, headers, parts, **exchange)

    async def open(self, key: str = "", address: str = THERE) -> Exchange:
        return await self.ask(opening("legacy")[0], key=key, address=address).run()

    async def is_open(self, session: str, key: str = "") -> bool:
        ping = request(9, "ping", "legacy")
        return (await self.ask(ping, key=key, session=session).run()).status == 200


@asynccontextmanager
async def site(*, needs_key: bool = True, **caps: int) -> AsyncGenerator[Site]:
    app = http_app(telling_server(lambda _: None), [], HttpCaps(**caps), needs_key=needs_key)
    async with app.router.lifespan_context(app):
        yield Site(app)


def telling(number: int, era: str = "legacy", seconds: float = 0) -> str:
    arguments = {"number": number, "seconds": seconds}
    return request(number, "tools/call", era, name=TOOL, arguments=arguments)


def modern(method: str, name: str = "") -> list[tuple[str, str]]:
    named = [("mcp-name", name)] if name else []
    return [("mcp-protocol-version", "2026-07-28"), ("mcp-method", method), *named]


@asynccontextmanager
async def under_way(*exchanges: Exchange) -> AsyncGenerator[None]:
    """These are begun, and left by their callers at the end of the block."""
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.run)
        await anyio.sleep(0.1)
        yield
        for exchange in exchanges:
            exchange.leaves.set()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("host", "127.0.0.1:8765")], 200),
        ([("host", "LocalHost:1")], 200),
        ([("host", "[::1]:65535")], 200),
        *(
            ([("host", host)], 421)
            for host in (
                "127.0.0.1:",
                "127.0.0.1:0",
                "127.0.0.1:65536",
                "127.0.0.1:x",
                "127.0.0.1:80x",
                "127.0.0.1:80:80",
                "127.0.0.1:80@evil.example",
                "127.0.0.1:evil.example",
                "127.0.0.1:٨٠",
                "[::1]:evil.example",
                "[::1",
                "::1",
                "",
            )
        ),
        ([("host", "127.0.0.1"), ("origin", "http://localhost:3000")], 200),
        *(
            ([("host", "127.0.0.1"), ("origin", origin)], 403)
            for origin in (
                "http://localhost:80@evil.example",
                "http://localhost:evil.example",
                "http://localhost:",
                "http://localhost/",
                "ftp://localhost",
                "localhost",
                "null",
                "",
            )
        ),
        ([("host", "127.0.0.1"), ("host", "127.0.0.1")], 400),
        *(
            ([("host", "127.0.0.1"), (name, value), (name, value)], 400)
            for name, value in (
                ("authorization", ADA),
                ("origin", "http://localhost"),
                ("mcp-session-id", "1"),
                ("mcp-protocol-version", "2026-07-28"),
                ("content-type", "application/json"),
            )
        ),
    ],
)
async def test_a_head_is_for_this_server_and_says_each_thing_once(
    headers: Headers, status: int
) -> None:
    async with site() as there:
        visit = there.ask(method="GET", path="/healthz")
        visit.headers = headers
        assert (await visit.run()).status == status


async def test_without_a_key_the_handshake_and_calls_are_answered_and_nothing_is_kept() -> None:
    async with site() as there:
        opened = await there.open()
        assert opened.status == 200
        assert opened.header["content-type"] == "application/json"
        assert "mcp-session-id" not in opened.header
        assert (await there.ask(opening("legacy")[1]).run()).status == 202
        assert json.loads((await there.ask(telling(1)).run()).text)["id"] == 1
        called = await there.ask(telling(2, "auto"), *modern("tools/call", TOOL)).run()
        assert json.loads(called.text)["result"]["content"][0]["text"] == "x"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/mcp", {}, 405),
        ("GET", "/mcp", {"mcp-session-id": "x"}, 404),
        ("GET", "/mcp", MODERN, 405),
        ("DELETE", "/mcp", {}, 405),
        ("DELETE", "/mcp", {"mcp-session-id": "x"}, 404),
        ("POST", "/mcp", {"mcp-session-id": "x"}, 404),
        ("GET", "/sse", {}, 401),
        ("GET", "/sse", {"authorization": "Basic YTpi"}, 401),
        ("GET", "/sse", {"authorization": "Bearer ${RUNAPI_API_KEY}"}, 401),
        ("POST", "/messages/", {}, 401),
    ],
)
async def test_without_a_key_no_stream_is_held_and_no_session_found(
    method: str, path: str, headers: Mapping[str, str], status: int
) -> None:
    async with site() as there:
        visit = there.ask("{}", *headers.items(), method=method, path=path)
        assert (await visit.run()).status == status


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("key", "most"), [("", 65_536), (ADA, 262_144)])
async def test_a_body_is_bounded(key: str, most: int, declared: bool, era: str) -> None:  # noqa: FBT001 - a row
    more = [("mcp-protocol-version", "2026-07-28")] if era == "auto" else []
    async with site() as there:
        for size, is_refused in ((most, False), (most + 1, True)):
            length = [("content-length", str(size))] if declared else []
            visit = there.ask("x" * size, *more, *length, key=key)
            assert ((await visit.run()).status == 413) == is_refused


async def test_a_body_that_breaks_off_is_answered_with_nothing() -> None:
    async with site() as there:
        visit = there.ask("{", is_whole=False)
        visit.leaves.set()
        assert (await visit.run()).sent == []


async def test_without_a_key_so_many_are_answered_in_a_second() -> None:
    async with site() as there:
        began, visits = anyio.current_time(), [there.ask(telling(n)) for n in range(200)]
        await answered(*visits[:9])
        assert anyio.current_time() - began == 0
        for at in range(9, 199, 10):
            await answered(*visits[at : at + 10])
        served = [visit for visit in visits[:199] if visit.status == 200]
        seconds = anyio.current_time() - began
        assert 10 <= len(served) <= 10 + 10 * (seconds + 5)
        refused = [visit for visit in visits[:199] if visit.status != 200]
        assert {(each.status, each.header["retry-after"]) for each in refused} <= {(429, "5")}


async def answered(*visits: Exchange) -> None:
    async with anyio.create_task_group() as group:
        for visit in visits:
            group.start_soon(visit.run)


async def test_who_asks_too_often_slows_nobody_else() -> None:
    async with site() as there, anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(there.ask(telling(number)).run)
        await anyio.sleep(1)
        began = anyio.current_time()
        for key, address in ((ADA, ELSEWHERE), ("", ELSEWHERE), (ADA, HERE)):
            visit = await there.ask(
                telling(1, "auto"), *modern("tools/call", TOOL), key=key, address=address
            ).run()
            assert visit.status == 200
        assert anyio.current_time() - began <= 1


async def test_made_up_keys_do_not_quicken_the_pace_of_an_address() -> None:
    async with site() as there:
        began = anyio.current_time()
        for number in range(300):
            key, body = f"Bearer made-up-{number}", telling(number, "auto")
            await there.ask(body, *modern("tools/call", TOOL), key=key).run()
        assert anyio.current_time() - began >= 2


async def test_half_a_body_holds_one_of_few_places_of_its_address() -> None:
    async with site() as there:
        halves = [there.ask("{", is_whole=False) for _ in range(10)]
        async with under_way(*halves):
            assert (await there.ask(telling(1)).run()).status == 429
            assert (await there.ask(telling(1), address=ELSEWHERE).run()).status == 200
            assert (await there.open(ADA)).status == 200
        assert (await there.ask(telling(1)).run()).status == 200


async def test_streams_are_counted_by_key_and_half_of_them_need_one() -> None:
    async with site(needs_key=False, streams=8, streams_per_caller=3) as there:

        def listening(key: str = "", address: str = THERE) -> Exchange:
            return there.ask(method="GET", path="/sse", key=key, address=address)

        held = [listening(ADA) for _ in range(3)]
        async with under_way(*held):
            assert [each.status for each in held] == [200] * 3
            assert (await listening(ADA).run()).status == 429
            keyless = [listening(address=f"192.0.2.{n}") for n in range(4)]
            async with under_way(*keyless):
                assert [each.status for each in keyless] == [200] * 4
                assert (await listening(address="192.0.2.9").run()).status == 429
                last = listening(BOB)
                async with under_way(last):
                    assert last.status == 200
                    assert (await listening("Bearer sandbox-of-eve").run()).status == 429


async def test_the_oldest_session_without_a_key_makes_room_and_none_with_one() -> None:
    async with site(needs_key=False, sessions=4) as there:
        ada = await there.open(ADA)
        first, second = await there.open(), await there.open()
        await there.open()
        assert await there.is_open(first.session)
        assert (await there.open(BOB)).status == 200
        assert await there.is_open(first.session)
        assert not await there.is_open(second.session)
        assert await there.is_open(ada.session, ADA)
        for number in range(2):
            assert (await there.open(f"Bearer sandbox-{number}")).status == 200
        assert (await there.open("Bearer sandbox-9")).status == 429
        assert (await there.open()).status == 429


async def test_a_session_with_a_call_in_hand_makes_no_room() -> None:
    async with site(needs_key=False, sessions=1) as there:
        opened = await there.open()
        call = there.ask(telling(1, seconds=60), session=opened.session)
        async with under_way(call):
            assert (await there.open(ADA)).status == 429
            await anyio.sleep(61)
            assert '"text":"x"' in call.text
        assert (await there.open(ADA)).status == 200
        assert not await there.is_open(opened.session)


async def test_a_session_with_a_key_outlives_one_without_and_ends_when_long_idle() -> None:
    async with site(needs_key=False, sessions_per_caller=1, session_idle_hours=1) as there:
        ada, keyless = await there.open(ADA), await there.open()
        await anyio.sleep(3500)
        assert (await there.open(ADA)).status == 429
        assert not await there.is_open(keyless.session)
        assert await there.is_open(ada.session, ADA)
        await anyio.sleep(3601)
        assert (await there.open(ADA)).status == 200
        assert not await there.is_open(ada.session, ADA)


async def test_a_session_that_was_ended_leaves_its_place() -> None:
    async with site(sessions_per_caller=1) as there:
        for _ in range(3):
            opened = await there.open(ADA)
            assert opened.status == 200
            ended = there.ask(method="DELETE", key=ADA, session=opened.session)
            assert (await ended.run()).status == 200
        for body in ("{", "[]", request(1, "tools/list", "legacy")):
            assert (await there.ask(body, key=ADA).run()).status == 400
        assert (await there.open(ADA)).status == 200


@pytest.mark.parametrize("again", [1, "1"])
async def test_an_id_that_is_in_hand_is_refused_and_both_are_answered(again: int | str) -> None:
    async with site() as there:
        session = (await there.open(ADA)).session
        first = there.ask(telling(1, seconds=5), key=ADA, session=session)
        second = json.dumps({**json.loads(telling(1)), "id": again})
        async with under_way(first):
            refused = await there.ask(second, key=ADA, session=session).run()
            assert refused.status == 400
            assert json.loads(refused.text)["id"] == again
            await anyio.sleep(6)
            assert '"text":"x"' in first.text
        assert (await there.ask(second, key=ADA, session=session).run()).status == 200


async def test_words_without_an_id_never_count_as_the_same() -> None:
    async with site() as there:
        session = (await there.open(ADA)).session
        words = [there.ask(opening("legacy")[1], key=ADA, session=session) for _ in range(9)]
        await answered(*words)
        assert {each.status for each in words} == {202}
