"""Every request with an id gets an answer, every line without one a line of the log."""

import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, create_server
from runapi_mcp.transports.conversation import converse
from runapi_mcp.transports.http_app import http_app
from runapi_mcp.transports.stdio import Messages
from tests.support.processes import DRAW, opening, request
from tests.support.world import BASE_URL, ERAS, KEY, Wire, clock, service_on

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
Json = dict[str, Any]
META = "io.modelcontextprotocol/"


@asynccontextmanager
async def server() -> AsyncGenerator[Server[Any]]:
    upstream = RunAPI(BASE_URL, Wire(Sandbox(draw_seconds=0)))
    async with aclosing(upstream), aclosing(SqliteLedger.in_memory(clock)) as ledger:
        service = service_on(upstream, Keys(Key(SecretStr(KEY))), ledger)
        async with service.shared.background.running():
            yield create_server(service, VARIANTS)


class Collected:
    """A stdout that keeps what was written to it."""

    def __init__(self) -> None:
        self.messages: list[Json] = []

    async def send(self, item: SessionMessage) -> None:
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self.messages.append(json.loads(line))

    async def aclose(self) -> None:
        pass


async def answers(lines: Sequence[str]) -> list[Json]:
    """What a server over stdio answers to these lines, each read as the program reads it."""
    left, written = [f"{line}\n" for line in lines], Collected()

    async def read_line() -> str:
        if not left:
            await anyio.sleep(600)
            return ""
        return left.pop(0)

    async with server() as serving:
        await converse(serving, Messages(read_line), written)
    return [message for message in written.messages if "id" in message]


def asking(era: str, method: str = "tools/list", number: Any = 1, **params: object) -> Json:
    return json.loads(request(number, method, era, **params))


def calling(era: str, **params: object) -> Json:
    return asking(era, "tools/call", name="check_balance", **params)


def without(message: Json, *path: str) -> Json:
    """The message with the member at this path emptied as PHP does it."""
    inner = message
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = []
    return message


def meta(message: Json, **entries: object) -> Json:
    message["params"]["_meta"] |= entries
    return message


def taken(era: str) -> Mapping[str, str]:
    """Lines that each hold a request with the id 1, and mean it."""
    capabilities: Json = {f"{META}clientCapabilities": {"elicitation": {"form": []}, "roots": []}}
    return {
        "as it should be": json.dumps(asking(era)),
        "a byte order mark": f"\ufeff{json.dumps(asking(era))}",
        "a whole number as a float": json.dumps(asking(era, number=1.0)),
        "a batch of one": json.dumps([asking(era)]),
        "empty arguments of PHP": json.dumps(calling(era, arguments=[])),
        "null arguments": json.dumps(calling(era, arguments=None)),
        "a null token": json.dumps(meta(calling(era), progressToken=None)),
        "a whole token as a float": json.dumps(meta(calling(era), progressToken=7.0)),
        "null members": json.dumps(asking(era, cursor=None, task=None)),
        **(
            {"empty capabilities of PHP": json.dumps(meta(asking(era), **capabilities))}
            if era == "auto"
            else {
                "empty params of PHP": json.dumps(without(asking(era), "params")),
                "null params": json.dumps(asking(era) | {"params": None}),
                "an empty _meta of PHP": json.dumps(without(asking(era), "params", "_meta")),
            }
        ),
    }


CASES = [(era, case) for era in ERAS for case in taken(era)]


@pytest.mark.parametrize(("era", "case"), CASES)
async def test_what_is_meant_as_a_request_is_answered_as_one(era: str, case: str) -> None:
    told = await answers([*opening(era), taken(era)[case]])
    assert sorted(answer["id"] for answer in told) == [0, 1]
    assert not any("error" in answer for answer in told), told


@pytest.mark.parametrize(
    "capabilities",
    [
        *([], None, {"roots": []}, {"elicitation": []}, {"elicitation": {"form": []}}),
        *({"experimental": []}, {"extensions": []}, {"sampling": None}),
    ],
)
async def test_a_handshake_with_the_empty_arrays_of_php_is_one(capabilities: object) -> None:
    hello = json.loads(opening("legacy")[0])
    hello["params"]["capabilities"] = capabilities
    told = await answers([f"\ufeff{json.dumps(hello)}", request(1, "tools/list", "legacy")])
    assert [answer["id"] for answer in told if "result" in answer] == [0, 1]


@ERA
async def test_each_request_of_a_batch_is_answered(era: str) -> None:
    batch = [asking(era), calling(era) | {"id": 2}, 7, calling(era) | {"id": "three"}]
    told = await answers([*opening(era), json.dumps(batch)])
    assert {answer["id"] for answer in told if "result" in answer} == {0, 1, 2, "three"}


def faulty(era: str) -> Mapping[str, tuple[str, Any, int, str]]:
    """Lines that hold a request with an id, that id, and the error that says what is wrong."""
    draw = {"name": DRAW, "arguments": {"prompt": "a fox"}}
    text = json.dumps(draw["arguments"])
    wrong_arguments = asking(era, "tools/call", **{**draw, "arguments": text})
    return {
        "an id of 1.5": (
            json.dumps(asking(era, number=1.5)),
            1.5,
            -32600,
            "id must be a string or a whole number, not 1.5.",
        ),
        "another protocol": (
            json.dumps(asking(era) | {"jsonrpc": "1.0"}),
            1,
            -32600,
            'jsonrpc must be "2.0".',
        ),
        "no protocol": ('{"id": 1, "method": "ping"}', 1, -32600, 'jsonrpc must be "2.0".'),
        "a method that is none": (
            json.dumps(asking(era) | {"method": 5}),
            1,
            -32600,
            "method must be a string, not 5.",
        ),
        "no method": ('{"jsonrpc": "2.0", "id": 1}', 1, -32600, "method is required."),
        "an id of two lines": (
            json.dumps(asking(era, number="a\nb") | {"method": 5}),
            "a\nb",
            -32600,
            "method must be a string",
        ),
        "params in an array": (
            json.dumps(asking(era) | {"params": ["a"]}),
            1,
            -32600,
            "params must be an object, not a list of 1.",
        ),
        "params in a text": (
            json.dumps(asking(era) | {"params": "{}"}),
            1,
            -32600,
            "params must be an object, not '{}'.",
        ),
        "arguments in a text": (
            json.dumps(wrong_arguments),
            1,
            -32602,
            f"params.arguments must be an object, not {text!r}.",
        ),
        "arguments in an array": (
            json.dumps(calling(era, arguments=["a", "b"])),
            1,
            -32602,
            "params.arguments must be an object, not a list of 2.",
        ),
        "a tool's name that is none": (
            json.dumps(asking(era, "tools/call", name=5)),
            1,
            -32602,
            "params.name must be a string, not 5.",
        ),
        "no tool's name": (
            json.dumps(asking(era, "tools/call")),
            1,
            -32602,
            "params.name is required.",
        ),
        "a token that is none": (
            json.dumps(meta(calling(era), progressToken=1.5)),
            1,
            -32602,
            "params._meta.progressToken must be a string or a whole number, not 1.5.",
        ),
        "half an emoji": (
            json.dumps(calling(era, arguments={"prompt": "a \ud83d"})),
            1,
            -32700,
            "cut inside an emoji",
        ),
    }


@pytest.mark.parametrize(("era", "case"), [(era, case) for era in ERAS for case in faulty(era)])
async def test_what_is_wrong_with_a_request_is_answered_by_its_field(era: str, case: str) -> None:
    line, request_id, code, words = faulty(era)[case]
    told = {answer["id"]: answer for answer in await answers([*opening(era), line])}
    assert set(told) == {0, request_id}
    assert told[request_id]["error"]["code"] == code
    assert words in told[request_id]["error"]["message"]


NOISE = {
    "no JSON": "noise",
    "an object of nothing": "{}",
    "an array of nothing": "[]",
    "an array of what is nothing": "[7]",
    "null": "null",
    "a text": '"tools/list"',
    "too deep": "[" * 100_000,
    "too long a number": "9" * 5_000,
    "a null id": '{"jsonrpc": "2.0", "id": null, "method": "tools/list"}',
    "no id": '{"jsonrpc": "2.0", "method": "tools/list"}',
    "a boolean id": '{"jsonrpc": "2.0", "id": true, "method": "tools/list"}',
    "an object for an id": '{"jsonrpc": "2.0", "id": {}, "method": "tools/list"}',
    "an endless id": '{"jsonrpc": "2.0", "id": 1e999, "method": "tools/list"}',
    "half an emoji for an id": '{"jsonrpc": "2.0", "id": "\\ud83d", "method": "tools/list"}',
    "an answer of no kind": '{"jsonrpc": "2.0", "id": 1, "result": 5}',
    "an answer to true": '{"jsonrpc": "2.0", "id": true, "result": {}}',
}


@pytest.mark.parametrize("case", NOISE)
async def test_a_line_without_an_id_is_logged_and_read_over(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        told = await answers([*opening("auto"), "", NOISE[case], request(1, "tools/list", "auto")])
    assert sorted(answer["id"] for answer in told) == [0, 1]
    [logged] = [each for each in caplog.messages if "was not answered" in each]
    assert logged.isprintable()
    assert len(logged) < 300


@asynccontextmanager
async def site() -> AsyncGenerator[httpx.AsyncClient]:
    """A server over HTTP, without sockets."""
    async with server() as serving:
        app = http_app(serving, ["testserver"], needs_key=False)
        accept = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {KEY}"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://testserver", headers=accept
            ) as client,
        ):
            yield client


async def posted(client: httpx.AsyncClient, era: str, line: str) -> httpx.Response:
    """The answer to a line over HTTP, after a handshake where there is one."""
    headers = {"content-type": "application/json"}
    if era == "auto":
        method = "tools/call" if '"tools/call"' in line else "tools/list"
        headers |= {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        headers |= {"mcp-name": "check_balance" if "check_balance" in line else DRAW}
    else:
        greeted = await client.post("/mcp", content=opening(era)[0], headers=headers)
        headers["mcp-session-id"] = greeted.headers["mcp-session-id"]
        await client.post("/mcp", content=opening(era)[1], headers=headers)
    return await client.post("/mcp", content=line.encode(), headers=headers)


def message_in(response: httpx.Response) -> Any:
    """The last message of an answer, which may be a stream."""
    return json.loads(response.text.rpartition("data: ")[2] or response.text)


@pytest.mark.parametrize(("era", "case"), CASES)
async def test_what_is_meant_as_a_request_is_answered_over_http_too(era: str, case: str) -> None:
    async with site() as client:
        answer = message_in(await posted(client, era, taken(era)[case]))
        assert answer["id"] == 1
        assert "result" in answer, answer


# A header names the tool as well, and is looked at before.
OVER_HTTP = [
    (era, case) for era in ERAS for case in faulty(era) if era != "auto" or "name" not in case
]


@pytest.mark.parametrize(("era", "case"), OVER_HTTP)
async def test_what_is_wrong_with_a_request_is_said_over_http_too(era: str, case: str) -> None:
    line, request_id, _, words = faulty(era)[case]
    async with site() as client:
        answer = message_in(await posted(client, era, line))
        assert answer["id"] == request_id
        assert words in answer["error"]["message"]


@ERA
async def test_over_http_each_request_of_a_batch_is_told_to_come_by_itself(era: str) -> None:
    async with site() as client:
        batch = [asking(era), calling(era) | {"id": 2}, 7]
        refused = await posted(client, era, json.dumps(batch))
        assert refused.status_code == 400
        assert [each["id"] for each in refused.json()] == [1, 2]
        assert all(
            "send each message by itself" in each["error"]["message"] for each in refused.json()
        )


async def test_over_http_a_flood_of_messages_is_answered_once() -> None:
    async with site() as client:
        batch = json.dumps([asking("auto")] * 1_000)
        refused = await posted(client, "auto", batch)
        assert refused.status_code == 400
        assert (refused.json()["id"], len(refused.content) < 1_000) == (None, True)


@ERA
async def test_a_call_is_cancelled_by_its_number_as_a_float(era: str) -> None:
    slow = {"name": DRAW, "arguments": {"prompt": "a fox [[never]]"}}
    line = json.dumps(asking(era, "tools/call", 1.0, **slow))
    cancelled = json.dumps(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1.0}}
    )
    told = await answers([*opening(era), line, cancelled, request(2, "tools/list", era)])
    assert {answer["id"] for answer in told if "result" in answer} == {0, 2}
