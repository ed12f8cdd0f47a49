"""The login tool: an agent gets a key for its server without waiting for it, and goes on."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import (
    CallToolResult,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    ErrorData,
)

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.settings import key_now
from runapi_mcp.login import pending_logins
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, create_server
from tests.support.login_world import LIMIT_SECONDS, Browser, config, decide, key_file
from tests.support.processes import Program, host, network, opening, program, request
from tests.support.world import BASE_URL, ERAS, KEY, Wire, facts, said, service_on

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
NOTHING: Mapping[str, Any] = {}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's client, with the RunAPI its server is on."""

    client: Client
    sandbox: Sandbox

    async def call(self, tool: str, arguments: Mapping[str, Any] = NOTHING) -> CallToolResult:
        with anyio.fail_after(LIMIT_SECONDS):
            return await self.client.call_tool(tool, dict(arguments))

    async def approves(self, address: str) -> str:
        """The page that a person sees at the end of an approved login."""
        return (
            await Browser(address).comes_back(await decide(self.sandbox, address, "approve"))
        ).title


@asynccontextmanager
async def agent(
    era: str, sandbox: Sandbox | None = None, client: Mapping[str, Any] = NOTHING
) -> AsyncGenerator[Agent]:
    """An agent whose server takes its key from the config file, as on stdio."""
    sandbox, find_key = sandbox or Sandbox(), partial(key_now, BASE_URL)
    async with (
        aclosing(RunAPI(BASE_URL, Wire(sandbox))) as upstream,
        aclosing(SqliteLedger.in_memory()) as ledger,
        pending_logins(upstream, find_key) as logins,
    ):
        keys = Keys(find_key(), look=find_key)
        service = service_on(upstream, keys, ledger, logins=logins)
        async with Client(create_server(service, VARIANTS), mode=era, **client) as connected:
            yield Agent(connected, sandbox)


class Person:
    """Answers every address that the client shows in the same way."""

    def __init__(self, answer: ElicitResult | ErrorData) -> None:
        self.shown: list[ElicitRequestURLParams] = []
        self._answer = answer

    async def __call__(
        self, context: ClientRequestContext, question: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        assert isinstance(question, ElicitRequestURLParams)
        self.shown.append(question)
        return self._answer

    def opens(self) -> dict[str, Any]:
        """A client that shows its addresses here."""
        return {"elicitation_callback": self}


def saved(key: str) -> None:
    key_file().path.parent.mkdir(parents=True, exist_ok=True)
    key_file().path.write_text(f'{{"api_key": "{key}"}}')


@ERA
async def test_login_answers_at_once_and_the_next_call_has_the_key(era: str) -> None:
    async with agent(era) as a:
        refused = await a.call("check_balance")
        assert refused.is_error
        assert "Call login" in said(refused)
        waits = facts(await a.call("login"))
        assert waits["status"] == "waiting"
        assert waits["code"] in waits["address"]
        assert await a.approves(waits["address"]) == "You are logged in"
        assert facts(await a.call("check_balance"))["balance_cents"] == 1000
        done = facts(await a.call("login"))
        assert (done["status"], "address" in done) == ("logged_in", False)
    assert str(config()["api_key"]) not in str(waits) + str(done)


@ERA
async def test_a_second_call_gives_the_same_address(era: str) -> None:
    async with agent(era) as a:
        answers: list[CallToolResult] = []

        async def call() -> None:
            answers.append(await a.call("login"))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
        assert len({facts(answer)["address"] for answer in answers}) == 1
        assert facts(await a.call("login"))["address"] == facts(answers[0])["address"]


async def test_a_login_that_came_to_nothing_is_told_and_another_begins() -> None:
    async with agent("auto") as a:
        first = facts(await a.call("login"))
        browser = Browser(first["address"])
        await browser.comes_back(await decide(a.sandbox, first["address"], "deny"))
        second = facts(await a.call("login"))
        assert second["address"] != first["address"]
        denied = "The login was denied in the browser. Nothing was saved."
        assert second["last_login"] == denied
        assert await a.approves(second["address"]) == "You are logged in"


async def test_a_key_that_is_rejected_can_be_replaced() -> None:
    saved("sk-of-last-year")
    async with agent("auto") as a:
        assert "did not accept the API key" in said(await a.call("check_balance"))
        waits = facts(await a.call("login"))
        await a.approves(waits["address"])
        assert not (await a.call("check_balance")).is_error


async def test_a_key_that_works_is_left_alone() -> None:
    saved(KEY)
    async with agent("auto") as a:
        assert facts(await a.call("login"))["status"] == "logged_in"
    assert config() == {"api_key": KEY}


async def test_a_rejected_key_of_the_environment_is_named_because_it_would_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNAPI_API_KEY", "sk-of-last-year")
    async with agent("auto") as a:
        refused = await a.call("login")
    assert refused.is_error
    assert "it comes from RUNAPI_API_KEY in the environment of this server" in said(refused)
    assert "sk-of" not in said(refused)


async def test_a_broken_config_file_is_said_before_anybody_is_bothered() -> None:
    saved('"')
    before = key_file().path.read_text()
    async with agent("auto") as a:
        refused = await a.call("login")
    assert refused.is_error
    assert "config.json is not valid JSON" in said(refused)
    assert key_file().path.read_text() == before


async def test_another_server_has_the_new_key_and_loses_it_without_a_restart() -> None:
    sandbox = Sandbox()
    async with agent("auto", sandbox) as one, agent("legacy", sandbox) as other:
        waits = facts(await one.call("login"))
        await one.approves(waits["address"])
        assert not (await other.call("check_balance")).is_error
        key_file().remove()
        assert "Call login" in said(await other.call("check_balance"))


async def test_the_wait_ends_with_the_server() -> None:
    async with agent("auto") as a:
        browser = Browser(facts(await a.call("login"))["address"])
        assert (await browser.comes_back({"code": "x"}, path="/")).status == 404
    with pytest.raises((OSError, httpx.TransportError)):
        await browser.comes_back({"code": "x"})
    assert config() == {}


@ERA
async def test_a_client_that_opens_addresses_is_handed_this_one(era: str) -> None:
    person = Person(ElicitResult(action="accept"))
    async with agent(era, client=person.opens()) as a:
        waits = facts(await a.call("login"))
        (shown,) = person.shown
        assert shown.url == waits["address"]
        code = waits["code"]
        assert shown.message == f"Log in to RunAPI. The page must show the code {code}."
        await a.approves(waits["address"])
        assert not (await a.call("check_balance")).is_error


@ERA
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_who_does_not_want_it_ends_the_login(era: str, action: Any) -> None:
    person = Person(ElicitResult(action=action))
    async with agent(era, client=person.opens()) as a:
        refused = await a.call("login")
        assert refused.is_error
        assert said(refused) == "The person did not open the address. The login is withdrawn."
        with pytest.raises((OSError, httpx.TransportError)):
            await Browser(person.shown[0].url).comes_back({"code": "x"})
        await a.call("login")
        assert person.shown[0].url != person.shown[1].url


async def test_a_client_whose_dialog_fails_gets_the_text() -> None:
    person = Person(ErrorData(code=-32603, message="no window"))
    async with agent("legacy", client=person.opens()) as a:
        assert facts(await a.call("login"))["status"] == "waiting"


async def test_login_takes_no_arguments() -> None:
    async with agent("auto") as a:
        refused = await a.call("login", {"key": "sk-0123456789"})
    assert refused.is_error
    assert "sk-0" not in said(refused)


@pytest.mark.parametrize(
    ("path", "arguments"), [("/mcp", []), ("/mcp", ["--share-key"]), ("/sse", ["--share-key"])]
)
async def test_over_http_nobody_is_logged_in(path: str, arguments: list[str]) -> None:
    async with network() as net:
        serve = ["serve", "--http", "--port", "0", *arguments]
        async with program(*serve, environment={"RUNAPI_BASE_URL": net.base_url}) as running:
            line = await running.stderr.holding("runapi-mcp serves http://")
            url = line.partition("serves ")[2].partition("/mcp")[0]
            async with host(url, path, "legacy", None) as client:
                refused = await client.call_tool("login", {})
    assert refused.is_error
    assert said(refused).startswith("Over HTTP each request brings its own API key")


async def logged_in(running: Program, number: int) -> dict[str, Any]:
    await running.write(request(number, "tools/call", "auto", name="login", arguments={}))
    result: dict[str, Any] = (await running.answer(number))["structuredContent"]
    return result


async def test_a_real_server_on_stdio_gets_its_key_and_ends_while_it_waits() -> None:
    async with network() as net:
        environment = {"RUNAPI_BASE_URL": net.base_url}
        async with program(environment=environment) as running:
            await running.write(*opening("auto"))
            waits = await logged_in(running, 1)
            back = await decide(net.sandbox, waits["address"], "approve")
            await Browser(waits["address"]).comes_back(back)
            assert (await logged_in(running, 2))["status"] == "logged_in"
            key_file().remove()
            again = await logged_in(running, 3)
            assert again["address"] != waits["address"]
            await running.close_stdin()
            assert await running.end() == 0
            assert running.stderr.seen == []


async def test_in_the_sandbox_of_a_server_nobody_needs_to_log_in() -> None:
    saved("the-real-key-of-somebody")
    async with program("--sandbox") as running:
        await running.write(*opening("auto"))
        answer = await logged_in(running, 1)
        await running.close_stdin()
    assert answer["status"] == "logged_in"
    assert "sandbox" in answer["notice"]
    assert config() == {"api_key": "the-real-key-of-somebody"}
