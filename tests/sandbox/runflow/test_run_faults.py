"""Runflow fails on request in the same language as RunAPI, in its own words."""

import json
from collections.abc import Mapping

import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Where
from tests.sandbox.test_faults import FAILING_KINDS, FAILURES
from tests.support.runflow_client import (
    CREATE,
    RUNFLOW_KEY,
    create_run,
    find_runs,
    order,
    read_run,
    refused,
)
from tests.support.sandbox_client import answered, later, outcome

pytestmark = pytest.mark.anyio

CODES: Mapping[str, str] = {
    "401": "UNAUTHORIZED",
    "402": "INSUFFICIENT_CREDIT",
    "403": "PERMISSION_DENIED",
    "404": "RUN_NOT_FOUND",
    "409": "CONFLICT",
    "422": "VALIDATION_ERROR",
    "429": "RATE_LIMITED",
    "503": "MODEL_UNAVAILABLE",
}


def failure(kind: str) -> str:
    """What Runflow says where RunAPI says the same in its own form."""
    status, _, text = FAILURES[kind].partition(" ")
    if not kind.isdecimal():
        return FAILURES[kind]
    told = json.loads(text)
    fields = {field: reasons[0] for field, reasons in told.get("errors", {}).items()}
    body = refused(CODES.get(kind, "REQUEST_FAILED"), told["error"], **fields)
    return f"{status} {json.dumps({**body, 'sandbox': True}, separators=(',', ':'))}"


@pytest.mark.parametrize("kind", FAILING_KINDS)
async def test_a_prompt_asks_for_a_create_that_fails_before_anything_is_made(
    client: httpx.AsyncClient, sandbox: Sandbox, kind: str
) -> None:
    assert await outcome(client.post(CREATE, json=order(f"a fox [[{kind}]]"))) == failure(kind)
    assert sandbox.runflow.accounts.of(RUNFLOW_KEY).tasks == {}


@pytest.mark.parametrize("kind", FAILING_KINDS)
async def test_a_create_that_fails_once_the_run_is_made_can_be_found_and_its_repeat_is_another(
    client: httpx.AsyncClient, sandbox: Sandbox, kind: str
) -> None:
    body = {**order(f"a fox [[created {kind} x1]]"), "client_ref": "mine"}
    assert await outcome(client.post(CREATE, json=body)) == failure(kind)
    [made] = await find_runs(client, "mine")
    again = await create_run(client, body)
    assert list(sandbox.runflow.accounts.of(RUNFLOW_KEY).tasks) == [made, again]


@pytest.mark.parametrize("kind", FAILING_KINDS)
async def test_a_prompt_asks_for_reads_that_fail_while_the_run_goes_on(
    client: httpx.AsyncClient, kind: str
) -> None:
    run_id = await create_run(client, order(f"a fox [[poll {kind} x2]]"))
    await later(10)
    for _ in range(2):
        assert await outcome(client.get(f"/v1/runs/{run_id}")) == failure(kind)
    assert (await read_run(client, run_id))["status_code"] == "succeeded"


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ("list", "/v1/runs"),
        ("models", "/v1/public/models"),
        ("account", "/v1/billing/balance"),
        ("account", "/v1/auth/me"),
        ("image", "/images/unknown.png"),
    ],
)
async def test_a_test_lets_the_next_request_at_any_other_place_fail(
    client: httpx.AsyncClient, sandbox: Sandbox, where: Where, path: str
) -> None:
    sandbox.runflow.faults.inject(where, "503", seconds=2)
    failed = await client.get(path)
    said = refused("MODEL_UNAVAILABLE", "Service unavailable")
    assert (*answered(failed), failed.headers["retry-after"]) == (503, said, "2")
    assert (await client.get(path)).status_code != 503


async def test_a_counted_failure_is_counted_for_each_input_whatever_its_reference(
    client: httpx.AsyncClient,
) -> None:
    body, other = order("a fox [[503 x2]] [[created 500 x1]]"), order("a cat [[503 x2]]")
    statuses = [
        (await client.post(CREATE, json={**sent, "client_ref": str(number)})).status_code
        for number, sent in enumerate([body, body, other, body, body, other])
    ]
    assert statuses == [503, 503, 503, 500, 201, 503]


async def test_answers_about_a_run_may_say_when_to_ask_again(client: httpx.AsyncClient) -> None:
    created = await client.post(CREATE, json=order("a fox [[poll-after 3s]]"))
    read = await client.get(f"/v1/runs/{created.json()['id']}")
    assert [answer.headers["retry-after"] for answer in (created, read)] == ["3", "3"]


async def test_a_run_that_never_ends_goes_on_running(client: httpx.AsyncClient) -> None:
    run_id = await create_run(client, order("a fox [[never]]"))
    await later(1_000_000)
    assert (await read_run(client, run_id))["status_code"] == "running"


@pytest.mark.parametrize(
    "directive",
    ["[[explode]]", "[[output]]", "[[output gallery]]", "[[ends]]", "[[ends failed]]", "[[ends A]]",
     "[[listed-after soon]]"],
)  # fmt: skip
async def test_a_directive_outside_the_language_is_refused_in_its_own_words(
    client: httpx.AsyncClient, directive: str
) -> None:
    response = await client.post(CREATE, json=order(f"a fox {directive}"))
    reason = f"{directive} is not a sandbox directive"
    said = refused("VALIDATION_ERROR", "Validation failed", prompt=reason)
    assert answered(response) == (422, said)
