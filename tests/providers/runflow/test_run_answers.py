"""What Runflow may answer, and what is made of it: shapes, states, errors, amounts."""

import json
from typing import Any

import httpx
import pytest

from tests.providers.runflow.made_up import DONE, FLEX, PICTURE, RUN_ID, run, server_of
from tests.support.world import facts, said

pytestmark = pytest.mark.anyio


async def got(answer: httpx.Response) -> dict[str, Any]:
    """What get_task tells of a run that is answered so."""
    async with server_of(lambda _: answer) as client:
        return facts(await client.call_tool("get_task", {"task_id": RUN_ID, "wait_seconds": 0}))


@pytest.mark.parametrize(
    "output",
    [
        {"outputs": [{"url": PICTURE}]},
        {"images": [{"url": PICTURE, "width": 1024}], "seed": 7, "has_nsfw_concepts": [False]},
        {"image_urls": [PICTURE]},
        {"image": {"url": PICTURE}},
        {"url": PICTURE},
        {"url": PICTURE, "outputs": [{"url": PICTURE}, {"url": None}, "odd"]},
    ],
    ids=["outputs", "images", "image_urls", "image", "url", "several"],
)
async def test_the_picture_is_found_in_each_shape_of_an_output(output: dict[str, Any]) -> None:
    told = await got(run(output=output))
    assert (told["status"], told["image_urls"], told["cost_cents"]) == ("completed", [PICTURE], 5)


@pytest.mark.parametrize(
    "output",
    [
        None,
        {},
        [],
        "a picture",
        {"result": {"src": PICTURE}},
        {"url": "ftp://pictures.example/1"},
        {"url": 7},
        {"outputs": {"url": PICTURE}},
        {"outputs": [PICTURE]},
        {"image_urls": PICTURE},
        {"image": PICTURE},
        {"images": [{"url": "x" * 9000}]},
    ],
    ids=str,
)
async def test_an_output_of_another_shape_is_told_and_is_no_picture(output: object) -> None:
    told = await got(run(output=output))
    assert "image_urls" not in told
    assert "an output without an image in a place that is known here" in told["error"]
    assert told["next"].startswith("Runflow says completed but names no image.")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("queued", "pending"),
        ("dispatching", "pending"),
        ("running", "processing"),
        ("succeeded", "completed"),
        ("partial_succeeded", "completed"),
        ("failed", "failed"),
        ("cancelled", "failed"),
        ("canceled", "failed"),
        ("SUCCEEDED", "completed"),
        ("frozen", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
    ids=str,
)
async def test_a_state_is_taken_for_what_it_is_and_an_unknown_one_for_no_end(
    state: object, status: str
) -> None:
    told = await got(run(status_code=state))
    assert told["status"] == status
    assert ("image_urls" in told) == (status == "completed")


async def test_a_state_that_is_not_known_is_told() -> None:
    told = await got(run(status_code="frozen"))
    assert told["error"] == 'Runflow reports "a state that is not known here: frozen"'


async def test_why_a_run_failed_is_told_as_runflows_words() -> None:
    failed = {"failure_code": "NSFW", "failure_message": "flagged", "cost": "0.00", "output": None}
    told = await got(run(status_code="failed", **failed))
    assert told["error"] == 'Runflow says: "NSFW: flagged"'
    assert told["cost_cents"] == 0
    assert "That was moderation" in told["next"]


@pytest.mark.parametrize(
    ("cost", "cents"),
    [
        ("0.05", 5),
        ("0.0525", 5.25),
        (0.1, 10),
        ("nan", None),
        ("inf", None),
        ("-1", None),
        ("5 cents", None),
        (None, None),
        (True, None),
        ([5], None),
    ],
    ids=str,
)
async def test_a_cost_is_an_amount_or_not_told(cost: object, cents: float | None) -> None:
    assert (await got(run(cost=cost))).get("cost_cents") == cents


async def test_what_it_costs_is_believed_only_of_a_run_that_has_ended() -> None:
    assert "cost_cents" not in await got(run(status_code="running", cost="9.00"))


@pytest.mark.parametrize(
    ("body", "cents"),
    [
        ({"balance_cents": 1234, "currency": "USD"}, 1234),
        ({"balance": "12.34"}, 1234),
        ({"balance": 12.34}, 1234),
        ({"balance": "-0.50"}, -50),
    ],
    ids=str,
)
async def test_the_balance_is_read_in_both_of_its_forms(body: dict[str, Any], cents: float) -> None:
    async with server_of(lambda _: httpx.Response(200, json=body)) as client:
        told = facts(await client.call_tool("check_balance", {}))
    runapi, runflow = told["balances"]
    assert runflow == {"vendor": "Runflow", "balance_cents": cents}
    # One account that cannot be read hides no other.
    assert (runapi["vendor"], "error" in runapi) == ("RunAPI", True)


REFUSALS = [
    (400, "BAD_REQUEST", 'Runflow refused the request (Runflow says: "BAD_REQUEST: No.").'),
    (401, "UNAUTHORIZED", "Runflow did not accept the API key"),
    (402, "INSUFFICIENT_CREDIT", "Runflow says that the account does not have enough credit"),
    (404, "MODEL_NOT_FOUND", "Runflow does not know this model"),
    (422, "VALIDATION_ERROR", "Runflow refused the request"),
]


@pytest.mark.parametrize(("status", "code", "words"), REFUSALS)
async def test_a_create_that_is_refused_for_certain_says_that_nothing_was_paid(
    status: int, code: str, words: str
) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(status, json={"code": code, "message": "No.", "errors": None})

    async with server_of(answer) as client:
        refused = await client.call_tool(FLEX, {"prompt": "a fox"})
        tasks = facts(await client.call_tool("list_tasks", {}))
    assert said(refused).startswith(words)
    assert "Nothing was paid." in said(refused)
    assert [request.url.path for request in sent if request.method == "POST"] == [
        "/v1/models/black-forest-labs/flux-2-flex/runs"
    ]
    assert tasks["tasks"] == []


async def test_the_fields_that_a_refusal_names_are_told() -> None:
    errors = [{"field": "input.seed", "message": "is too large"}, "odd", {"message": "and more"}]
    body = {"code": "VALIDATION_ERROR", "message": "Invalid.", "errors": errors}
    async with server_of(lambda _: httpx.Response(422, json=body)) as client:
        refused = said(await client.call_tool(FLEX, {"prompt": "a fox"}))
    assert "VALIDATION_ERROR: Invalid.: input.seed is too large; odd; and more" in refused


async def test_a_key_in_an_answer_is_told_nobody() -> None:
    body = {"code": "OOPS", "message": "Bearer rf_live_0123456789 is bad", "errors": None}
    async with server_of(lambda _: httpx.Response(400, json=body)) as client:
        refused = said(await client.call_tool(FLEX, {"prompt": "a fox"}))
    assert "rf_live_0123456789" not in refused


async def test_a_redirect_takes_the_key_nowhere() -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://evil.example/v1"})

    async with server_of(answer) as client:
        told = said(await client.call_tool("get_task", {"task_id": RUN_ID}))
    assert {*hosts} == {"api.runflow.io"}
    assert "RUNFLOW_BASE_URL" in told


async def test_an_id_that_nobody_knows_is_asked_for_at_runapi_and_then_at_runflow() -> None:
    asked: list[str] = []

    def nobody(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(404, json={"code": "RUN_NOT_FOUND", "message": "No.", "errors": None})

    async with server_of(nobody, runapi=nobody) as client:
        told = await client.call_tool("get_task", {"task_id": RUN_ID, "wait_seconds": 0})
    assert asked == ["runapi.ai", "api.runflow.io"]
    assert said(told).startswith("Neither RunAPI nor Runflow knows a task with this id")


async def test_a_task_of_runflow_that_is_followed_is_not_asked_for_at_runapi_again() -> None:
    asked: list[str] = []
    states = iter(["queued", "running"])

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append("runflow")
        return run(status_code=next(states, "succeeded"))

    def nothing(_: httpx.Request) -> httpx.Response:
        asked.append("runapi")
        return httpx.Response(404, json={})

    async with server_of(answer, runapi=nothing) as client:
        told = facts(await client.call_tool("get_task", {"task_id": RUN_ID, "wait_seconds": 60}))
    assert told["status"] == "completed"
    assert asked == ["runapi", "runflow", "runflow", "runflow"]


async def test_a_create_sends_what_flex_takes_and_its_own_reference() -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            bodies.append(json.loads(request.content))
        return httpx.Response(201, json=DONE)

    arguments = {
        "prompt": "a fox",
        "image_size": "1920x1080",
        "guidance_scale": "4.5",
        "num_inference_steps": "12",
        "seed": 7,
        "output_format": "png",
        "safety_tolerance": 3,
        "enable_safety_checker": "false",
        "callback_url": "https://hooks.example/1",
        "wait_seconds": 0,
    }
    async with server_of(answer) as client:
        await client.call_tool(FLEX, arguments)
        await client.call_tool(FLEX, {"prompt": "a hare", "image_size": "square"})
    fox, hare = bodies
    assert fox.pop("client_ref") != hare.pop("client_ref")
    assert fox == {
        "input": {
            "prompt": "a fox",
            "image_size": {"width": 1920, "height": 1080},
            "guidance_scale": 4.5,
            "num_inference_steps": 12,
            "seed": 7,
            "output_format": "png",
            "safety_tolerance": "3",
            "enable_safety_checker": False,
        },
        "callback_url": "https://hooks.example/1",
    }
    assert hare == {"input": {"prompt": "a hare", "image_size": "square"}}
