"""Creating and reading tasks: fields, states, idempotency, credit."""

from collections.abc import Mapping
from uuid import UUID, uuid4

import httpx
import pytest

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.sandbox.app import Sandbox
from tests.support.sandbox_client import (
    DRAW,
    MAX,
    MAX_REMIX,
    NO_BOOLEAN,
    NO_URL,
    NOT_2,
    NOT_9,
    PRO,
    PRO_REMIX,
    RATIOS,
    REMIX,
    RESOLUTIONS,
    SOURCE,
    TEXT,
    UNKNOWN,
    answered,
    create_task,
    later,
    prompting,
    read_task,
    spent_cents,
)
from tests.support.world import BASE_URL, KEY

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer stolen", f"Basic {KEY}", KEY])
async def test_without_a_good_key_every_paid_or_private_route_answers_401(
    anybody: httpx.AsyncClient, authorization: str
) -> None:
    routes = [
        ("POST", DRAW),
        ("GET", f"{DRAW}/{uuid4()}"),
        ("GET", f"/api/v1/tasks/{uuid4()}"),
        ("GET", "/api/v1/me"),
        ("GET", "/api/v1/me/balance"),
        ("POST", "/api/v1/files"),
        ("POST", "/api/v1/files/prepare"),
        ("POST", "/api/v1/files/confirm"),
    ]
    for method, path in routes:
        given = {"Authorization": authorization}
        response = await anybody.request(method, path, json=PRO, headers=given)
        assert (path, *answered(response)) == (path, 401, {"error": "Invalid API key"})


async def test_a_create_answers_202_with_the_reservation_and_says_where_the_task_is(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(DRAW, json=PRO, headers={"X-Client-Request-Id": "mine 1"})
    task_id = str(UUID(response.json()["id"]))
    reserved = {"reservation": {"amount_cents": 5}, "settlement": None, "refund": None}
    assert answered(response) == (202, {"id": task_id, "status": "pending", "billing": reserved})
    assert response.headers["location"] == f"{BASE_URL}/api/v1/tasks/{task_id}"
    assert response.headers["x-runapi-task-id"] == task_id
    assert response.headers["x-client-request-id"] == "mine 1"
    assert "retry-after" not in response.headers


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.model)
async def test_every_variant_is_taken_at_its_own_service_and_action_and_at_no_other(
    client: httpx.AsyncClient, variant: Variant
) -> None:
    required = [name for name, field in variant.params.model_fields.items() if field.is_required()]
    body = {"model": variant.model, **{name: MAX_REMIX[name] for name in required}}
    for service, action in dict.fromkeys((v.service, v.action) for v in VARIANTS):
        answer = answered(await client.post(f"/api/v1/{service}/{action}", json=body))
        if (service, action) == (variant.service, variant.action):
            assert answer[0] == 202
        else:
            refusal = {"model": [f"is not available for {action}"]}
            assert answer == (422, {"error": "Validation failed", "errors": refusal})


@pytest.mark.parametrize(
    ("path", "body", "field", "reason"),
    [
        (DRAW, {"prompt": "a fox"}, "model", "is required"),
        (DRAW, PRO | {"model": "flux-1"}, "model", "is not available for text_to_image"),
        (DRAW, {"model": PRO["model"]}, "prompt", "is required"),
        (DRAW, PRO | {"prompt": "ab"}, "prompt", f"{TEXT} have at least 3 characters"),
        (DRAW, PRO | {"prompt": "a" * 5001}, "prompt", f"{TEXT} have at most 5000 characters"),
        (DRAW, PRO | {"prompt": 7}, "prompt", "is invalid: Input should be a valid string"),
        (DRAW, PRO | {"seed": 7}, "seed", UNKNOWN),
        (DRAW, PRO | {"output_count": 1}, "output_count", UNKNOWN),
        (DRAW, PRO | {"source_image_urls": SOURCE}, "source_image_urls", UNKNOWN),
        (DRAW, PRO | {"aspect_ratio": "auto"}, "aspect_ratio", RATIOS),
        (DRAW, PRO | {"aspect_ratio": None}, "aspect_ratio", RATIOS),
        (DRAW, PRO | {"output_resolution": "4k"}, "output_resolution", RESOLUTIONS),
        (DRAW, PRO | {"enable_safety_checker": "true"}, "enable_safety_checker", NO_BOOLEAN),
        (DRAW, PRO | {"callback_url": "ftp://example.com"}, "callback_url", NO_URL),
        (DRAW, {"model": MAX["model"], "prompt": "a fox"}, "aspect_ratio", "is required"),
        (DRAW, MAX | {"output_resolution": "2k"}, "output_resolution", "must be one of '1k'"),
        (DRAW, MAX | {"output_count": 2}, "output_count", "must be one of 1"),
        (DRAW, MAX | {"enable_safety_checker": True}, "enable_safety_checker", UNKNOWN),
        (REMIX, PRO_REMIX | {"source_image_urls": SOURCE * 9}, "source_image_urls", NOT_9),
        (REMIX, MAX_REMIX | {"source_image_urls": SOURCE * 2}, "source_image_urls", NOT_2),
        (REMIX, PRO_REMIX | {"source_image_urls": ["a.png"]}, "source_image_urls", NO_URL),
        (REMIX, MAX_REMIX | {"aspect_ratio": "auto"}, "aspect_ratio", RATIOS),
    ],
)
async def test_a_wrong_field_is_refused_by_its_name_and_nothing_is_made(
    client: httpx.AsyncClient,
    sandbox: Sandbox,
    path: str,
    body: Mapping[str, object],
    field: str,
    reason: str,
) -> None:
    response = await client.post(path, json=body)
    errors = {field: [reason]}
    assert answered(response) == (422, {"error": "Validation failed", "errors": errors})
    assert sandbox.accounts.of(KEY).tasks == {}


@pytest.mark.parametrize(
    ("status", "message", "media_type", "content"),
    [
        (415, "Content-Type must be application/json", "text/plain", b"{}"),
        (415, "Content-Type must be application/json", "application/jsonp", b"{}"),
        (413, "Payload too large", "application/json", b'"%s"' % (b"a" * 1_000_000)),
        (400, "The body must be a JSON object", "application/json", b'{"prompt": '),
        (400, "The body must be a JSON object", "application/json", b"[]"),
        (400, "The body must be a JSON object", "application/json", b""),
        (400, "The body must be a JSON object", "application/json", b"[" * 100_000),
        (400, "The body must be a JSON object", "application/json", b'{"\xff": 1}'),
        (400, "The body must be a JSON object", "Application/JSON", b'{"\\ud83e": "half"}'),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_body_that_is_no_json_object_of_a_fair_size_is_refused(
    client: httpx.AsyncClient, status: int, message: str, media_type: str, content: bytes
) -> None:
    response = await client.post(DRAW, content=content, headers={"Content-Type": media_type})
    assert answered(response) == (status, {"error": message})


async def test_json_with_a_charset_and_a_whole_emoji_is_read(client: httpx.AsyncClient) -> None:
    response = await client.post(
        DRAW,
        content=b'{"model": "flux-2-pro-text-to-image", "prompt": "\\ud83e\\udd8a fox"}',
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )
    assert response.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/", 404, "Not Found"),
        ("POST", "/api/v1/flux_2/video", 404, "Not Found"),
        ("GET", "/api/v1/me/", 404, "Not Found"),
        ("GET", DRAW, 405, "Method Not Allowed"),
        ("DELETE", "/api/v1/me", 405, "Method Not Allowed"),
    ],
)
async def test_an_unknown_route_answers_json_as_everything_does(
    client: httpx.AsyncClient, method: str, path: str, status: int, message: str
) -> None:
    response = await client.request(method, path, headers={"X-Client-Request-Id": "mine"})
    assert answered(response) == (status, {"error": message})
    assert response.headers["x-client-request-id"] == "mine"


async def test_a_task_is_found_by_its_own_account_under_its_own_action_only(
    client: httpx.AsyncClient,
) -> None:
    task_id = await create_task(client)
    stranger = {"Authorization": "Bearer sandbox-stranger"}
    for response in (
        await client.get(f"{DRAW}/{uuid4()}"),
        await client.get(f"{REMIX}/{task_id}"),
        await client.get(f"{DRAW}/{task_id}", headers=stranger),
        await client.get(f"/api/v1/tasks/{task_id}", headers=stranger),
        await client.get(f"/api/v1/tasks/{uuid4()}"),
    ):
        assert answered(response) == (404, {"error": "Task not found"})


async def test_a_task_goes_from_pending_to_processing_to_completed_and_then_has_a_cost(
    client: httpx.AsyncClient,
) -> None:
    task_id = await create_task(client, prompting("a fox [[takes 4s]]"))
    assert await read_task(client, task_id) == {"id": task_id, "status": "pending", "images": []}
    await later(0.4)
    assert await read_task(client, task_id) == {"id": task_id, "status": "processing", "images": []}
    assert await spent_cents(client) == 0
    await later(3.6)
    assert await read_task(client, task_id) == {
        "id": task_id,
        "status": "completed",
        "images": [{"url": f"{BASE_URL}/images/{task_id}.png"}],
        "usage": {"cost": 0.05},
    }
    assert await spent_cents(client) == 5


async def test_the_location_of_a_task_answers_without_its_action_and_stores_the_last_answer(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(DRAW, json=prompting("a fox [[takes 10s]]"))
    location, task_id = response.headers["location"], response.json()["id"]
    assert answered(await client.get(location)) == (200, {"id": task_id, "status": "pending"})
    await later(10)
    stored = {
        "status": 200,
        "content_type": "application/json",
        "headers": {"X-RunAPI-Task-Id": task_id},
        "body": await read_task(client, task_id),
    }
    finished = await client.get(location)
    assert answered(finished) == (200, {"id": task_id, "status": "completed", "response": stored})
    assert finished.headers["x-runapi-task-id"] == task_id


async def test_a_failed_task_says_why_and_its_reservation_is_released(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    task_id = await create_task(client, prompting("a fox [[fail: no foxes today]] [[takes 1s]]"))
    assert sandbox.accounts.of(KEY).reserved_cents() == 5
    await later(1)
    failed = await read_task(client, task_id)
    assert failed == {"id": task_id, "status": "failed", "images": [], "error": "no foxes today"}
    stored = (await client.get(f"/api/v1/tasks/{task_id}")).json()["response"]
    assert (stored["status"], stored["body"]) == (422, failed)
    assert (sandbox.accounts.of(KEY).reserved_cents(), await spent_cents(client)) == (0, 0)


async def test_an_account_without_credit_for_what_is_under_way_gets_402_until_some_is_released(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    costly = {**MAX, "prompt": "a fox [[takes 10s]] [[fail]]"}
    for _ in range(1000 // 30):
        await create_task(client, costly)
    refused = await client.post(DRAW, json=costly)
    assert answered(refused) == (402, {"error": "Insufficient credits"})
    assert len(sandbox.accounts.of(KEY).tasks) == 1000 // 30
    await later(10)
    await create_task(client, costly)


async def test_an_idempotency_key_makes_one_task_and_one_charge_however_often_it_comes(
    client: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    ids = {await create_task(client, key="one") for _ in range(3)}
    await later(10)
    assert ids == {await create_task(client, key="one")} == set(sandbox.accounts.of(KEY).tasks)
    assert await spent_cents(client) == 5


async def test_an_idempotency_key_with_other_input_is_a_conflict_but_only_in_its_own_account(
    client: httpx.AsyncClient,
) -> None:
    await create_task(client, key="one")
    other = prompting("a blue fox")
    refused = await client.post(DRAW, json=other, headers={"Idempotency-Key": "one"})
    message = "Idempotency-Key was used with other input"
    assert answered(refused) == (409, {"error": message})
    stranger = {"Authorization": "Bearer sandbox-stranger", "Idempotency-Key": "one"}
    assert (await client.post(DRAW, json=other, headers=stranger)).status_code == 202


@pytest.mark.parametrize(
    ("key", "status"), [("~" * 512, 202), ("~" * 513, 400), ("", 400), ("a\tb", 400), ("ä", 400)]
)
async def test_an_idempotency_key_is_1_to_512_printable_ascii_characters(
    client: httpx.AsyncClient, key: str, status: int
) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    assert (await client.post(DRAW, json=PRO, headers=headers)).status_code == status
