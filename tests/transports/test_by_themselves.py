"""Several servers of one address: any takes any request, in every version, and what that costs."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import anyio
import httpx
import pytest

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.settings import Key
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, Service, create_server
from runapi_mcp.transports.deployment import Deployment
from runapi_mcp.transports.http_app import http_app
from tests.support.fleet.wire import VERSIONS, WireClient
from tests.support.world import BASE_URL, KEY, Wire, clock, service_on

pytestmark = pytest.mark.anyio

LEGACY = VERSIONS[:-1]
ADDRESSES = ("http://replica1", "http://replica2", "http://replica3")


@dataclass(frozen=True, slots=True)
class Site:
    http: httpx.AsyncClient
    services: list[Service]
    sandbox: Sandbox

    def client(self, version: str, **kind: Any) -> WireClient:  # Any: as `WireClient` has them
        return WireClient(self.http, cycle(ADDRESSES), version, KEY, **kind)


@asynccontextmanager
async def site(limits: Limits | None = None) -> AsyncGenerator[Site]:
    """Three servers on one ledger, none of which keeps anything between two requests."""
    one_of_several = Deployment(keeps_sessions=False)
    sandbox = Sandbox()
    wire = Wire(sandbox)
    async with AsyncExitStack() as stack:
        ledger = await stack.enter_async_context(aclosing(SqliteLedger.in_memory(clock)))
        apps: dict[str, httpx.AsyncBaseTransport | None] = {}
        services: list[Service] = []
        for address in ADDRESSES:
            upstream = await stack.enter_async_context(aclosing(RunAPI(BASE_URL, wire)))
            service = service_on(upstream, Keys(Key(None)), ledger, limits=limits)
            await stack.enter_async_context(service.shared.background.running())
            server = create_server(service, VARIANTS)
            names = [each.removeprefix("http://") for each in ADDRESSES]
            app = http_app(server, names, needs_key=True, deployment=one_of_several)
            await stack.enter_async_context(app.router.lifespan_context(app))
            apps[address] = httpx.ASGITransport(app)
            services.append(service)
        async with httpx.AsyncClient(mounts=apps, timeout=3600) as http:
            yield Site(http, services, sandbox)


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_request_of_a_conversation_may_go_to_another_server(version: str) -> None:
    async with site() as there:
        client = there.client(version)
        await client.open()
        assert (await client.ask("tools/list"))["tools"]
        drawn = (await client.draw("a fox"))["structuredContent"]
        found = await client.call("get_task", {"task_id": drawn["task_id"]})
        again = (await client.draw("a fox"))["structuredContent"]
        assert drawn["status"] == "completed"
        assert found["structuredContent"]["status"] == "completed"
        assert again["task_id"] == drawn["task_id"]
        assert there.sandbox.accounts.of(KEY).spent_cents == 5


@pytest.mark.parametrize(
    ("user_agent", "waits_seconds"),
    [
        ("claude-code/2.1.329 (sdk-cli)", 285),
        ("codex-mcp-client/0.169.0", 285),
        ("opencode/1.18.33", 45),
        ("node", 45),
    ],
)
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_a_host_is_known_by_its_user_agent(
    version: str, user_agent: str, waits_seconds: float
) -> None:
    async with site() as there:
        client, began_at = there.client(version, user_agent=user_agent), anyio.current_time()
        await client.draw("a fox [[never]]")
        waited = anyio.current_time() - began_at
        assert waits_seconds <= waited < waits_seconds + 10


@pytest.mark.parametrize("version", LEGACY)
async def test_a_question_that_needs_a_session_is_refused_in_words(version: str) -> None:
    async with site(Limits(confirm_over_cents=1)) as there:
        client = there.client(version, capabilities={"elicitation": {}})
        await client.open()
        result = await client.draw("a fox")
        assert result["isError"]
        assert result["content"][0]["text"] == (
            "This image (Flux 2 Pro: text to image) costs $0.05. That needs a person's yes, which "
            "can be asked for here only by the protocol of 2026-07-28: this server is one of "
            "several, and keeps no session to ask in. Nothing was paid. Let the user raise or "
            "unset RUNAPI_CONFIRM_OVER. (Whoever runs this server sets that.)"
        )
        assert there.sandbox.accounts.of(KEY).spent_cents == 0


async def test_a_question_of_the_newer_protocol_is_asked_and_answered_anywhere() -> None:
    async with site(Limits(confirm_over_cents=1)) as there:
        client = there.client("2026-07-28", capabilities={"elicitation": {}})
        asked = await client.draw("a fox")
        [choices] = [
            each["params"]["requestedSchema"]["properties"]["pay"]["enum"]
            for each in asked["inputRequests"].values()
        ]
        said = {"confirm": {"action": "accept", "content": {"pay": choices[1]}}}
        drawn = await client.ask(
            "tools/call",
            name="flux_2_pro_text_to_image",
            arguments={"prompt": "a fox"},
            inputResponses=said,
            requestState=asked["requestState"],
        )
        assert drawn["structuredContent"]["status"] == "completed"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/sse"), ("POST", "/messages/?session_id=0"), ("POST", "/sse")]
)
@pytest.mark.parametrize("key", [KEY, ""])
async def test_an_event_stream_is_refused_in_words(method: str, path: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with site() as there:
        answer = await there.http.request(method, ADDRESSES[0] + path, headers=headers)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == (
        "This address is served by several servers, and an event stream would be known to one of "
        "them alone. Connect to /mcp instead, by Streamable HTTP."
    )


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_there_is_no_standing_stream_and_no_session_to_end(method: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "text/event-stream"}
    async with site() as there:
        answer = await there.http.request(method, f"{ADDRESSES[0]}/mcp", headers=headers)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_session_of_a_server_that_kept_them_does_no_harm() -> None:
    async with site() as there:
        client = there.client("2025-06-18")
        client.http.headers["Mcp-Session-Id"] = "of-before"
        assert (await client.ask("tools/list"))["tools"]


async def test_the_card_and_the_page_name_no_event_stream() -> None:
    async with site() as there:
        card = (await there.http.get(f"{ADDRESSES[0]}/mcp/server-card")).json()
        page = (await there.http.get(ADDRESSES[0])).text
    assert [remote["type"] for remote in card["remotes"]] == ["streamable-http"]
    assert "/sse" not in page
    assert f"{ADDRESSES[0]}/mcp" in page


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_once_it_leaves_every_wait_is_answered_with_its_task_id(version: str) -> None:
    async with site() as there:
        client, results = there.client(version), list[dict[str, Any]]()

        async def draw(prompt: str) -> None:
            results.append(await client.draw(prompt))

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(draw, f"a fox {number} [[never]]")
            await anyio.sleep(10)
            assert results == []
            for service in there.services:
                service.shared.waits.end()
        assert anyio.current_time() < 12
        await draw("one that came late [[never]]")
        assert anyio.current_time() < 15
        facts = [result["structuredContent"] for result in results]
        account = there.sandbox.accounts.of(KEY)
        assert {fact["task_id"] for fact in facts} == set(account.tasks)
        assert {fact["status"] for fact in facts} <= {"pending", "processing"}
        assert not any(result.get("isError") for result in results)
        assert json.dumps(facts[0]).count("get_task") == 1


@pytest.mark.parametrize("host", ["10.1.2.3:8765", "replica1"])
async def test_a_balancer_is_told_whether_to_send_calls_by_whatever_name(host: str) -> None:
    is_ready = [True]
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(aclosing(RunAPI(BASE_URL, Wire(Sandbox()))))
        ledger = await stack.enter_async_context(aclosing(SqliteLedger.in_memory(clock)))
        server = create_server(service_on(upstream, Keys(Key(None)), ledger), VARIANTS)
        place = Deployment(is_ready=lambda: is_ready[0])
        app = http_app(server, [], needs_key=True, deployment=place)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
        await stack.enter_async_context(http)

        async def ask(path: str) -> tuple[int, str, str | None]:
            answer = await http.get(path, headers={"Host": host})
            return answer.status_code, answer.json()["status"], answer.headers.get("connection")

        assert await ask("/readyz") == (200, "ready", None)
        assert await ask("/livez") == (200, "alive", None)
        is_ready[0] = False
        assert await ask("/readyz") == (503, "leaving", "close")
        assert await ask("/livez") == (200, "alive", "close")
