"""Over HTTP: whose key pays, who is let in, and an end in time, on every route and in both eras."""

import signal
import socket
import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from runapi_mcp import __version__
from tests.support.processes import (
    DRAW,
    ENDING,
    ENDLESS,
    LATE,
    LIMIT_SECONDS,
    SIGNALS,
    SLOW,
    Heard,
    Network,
    Program,
    assert_progress,
    call,
    draw,
    drawing,
    finished,
    host,
    network,
    opening,
    program,
    request,
)
from tests.support.world import ERAS, KEY, facts, said

pytestmark = pytest.mark.anyio

WAYS = [(path, era) for path in ("/mcp", "/sse") for era in ERAS]
WAY = pytest.mark.parametrize(("path", "era"), WAYS)
SENDS = [
    ("GET", "/healthz"),
    ("GET", "/mcp"),
    ("POST", "/mcp"),
    ("DELETE", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/messages/?session_id=0"),
    ("GET", "/"),
    ("GET", "/nowhere"),
]


@dataclass(frozen=True, slots=True)
class Server:
    """A server over HTTP: where it is, what it runs in, whom it asks."""

    url: str
    program: Program
    net: Network


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(*options: str, **settings: str) -> AsyncGenerator[Server]:
    """A server that has a key of its own."""
    command = ("serve", "--http", "--port", "0", *options)
    async with (
        network() as net,
        program(*command, environment={**net.environment(), **settings}) as running,
    ):
        line = await running.stderr.holding("runapi-mcp serves ")
        yield Server(line.split()[2].removesuffix("/mcp"), running, net)


@pytest.fixture(scope="module")
async def server() -> AsyncGenerator[Server]:
    """One for all tests that leave it as it was; each pays with its own key."""
    async with serving() as running:
        yield running


@pytest.fixture
def key() -> str:
    return f"sandbox-{uuid.uuid4().hex}"


@WAY
async def test_a_picture_is_drawn_with_progress_for_the_key_of_the_request(
    server: Server, key: str, path: str, era: str
) -> None:
    heard: list[Heard] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with host(server.url, path, era, key) as client:
        assert (client.protocol_version == "2026-07-28") == (era == "auto")
        result = await draw(client, on_progress=on_progress)
    assert facts(result)["status"] == "completed"
    assert_progress(heard)
    assert server.net.account(key).spent_cents == 5
    assert server.net.account().spent_cents == 0
    assert server.program.stdout.seen == []


async def test_each_request_pays_from_its_own_account(server: Server, key: str) -> None:
    async with (
        host(server.url, "/mcp", "auto", f"{key}-of-alice") as alice,
        host(server.url, "/mcp", "legacy", f"{key}-of-bob") as bob,
    ):
        await draw(alice)
        await draw(bob)
        await draw(alice, LATE)
    assert server.net.account(f"{key}-of-alice").spent_cents == 10
    assert server.net.account(f"{key}-of-bob").spent_cents == 5


async def test_one_key_does_not_see_the_tasks_of_another(server: Server, key: str) -> None:
    async with host(server.url, "/mcp", "auto", f"{key}-of-alice") as alice:
        drawn = facts(await draw(alice))
    async with host(server.url, "/mcp", "auto", f"{key}-of-bob") as bob:
        result = await bob.call_tool("get_task", {"task_id": drawn["task_id"]})
    assert result.is_error
    assert "no task with this id for this API key" in said(result)


@pytest.mark.parametrize("era", ERAS)
async def test_a_request_without_a_key_is_told_how_to_send_one(server: Server, era: str) -> None:
    async with host(server.url, "/mcp", era, key=None) as client:
        result = await draw(client)
        prices = await client.call_tool("check_pricing")
    assert result.is_error
    assert said(result) == (
        "The request carries no RunAPI API key. "
        "Create one at https://runapi.ai and send it as the header Authorization: Bearer KEY."
    )
    assert not prices.is_error
    assert server.net.account().tasks == {}


async def test_a_refused_key_is_looked_for_where_the_caller_sent_it(server: Server) -> None:
    async with host(server.url, "/mcp", "auto", "sk-not-of-the-sandbox") as client:
        answer = said(await client.call_tool("check_balance", {}))
    assert "Check the Authorization header, or create a new key" in answer
    assert "RUNAPI_API_KEY" not in answer


async def test_what_a_setting_forbids_is_said_to_be_for_who_runs_the_server(key: str) -> None:
    async with (
        serving(RUNAPI_MAX_COST_PER_CALL="0.01") as server,
        host(server.url, "/mcp", "auto", key) as client,
    ):
        answer = said(await draw(client))
    assert answer.endswith("RUNAPI_MAX_COST_PER_CALL. (Whoever runs this server sets that.)")


async def test_the_key_of_the_server_pays_for_others_when_it_is_shared(key: str) -> None:
    async with serving("--share-key") as server:
        async with host(server.url, "/mcp", "auto", key=None) as client:
            await draw(client)
        assert server.net.account().spent_cents == 5
        async with host(server.url, "/mcp", "auto", key) as client:
            await draw(client)
        assert server.net.account().spent_cents == 5
        assert server.net.account(key).spent_cents == 5


async def test_health_is_told_to_whoever_asks(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.get("/healthz", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "name": "runapi-mcp", "version": __version__}


@pytest.mark.parametrize(("method", "path"), SENDS)
async def test_another_name_or_page_is_kept_out_of_every_route(
    server: Server, method: str, path: str
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http:
        for name in ("evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"):
            answer = await http.request(method, path, headers={"Host": name})
            assert (answer.status_code, "--allow-host NAME" in answer.text) == (421, True)
        for origin in ("http://evil.example", "null", "http://localhost.evil.example"):
            answer = await http.request(method, path, headers={"Origin": origin})
            assert (answer.status_code, "--allow-host NAME" in answer.text) == (403, True)


async def test_beyond_this_machine_it_answers_to_the_names_it_was_given() -> None:
    async with serving("--host", "0.0.0.0", "--allow-host", "Draw.example") as server:  # noqa: S104 - the case in point
        port = httpx.URL(server.url).port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

            async def status(host: str, origin: str) -> int:
                headers = {"Host": host, "Origin": origin}
                return (await http.get("/healthz", headers=headers)).status_code

            assert await status("draw.example", "https://draw.example") == 200
            assert await status(f"draw.example:{port}", f"http://draw.example:{port}") == 200
            assert await status(f"localhost:{port}", "http://127.0.0.1") == 200
            assert await status("other.example", "https://draw.example") == 421
            assert await status("draw.example", "https://other.example") == 403


@WAY
async def test_a_cancelled_wait_stops_looking(
    server: Server, key: str, path: str, era: str
) -> None:
    log = server.program.stderr
    async with host(server.url, path, era, key) as client:
        skipped = len(log.seen)
        async with drawing(client, ENDLESS) as waits:
            await waits.wait()
        await log.holding("stopped waiting", skipped)
        [endless] = server.net.account(key).tasks
        looks = server.net.looks(endless)
        await draw(client, LATE)
        assert server.net.looks(endless) == looks


@WAY
async def test_a_cancelled_create_is_carried_through_once_and_its_task_named(
    server: Server, key: str, path: str, era: str
) -> None:
    async with host(server.url, path, era, key) as client:
        before, log = server.net.paid_requests(), server.program.stderr
        skipped = len(log.seen)
        async with drawing(client, "a fox [[slow 0.3s]]"):
            await server.net.next_paid_request()
        line = await log.holding("task", skipped)
        [task_id] = server.net.account(key).tasks
        assert line == f"runapi-mcp: stopped waiting; task {task_id} goes on, and get_task finds it"
        assert server.net.account(key).spent_cents == 5
        assert server.net.paid_requests() == before + 1


@SIGNALS
async def test_a_signal_ends_it() -> None:
    async with serving() as server:
        server.program.process.send_signal(signal.SIGINT)
        assert await server.program.end() == 0
        assert server.program.stdout.seen == []
        told = f"runapi-mcp serves {server.url}/mcp (SSE: /sse; other names: --allow-host)"
        assert server.program.stderr.seen == [told]


@SIGNALS
async def test_a_signal_ends_it_in_the_middle_of_waits_of_every_kind() -> None:
    async with serving() as server, AsyncExitStack() as stack:
        for path, era in WAYS:
            client = await stack.enter_async_context(host(server.url, path, era, KEY))
            prompt = f"{ENDLESS} {path} {era}"
            waits = await stack.enter_async_context(drawing(client, prompt))
            await waits.wait()
        server.program.process.send_signal(signal.SIGTERM)
        assert await server.program.end() == 0
        assert len(server.net.account().tasks) == len(WAYS)
        assert sorted(server.program.stderr.seen[1:]) == sorted(server.net.farewells())


@SIGNALS
async def test_a_signal_ends_it_in_the_middle_of_a_create() -> None:
    async with (
        serving() as server,
        host(server.url, "/mcp", "legacy", KEY) as client,
        drawing(client, SLOW),
    ):
        await server.net.next_paid_request()
        server.program.process.send_signal(signal.SIGTERM)
        assert await server.program.end() == 0
        assert server.net.paid_requests() == 1  # it did not stay to ask again


@SIGNALS
@pytest.mark.parametrize(("path", "era"), WAYS[:3])
async def test_a_task_made_while_it_ends_is_named_in_its_log(path: str, era: str) -> None:
    async with (
        serving() as server,
        host(server.url, path, era, KEY) as client,
        drawing(client, ENDING),
    ):
        await server.net.next_paid_request()
        server.program.process.send_signal(signal.SIGTERM)
        assert await server.program.end() == 0
        assert len(server.net.account().tasks) == 1
        assert server.program.stderr.seen[1:] == server.net.farewells()


@SIGNALS
async def test_a_signal_ends_it_while_somebody_only_listens() -> None:
    async with (
        serving() as server,
        httpx.AsyncClient(base_url=server.url) as http,
        http.stream("GET", "/sse", headers={"Authorization": f"Bearer {KEY}"}) as events,
    ):
        assert await anext(events.aiter_lines()) == "event: endpoint"
        server.program.process.send_signal(signal.SIGTERM)
        assert await server.program.end() == 0
        assert server.program.stderr.seen[1:] == []


def test_listening_beyond_this_machine_without_a_name_is_refused() -> None:
    refused = finished("serve", "--http", "--host", "0.0.0.0", "--share-key")  # noqa: S104 - the case in point
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        "runapi-mcp: Listening on 0.0.0.0 would let other machines in under any name. "
        "Name the host they use with --allow-host, or listen on 127.0.0.1.\n"
    )


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = finished("serve", "--http", "--port", str(port))
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        f"runapi-mcp: Cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another --port; 0 takes a free one.\n"
    )


def test_leaving_slowly_is_refused_where_nobody_else_would_serve() -> None:
    refused = finished("serve", "--http", "--port", "0", "--drain-seconds", "5")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "runapi-mcp: --drain-seconds is for servers that share a database: another one serves "
        "meanwhile. Set RUNAPI_DATABASE_URL, or leave it out.\n"
    )


async def test_in_the_sandbox_a_real_key_is_neither_needed_nor_used() -> None:
    async with program("serve", "--http", "--port", "0", "--sandbox") as running:
        line = await running.stderr.holding("runapi-mcp serves ")
        url = line.split()[2].removesuffix("/mcp")
        async with host(url, "/mcp", "auto", "sk-live-0123456789") as client:
            result = await draw(client, "a fox [[takes 0s]] [[poll-after 0.5s]]")
        assert facts(result)["status"] == "completed"


@pytest.mark.parametrize("header", ["Bearer ${RUNAPI_API_KEY}", "Basic c2VjcmV0", "Bearer"])
async def test_a_key_that_is_none_does_not_spend_the_servers_own(header: str) -> None:
    async with serving("--share-key") as server:
        headers = {"Authorization": header}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=LIMIT_SECONDS) as http,
            Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client,
        ):
            result = await draw(client)
        assert "The request carries no RunAPI API key." in said(result)
        assert server.net.account().tasks == {}


JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize("thief", [{"Authorization": "Bearer sandbox-of-bob"}, {}])
async def test_a_session_serves_only_the_key_that_opened_it(
    server: Server, key: str, thief: dict[str, str]
) -> None:
    alice = {**JSON, "Authorization": f"Bearer {key}"}
    ask = request(1, "tools/list", "legacy")
    async with httpx.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http:
        opened = await http.post("/mcp", headers=alice, content=opening("legacy")[0])
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        stolen = await http.post("/mcp", headers={**JSON, **session, **thief}, content=ask)
        ended = await http.delete("/mcp", headers={**JSON, **session, **thief})
        own = await http.post("/mcp", headers={**alice, **session}, content=ask)
    assert (stolen.status_code, ended.status_code, own.status_code) == (404, 404, 200)


async def test_an_sse_stream_takes_messages_only_with_the_key_that_opened_it(
    server: Server, key: str
) -> None:
    alice = {"Authorization": f"Bearer {key}"}
    message = opening("legacy")[0]
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http,
        http.stream("GET", "/sse", headers=alice) as events,
    ):
        lines = events.aiter_lines()
        path = [await anext(lines), await anext(lines)][1].removeprefix("data: ")
        bob = {"Authorization": "Bearer sandbox-of-bob"}
        stolen = await http.post(path, headers={**JSON, **bob}, content=message)
        own = await http.post(path, headers={**JSON, **alice}, content=message)
    assert (stolen.status_code, own.status_code) == (404, 202)


@pytest.mark.parametrize("era", ERAS)
async def test_the_head_of_an_answer_arrives_while_the_picture_is_drawn(era: str) -> None:
    async with serving() as server:
        headers = {**JSON, "Authorization": f"Bearer {KEY}"}
        if era == "legacy":
            async with httpx.AsyncClient(base_url=server.url, timeout=LIMIT_SECONDS) as http:
                opened = await http.post("/mcp", headers=headers, content=opening(era)[0])
            headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
        else:
            headers |= {"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
            headers["Mcp-Name"] = DRAW
        body = call(1, era, SLOW).encode()
        headers |= {"Host": "127.0.0.1", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        url = httpx.URL(server.url)
        async with await anyio.connect_tcp(url.host, url.port or 0) as connection:
            await connection.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
            with anyio.fail_after(LIMIT_SECONDS):
                answer = await connection.receive()
        # RunAPI takes an hour for the request that pays.
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-type: text/event-stream" in answer
