"""Failures on request: every kind, at every place, counted."""

import socket
from collections.abc import Mapping
from typing import get_args

import anyio
import httpx
import pytest

from runapi_mcp.base.sockets import listen
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import FaultKind, Where
from tests.support.sandbox_client import (
    DRAW,
    answered,
    create_task,
    later,
    outcome,
    prompting,
    read_task,
    spent_cents,
)
from tests.support.world import KEY

pytestmark = pytest.mark.anyio

FAILURES: Mapping[str, str] = {
    "307": '307 {"error":"Temporary redirect","sandbox":true}',
    "401": '401 {"error":"Invalid API key","sandbox":true}',
    "402": '402 {"error":"Insufficient credits","sandbox":true}',
    "403": '403 {"error":"Forbidden","sandbox":true}',
    "404": '404 {"error":"Not found","sandbox":true}',
    "408": '408 {"error":"Request timeout","sandbox":true}',
    "409": '409 {"error":"Conflict","sandbox":true}',
    "410": '410 {"error":"Gone","sandbox":true}',
    "422": (
        '422 {"error":"Validation failed",'
        '"errors":{"prompt":["was refused, as the sandbox was asked"]},"sandbox":true}'
    ),
    "425": '425 {"error":"Too early","sandbox":true}',
    "429": '429 {"error":"Too many requests","sandbox":true}',
    "499": '499 {"error":"Client closed request","sandbox":true}',
    "500": '500 {"error":"Internal server error","sandbox":true}',
    "503": '503 {"error":"Service unavailable","sandbox":true}',
    "html": "502 <html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
    "torn": "torn",
    "broken-json": '200 {"id": "3f2',
}

FAILING_KINDS = sorted({*get_args(FaultKind)} - {"slow"})


@pytest.mark.parametrize("kind", FAILING_KINDS)
async def test_a_prompt_asks_for_a_create_that_fails_before_anything_is_made(
    client: httpx.AsyncClient, sandbox: Sandbox, kind: str
) -> None:
    for directive in (f"[[{kind}]]", f"[[create {kind}]]"):
        request = client.post(DRAW, json=prompting(f"a fox {directive}"))
        assert await outcome(request) == FAILURES[kind]
    assert sandbox.accounts.of(KEY).tasks == {}


@pytest.mark.parametrize("kind", FAILING_KINDS)
async def test_a_prompt_asks_for_a_create_that_fails_once_the_task_is_made(
    client: httpx.AsyncClient, sandbox: Sandbox, kind: str
) -> None:
    body = prompting(f"a fox [[created {kind} x1]]")
    request = client.post(DRAW, json=body, headers={"Idempotency-Key": "one"})
    assert await outcome(request) == FAILURES[kind]
    assert [await create_task(client, body, "one")] == list(sandbox.accounts.of(KEY).tasks)


@pytest.mark.parametrize("kind", FAILING_KINDS)
async def test_a_prompt_asks_for_reads_that_fail_while_the_task_goes_on(
    client: httpx.AsyncClient, kind: str
) -> None:
    task_id = await create_task(client, prompting(f"a fox [[poll {kind} x2]]"))
    await later(10)
    assert await outcome(client.get(f"{DRAW}/{task_id}")) == FAILURES[kind]
    assert await outcome(client.get(f"/api/v1/tasks/{task_id}")) == FAILURES[kind]
    assert (await read_task(client, task_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("where", "method", "path"),
    [
        ("prices", "GET", "/api/v1/price_schedules"),
        ("quotes", "POST", "/api/v1/price_quotes"),
        ("account", "GET", "/api/v1/me/balance"),
        ("prepare", "POST", "/api/v1/files/prepare"),
        ("upload", "PUT", "/uploads/unknown"),
        ("confirm", "POST", "/api/v1/files/confirm"),
        ("image", "GET", "/images/unknown.png"),
    ],
)
async def test_a_test_lets_the_next_request_at_any_other_place_fail(
    client: httpx.AsyncClient, sandbox: Sandbox, where: Where, method: str, path: str
) -> None:
    sandbox.faults.inject(where, "503", seconds=2)
    failed = await client.request(method, path)
    expected = (503, {"error": "Service unavailable"}, "2")
    assert (*answered(failed), failed.headers["retry-after"]) == expected
    assert (await client.request(method, path)).status_code != 503


@pytest.mark.parametrize(
    ("directive", "seconds"), [("[[slow]]", 5.0), ("[[slow 90s]]", 90.0), ("[[slow 0s]]", 0.0)]
)
async def test_a_slow_answer_comes_whole_and_late(
    client: httpx.AsyncClient, directive: str, seconds: float
) -> None:
    start = anyio.current_time()
    await create_task(client, prompting(f"a fox {directive}"))
    assert anyio.current_time() - start == seconds


async def test_a_counted_failure_is_counted_for_each_idempotency_key(
    client: httpx.AsyncClient,
) -> None:
    body = prompting("a fox [[503 x2]] [[created 500 x1]]")
    statuses = [
        (await client.post(DRAW, json=body, headers={"Idempotency-Key": key})).status_code
        for key in ("one", "one", "two", "one", "one", "two")
    ]
    assert statuses == [503, 503, 503, 500, 202, 503]


async def test_without_a_key_a_counted_failure_is_counted_for_the_same_body(
    client: httpx.AsyncClient,
) -> None:
    body, other = prompting("a fox [[503 x2]]"), prompting("a cat [[503 x2]]")
    statuses = [
        (await client.post(DRAW, json=sent)).status_code for sent in (body, body, other, body)
    ]
    assert statuses == [503, 503, 503, 202]


@pytest.mark.parametrize(
    ("directive", "retry_after"), [("[[429]]", None), ("[[429 2s]]", "2"), ("[[503 0.5s]]", "0.5")]
)
async def test_a_failure_may_say_when_to_try_again(
    client: httpx.AsyncClient, directive: str, retry_after: str | None
) -> None:
    response = await client.post(DRAW, json=prompting(f"a fox {directive}"))
    assert response.headers.get("retry-after") == retry_after


async def test_answers_about_a_task_may_say_when_to_ask_again(client: httpx.AsyncClient) -> None:
    response = await client.post(DRAW, json=prompting("a fox [[poll-after 3s]]"))
    task_id = response.json()["id"]
    answers = [response, *[await client.get(f"{at}/{task_id}") for at in (DRAW, "/api/v1/tasks")]]
    assert [answer.headers["retry-after"] for answer in answers] == ["3", "3", "3"]


async def test_a_task_that_never_ends_is_never_charged(client: httpx.AsyncClient) -> None:
    task_id = await create_task(client, prompting("a fox [[never]]"))
    await later(1_000_000)
    assert (await read_task(client, task_id))["status"] == "processing"
    assert await spent_cents(client) == 0


@pytest.mark.parametrize(
    "directive",
    [
        "[[]]",
        "[[explode]]",
        "[[FAIL]]",
        "[[418]]",
        "[[poll]]",
        "[[prices 503]]",
        "[[503 twice]]",
        "[[503 x99999]]",
        "[[takes long]]",
        "[[takes about 3s]]",
        "[[takes 12345s]]",
        "[[takes \N{ARABIC-INDIC DIGIT THREE}s]]",
        "[[poll-after]]",
    ],
)
async def test_a_directive_outside_the_language_is_refused_in_its_own_words(
    client: httpx.AsyncClient, sandbox: Sandbox, directive: str
) -> None:
    response = await client.post(DRAW, json=prompting(f"a fox {directive}"))
    errors = {"prompt": [f"{directive} is not a sandbox directive"]}
    assert answered(response) == (422, {"error": "Validation failed", "errors": errors})
    assert sandbox.accounts.of(KEY).tasks == {}


def test_on_a_port_of_this_machine_small_answers_are_sent_at_once() -> None:
    with listen("127.0.0.1", 0) as port, socket.create_connection(port.getsockname()):
        connection, _ = port.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
