"""RunAPI's answers in all the forms it has been seen to give, and in some it should not."""

from typing import Any

import httpx
import pytest
from mcp_types import CallToolResult

from tests.support.world import call_answered, facts, said

pytestmark = pytest.mark.anyio
TASK_ID = "5e30607a-954f-4c26-800b-9c33eb9d0255"
URL = "https://cdn.example/fox.png?X-Signature=a%2Fb"
DRAWN = {"id": TASK_ID, "status": "completed", "images": [{"url": URL}]}


async def task(body: object, **more: Any) -> CallToolResult:
    """What get_task says of a body."""
    return await call_answered(
        lambda _: httpx.Response(200, json=body, **more),
        "get_task",
        {"task_id": TASK_ID, "wait_seconds": 0},
    )


@pytest.mark.parametrize(
    ("body", "cost_cents"),
    [
        (DRAWN | {"usage": {"cost": 0.05}}, 5),
        (DRAWN | {"usage": {"cost": 0.0725}}, 7.25),
        (DRAWN | {"usage": {"cost": 0.1 + 0.2}}, 30),
        ({"data": DRAWN | {"usage": {"cost": 0.14}}}, 14),
        (DRAWN | {"status": "SUCCEEDED", "usage": {"cost": 0}}, 0),
        (
            DRAWN | {"billing": {"reservation": None, "settlement": {"charged_amount_cents": 24}}},
            24,
        ),
        (
            {
                "id": TASK_ID,
                "status": "completed",
                "response": {"status": 200, "body": DRAWN | {"usage": {"cost": 0.05}}},
            },
            5,
        ),
    ],
)
async def test_a_drawn_picture_and_its_charge_are_read(body: object, cost_cents: float) -> None:
    result = await task(body)
    assert facts(result) == {
        "status": "completed",
        "task_id": TASK_ID,
        "image_urls": [URL],
        "cost_cents": cost_cents,
        "next": "The image URLs expire about 7 days after drawing; download what should last.",
    }


@pytest.mark.parametrize(
    ("status", "understood"),
    [
        ("pending", "pending"),
        ("queued", "pending"),
        ("Processing", "processing"),
        ("RUNNING", "processing"),
        ("on fire", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
)
async def test_a_state_that_is_no_end_is_never_taken_for_success(
    status: object, understood: str
) -> None:
    result = await task({"id": TASK_ID, "status": status, "images": [{"url": URL}]})
    assert facts(result)["status"] == understood
    assert "Call get_task" in said(result)


@pytest.mark.parametrize("status", ["failed", "canceled", "cancelled", "timeout", "FAILED"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("no foxes", 'RunAPI says: "no foxes"'),
        ({"code": "moderated", "message": "no foxes"}, 'RunAPI says: "no foxes"'),
        (None, "RunAPI gave no reason."),
        ("<html><title>x</title></html>", "RunAPI gave no reason."),
    ],
)
async def test_every_bad_end_is_an_error_with_its_reason(
    status: str, error: object, reason: str
) -> None:
    result = await task({"id": TASK_ID, "status": status, "error": error})
    assert result.is_error
    assert facts(result)["error"] == reason


async def test_a_stored_answer_with_an_error_status_is_a_failed_task() -> None:
    stored = {"status": 422, "body": {"error": {"message": "no foxes"}}}
    result = await task({"id": TASK_ID, "status": "completed", "response": stored})
    assert (facts(result)["status"], facts(result)["error"]) == (
        "failed",
        'RunAPI says: "no foxes"',
    )


@pytest.mark.parametrize("images", [[], None, [{}], [{"url": ""}], "x", [7]])
async def test_completed_without_an_image_is_an_error_that_keeps_the_id(images: object) -> None:
    result = await task({"id": TASK_ID, "status": "completed", "images": images})
    assert result.is_error
    assert TASK_ID in said(result)
    assert "names no image" in said(result)


async def test_the_request_id_is_told_with_a_failed_task() -> None:
    result = await task({"id": TASK_ID, "status": "failed"}, headers={"X-Request-Id": "req_7"})
    assert facts(result)["request_id"] == "req_7"


@pytest.mark.parametrize("status", [409, 422, 500])
async def test_a_failed_create_that_names_its_task_is_followed(status: int) -> None:
    ended = {"id": TASK_ID, "status": "completed", "images": [{"url": "https://a.example/f.png"}]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and TASK_ID in request.url.path:
            return httpx.Response(200, json=ended)
        return httpx.Response(status, headers={"X-RunAPI-Task-Id": TASK_ID})

    result = await call_answered(answer, "flux_2_pro_text_to_image", {"prompt": "a fox"})
    assert facts(result)["image_urls"] == ["https://a.example/f.png"]


async def test_a_failed_create_that_names_its_task_hands_out_the_id() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, headers={"X-RunAPI-Task-Id": TASK_ID, "Retry-After": "3600"})

    result = await call_answered(answer, "flux_2_pro_text_to_image", {"prompt": "a fox"})
    assert facts(result)["task_id"] == TASK_ID
    assert "get_task" in said(result)


@pytest.mark.parametrize(
    ("errors", "said_of_it"),
    [
        (
            {"error": "Validation failed", "errors": {"prompt": ["is required"]}},
            "Validation failed: prompt is required",
        ),
        ({"errors": {"prompt": "is bad", "model": ["a", "b"]}}, "prompt is bad; model a and b"),
        ({"error": {"code": "x", "message": "too long"}}, "too long"),
        ({"message": "m"}, '(RunAPI says: "m")'),
        ({"detail": "d"}, 'says: "d"'),
        ({"errorMessage": "e"}, 'says: "e"'),
        ({"msg": "g"}, 'says: "g"'),
        ({"error": "line\nbreak   and\ttabs"}, 'says: "line break and tabs"'),
        ({"error": "x" * 900}, "x" * 299 + "…"),
        ([], "(HTTP 422)"),
        ({"error": ["?"]}, "(HTTP 422)"),
    ],
)
async def test_runapis_own_words_are_quoted_short_wherever_it_puts_them(
    errors: object, said_of_it: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(422, json=errors)

    result = await call_answered(answer, "flux_2_pro_text_to_image", {"prompt": "a fox"})
    assert said_of_it in said(result)
    assert "Nothing was paid." in said(result)


@pytest.mark.parametrize(
    ("row", "quoted", "cents"),
    [
        ({"unit_price_cents": 9}, None, 9),
        ({"unit_price_cents": 9, "billing_config": {}}, None, 9),
        (
            {
                "unit_price_cents": 9,
                "billing_config": {"key": "output_resolution", "overrides": {"1k": 8}},
            },
            None,
            8,
        ),
        ({"unit_price_cents": 9, "billing_config": {"key": "megapixels"}}, 11, 11),
        ({"unit_price_cents": None, "billing_strategy": "dynamic"}, 12, 12),
        ({"unit_price_cents": None}, None, 5),
        ({"unit_price_cents": 900, "currency": "JPY"}, None, 5),
    ],
)
async def test_a_price_is_read_asked_for_or_taken_from_the_snapshot(
    row: dict[str, object], quoted: int | None, cents: int
) -> None:
    model = "flux-2-pro-text-to-image"

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("price_quotes"):
            quote = {"reservation_amount_cents": quoted}
            return httpx.Response(200, json={"price_quote": quote})
        return httpx.Response(200, json={"price_schedules": [{"model": model, **row}]})

    result = await call_answered(
        answer, "check_pricing", {"model": model, "output_resolution": "1k"}
    )
    assert facts(result)["prices"][0]["price_cents"] == cents


@pytest.mark.parametrize("body", [{}, {"balance_cents": None}, {"balance_cents": "12"}])
async def test_a_balance_that_cannot_be_read_is_an_error(body: object) -> None:
    result = await call_answered(lambda _: httpx.Response(200, json=body), "check_balance", {})
    assert result.is_error
    assert "names no balance" in said(result)
