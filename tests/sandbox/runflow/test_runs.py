"""Making and reading runs: fields, states, money, and no key that makes two creates one run."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox
from tests.support.runflow_client import (
    CREATE,
    RUNFLOW_KEY,
    authorized,
    balance_dollars,
    create_run,
    find_runs,
    order,
    read_run,
    refused,
)
from tests.support.sandbox_client import answered, later
from tests.support.world import KEY

pytestmark = pytest.mark.anyio

INVALID = "Validation failed"
UNKNOWN = "Extra inputs are not permitted"
INPUT = {
    "prompt": "a red fox",
    "image_size": {"width": 1920, "height": 1080},
    "guidance_scale": 3.5,
    "num_inference_steps": 28,
    "seed": 7,
    "output_format": "png",
    "safety_tolerance": "2",
    "enable_safety_checker": True,
    "sync_mode": False,
}
WHOLE = {
    "input": INPUT,
    "metadata": {"mine": 1},
    "callback_url": "https://example.com/done",
    "client_ref": "mine-1",
}


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer rf_live_real", f"Bearer {KEY}", RUNFLOW_KEY]
)
async def test_without_a_good_key_every_paid_or_private_route_answers_401(
    anybody: httpx.AsyncClient, authorization: str
) -> None:
    routes = [
        ("POST", CREATE),
        ("GET", "/v1/runs"),
        ("GET", f"/v1/runs/{uuid4()}"),
        ("GET", "/v1/billing/balance"),
        ("GET", "/v1/auth/me"),
    ]
    said = refused("UNAUTHORIZED", "The token is missing or invalid.")
    for method, path in routes:
        given = {"Authorization": authorization}
        response = await anybody.request(method, path, json=order(), headers=given)
        assert (path, *answered(response)) == (path, 401, said)


async def test_a_create_answers_201_with_a_queued_run(client: httpx.AsyncClient) -> None:
    status, run = answered(await client.post(CREATE, json=WHOLE))
    assert status == 201
    assert UUID(run["id"]).version == 7
    told = {name: run[name] for name in (*WHOLE, "status_code", "output", "cost", "completed_at")}
    begun = {"status_code": "queued", "output": None, "cost": None, "completed_at": None}
    assert told == {**WHOLE, **begun}


async def test_ids_sort_as_their_runs_were_made(client: httpx.AsyncClient) -> None:
    ids = [await create_run(client, order()) for _ in range(3)]
    # Those of one millisecond may come in any order.
    assert [each[:13] for each in ids] == sorted(each[:13] for each in ids)
    assert len({*ids}) == 3


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("prompt", "", "String should have at least 1 character"),
        ("prompt", 7, "Input should be a valid string"),
        ("prompt", None, "Input should be a valid string"),
        ("negative_prompt", "dogs", UNKNOWN),
        ("aspect_ratio", "1:1", UNKNOWN),
        ("guidance_scale", 1.4, "Input should be greater than or equal to 1.5"),
        ("guidance_scale", 10.1, "Input should be less than or equal to 10"),
        ("guidance_scale", "3.5", "Input should be a valid number"),
        ("guidance_scale", True, "Input should be a valid number"),
        ("num_inference_steps", 1, "Input should be greater than or equal to 2"),
        ("num_inference_steps", 51, "Input should be less than or equal to 50"),
        ("num_inference_steps", 2.5, "Input should be a valid integer"),
        ("num_inference_steps", True, "Input should be a valid integer"),
        ("seed", "7", "Input should be a valid integer"),
        ("seed", -1, "Input should be greater than or equal to 0"),
        ("output_format", "webp", "Input should be 'jpeg' or 'png'"),
        ("safety_tolerance", "6", "Input should be '1', '2', '3', '4' or '5'"),
        ("safety_tolerance", 2, "Input should be '1', '2', '3', '4' or '5'"),
        ("enable_safety_checker", "true", "Input should be a valid boolean"),
        ("sync_mode", True, "Input should be False"),
        ("image_size.width", 63, "Input should be greater than or equal to 64"),
        ("image_size.width", 2049, "Input should be less than or equal to 2048"),
        ("image_size.height", "512", "Input should be a valid integer"),
        ("image_size.height", 512.5, "Input should be a valid integer"),
        ("image_size.depth", 1, UNKNOWN),
    ],
)
async def test_a_wrong_field_is_refused_by_its_name_and_nothing_is_made(
    client: httpx.AsyncClient, sandbox: Sandbox, field: str, value: object, reason: str
) -> None:
    name, _, side = field.partition(".")
    pixels = {"width": 512, "height": 512}
    response = await client.post(
        CREATE, json=order(**{name: {**pixels, side: value} if side else value})
    )
    said = refused("VALIDATION_ERROR", INVALID, **{f"input.{field}": reason})
    assert answered(response) == (422, said)
    assert sandbox.runflow.accounts.of(RUNFLOW_KEY).tasks == {}


@pytest.mark.parametrize("image_size", ["square_hd_2", "512x512", 7, None, [512, 512], {}])
async def test_an_image_size_is_a_preset_or_its_two_sides(
    client: httpx.AsyncClient, image_size: object
) -> None:
    status, body = answered(await client.post(CREATE, json=order(image_size=image_size)))
    fields = {error["field"].split(".")[1] for error in body["errors"]}
    assert (status, fields) == (422, {"image_size"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", None),
        ("input", []),
        ("metadata", "mine"),
        ("callback_url", "ftp://example.com"),
        ("callback_url", f"https://example.com/{'a' * 2048}"),
        ("client_ref", "a" * 256),
        ("client_ref", ""),
        ("client_ref", 7),
        ("model", "flux-2-flex"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_is_wrong_beside_the_input_is_refused_by_its_name(
    client: httpx.AsyncClient, field: str, value: object
) -> None:
    status, body = answered(await client.post(CREATE, json={**order(), field: value}))
    assert (status, [error["field"] for error in body["errors"]]) == (422, [field])


@pytest.mark.parametrize(
    ("image_size", "dollars"),
    [
        ("square", "0.05"),
        ("square_hd", "0.05"),
        ("landscape_16_9", "0.05"),
        (None, "0.05"),
        ({"width": 512, "height": 512}, "0.05"),
        ({"width": 1024, "height": 1024}, "0.05"),
        ({"width": 1024, "height": 1025}, "0.10"),
        ({"width": 1920, "height": 1080}, "0.10"),
        ({"width": 2048, "height": 2048}, "0.20"),
    ],
    ids=str,
)
async def test_a_run_costs_five_cents_for_each_megapixel_begun_once_it_has_succeeded(
    client: httpx.AsyncClient, image_size: object, dollars: str
) -> None:
    sized = {} if image_size is None else {"image_size": image_size}
    run_id = await create_run(client, order("a fox [[takes 5s]]", **sized))
    await later(4.9)
    assert (await read_run(client, run_id))["cost"] is None
    assert await balance_dollars(client) == "10.00"
    await later(0.1)
    assert (await read_run(client, run_id))["cost"] == dollars
    assert await balance_dollars(client) == f"{10 - float(dollars):.2f}"


async def test_a_run_passes_its_states_and_tells_when(client: httpx.AsyncClient) -> None:
    run_id = await create_run(client, order("a fox [[takes 4s]]"))
    states: list[str] = []
    for seconds in (0.0, 0.2, 0.2, 3.6):
        await later(seconds)
        states.append((await read_run(client, run_id))["status_code"])
    assert states == ["queued", "dispatching", "running", "succeeded"]
    run = await read_run(client, run_id)
    created, ended = (datetime.fromisoformat(run[f"{at}_at"]) for at in ("created", "completed"))
    assert (ended - created, run["duration_ms"]) == (timedelta(seconds=4), 4000)
    assert run["created_at"].endswith("+00:00")


async def test_a_failed_run_says_why_and_is_not_billed(client: httpx.AsyncClient) -> None:
    run_id = await create_run(client, order("a fox [[fail: no foxes today]] [[takes 1s]]"))
    await later(1)
    run = await read_run(client, run_id)
    told = run["status_code"], run["failure_message"], run["output"], run["cost"]
    assert told == ("failed", "no foxes today", None, "0.00")
    assert await balance_dollars(client) == "10.00"


@pytest.mark.parametrize(
    ("state", "dollars"),
    [
        ("cancelled", "0.00"),
        ("canceled", "0.00"),
        ("partial_succeeded", "0.05"),
        ("archived", "0.05"),
    ],
)
async def test_a_prompt_asks_for_another_state_at_the_end(
    client: httpx.AsyncClient, state: str, dollars: str
) -> None:
    run_id = await create_run(client, order(f"a fox [[ends {state}]] [[takes 1s]]"))
    await later(1)
    run = await read_run(client, run_id)
    assert (run["status_code"], run["cost"]) == (state, dollars)
    assert (run["output"] is None) is (dollars == "0.00")
    assert await balance_dollars(client) == f"{10 - float(dollars):.2f}"


@pytest.mark.parametrize("shape", ["outputs", "images", "image_urls", "image", "url", "none"])
async def test_a_prompt_asks_for_the_shape_in_which_a_picture_is_told(
    client: httpx.AsyncClient, shape: str
) -> None:
    run_id = await create_run(client, order(f"a fox [[output {shape}]] [[takes 0s]]"))
    output = (await read_run(client, run_id))["output"]
    shapes = {"outputs", "images", "image_urls", "image", "url"}
    assert output.keys() & shapes == {shape} - {"none"}
    assert ("/images/" in str(output)) is (shape != "none")


async def test_the_same_create_made_again_is_a_second_run_and_a_second_charge(
    client: httpx.AsyncClient,
) -> None:
    body = {**order("a fox [[takes 1s]]"), "client_ref": "mine"}
    ids = [await create_run(client, body) for _ in range(2)]
    await later(1)
    assert sorted(await find_runs(client, "mine")) == sorted(ids)
    assert len({*ids}) == 2
    assert await balance_dollars(client) == "9.90"


async def test_an_account_without_credit_for_what_is_under_way_gets_402(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    sandbox.runflow.accounts.of(RUNFLOW_KEY).balance_cents = 9
    await create_run(client, order("a fox [[takes 10s]] [[fail]]"))
    response = await client.post(CREATE, json=order())
    assert answered(response) == (402, refused("INSUFFICIENT_CREDIT", "Insufficient credits"))
    await later(10)
    await create_run(client, order())


async def test_a_run_is_found_by_its_own_account_only(client: httpx.AsyncClient) -> None:
    run_id = await create_run(client, {**order(), "client_ref": "mine"})
    stranger = authorized("rf_live_sandbox_stranger")
    said = refused("RUN_NOT_FOUND", "There is no such run.")
    for path, headers in ((f"/v1/runs/{run_id}", stranger), (f"/v1/runs/{uuid4()}", {})):
        assert answered(await client.get(path, headers=headers)) == (404, said)
    listed = await client.get("/v1/runs", headers=stranger)
    assert listed.json()["items"] == []


@pytest.mark.parametrize(
    "path",
    ["black-forest-labs/flux-2-pro", "runflow/flux-2-flex", "black-forest-labs/flux-2-flex/edit"],
)
async def test_only_flex_is_sold_and_only_from_text(client: httpx.AsyncClient, path: str) -> None:
    response = await client.post(f"/v1/models/{path}/runs", json=order())
    said = refused("MODEL_NOT_FOUND", "There is no such model.")
    assert answered(response) == (404, said)


@pytest.mark.parametrize(
    ("availability", "status", "code"),
    [("early_access", 503, "MODEL_UNAVAILABLE"), (None, 404, "MODEL_NOT_FOUND")],
)
async def test_what_cannot_be_ordered_is_refused_and_the_public_list_says_so_to_anybody(
    client: httpx.AsyncClient,
    anybody: httpx.AsyncClient,
    sandbox: Sandbox,
    availability: str | None,
    status: int,
    code: str,
) -> None:
    sandbox.runflow.shelf.availability = availability
    response = await client.post(CREATE, json=order())
    assert (response.status_code, response.json()["code"]) == (status, code)
    listed = (await anybody.get("/v1/public/models")).json()["items"]
    assert [each["availability_status"] for each in listed] == [availability][: len(listed)]
    assert (listed == []) is (availability is None)


async def test_the_public_list_tells_anybody_the_price_and_what_flex_takes(
    anybody: httpx.AsyncClient,
) -> None:
    asked = {"q": "slug.EQ:'flux-2-flex'"}
    status, body = answered(await anybody.get("/v1/public/models", params=asked))
    model = body["items"][0]
    assert (status, len(body["items"]), model["slug"]) == (200, 1, "flux-2-flex")
    inputs = {each["name"]: each for each in model["inputs"]}
    assert inputs["guidance_scale"]["validator_attrs"] == {"min": 1.5, "max": 10}
    assert [name for name, each in inputs.items() if each["is_required"]] == ["prompt"]
    assert inputs.keys() == INPUT.keys() - {"sync_mode"}
    other = await anybody.get("/v1/public/models", params={"q": "slug.EQ:'flux-1'"})
    assert other.json()["items"] == []


async def test_the_organization_is_told_to_its_key_and_health_to_anybody(
    client: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    status, identity = answered(await client.get("/v1/auth/me"))
    assert (status, identity["email"]) == (200, "sandbox@example.com")
    assert answered(await anybody.get("/v1/health")) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/api/v1/me", 404, "Not Found"),
        ("GET", "/v1/runs/", 404, "Not Found"),
        ("POST", "/v1/runs", 405, "Method Not Allowed"),
    ],
)
async def test_an_unknown_route_answers_in_runflows_form(
    client: httpx.AsyncClient, method: str, path: str, status: int, message: str
) -> None:
    response = await client.request(method, path)
    assert answered(response) == (status, refused("NOT_FOUND", message))


@pytest.mark.parametrize(
    ("status", "media_type", "content"),
    [(415, "text/plain", b"{}"), (400, "application/json", b"[]"), (400, "application/json", b"")],
)
async def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.AsyncClient, status: int, media_type: str, content: bytes
) -> None:
    response = await client.post(CREATE, content=content, headers={"Content-Type": media_type})
    assert (response.status_code, response.json()["code"]) == (status, "REQUEST_FAILED")
