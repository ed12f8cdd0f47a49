"""Tasks on the wire: the paid request, and what answers say of a task."""

from collections.abc import Callable, Mapping
from typing import Final

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.fields import MAX_URL_CHARACTERS
from runapi_mcp.base.catalog.task import Status, Task
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.errors import ProviderDown
from runapi_mcp.base.json_values import (
    Json,
    as_cents,
    as_list,
    as_name,
    as_number,
    as_object,
    as_text,
)
from runapi_mcp.base.urls import is_http
from runapi_mcp.providers.runapi.failures import parse_message
from runapi_mcp.providers.runapi.messages import Reply, Request, incomplete

MOST_IMAGES: Final = 8
"""More than any Flux 2 task draws; an answer must not grow with what RunAPI says."""

# RunAPI's contract knows the first four; its own servers tolerate the others.
_STATUSES: Final[Mapping[str, Status]] = {
    "pending": "pending",
    "processing": "processing",
    "completed": "completed",
    "failed": "failed",
    "queued": "pending",
    "running": "processing",
    "succeeded": "completed",
    "canceled": "failed",
    "cancelled": "failed",
    "timeout": "failed",
}


def create_request(variant: Variant, body: str, idempotency_key: str) -> Request:
    return Request(
        "POST",
        f"/api/v1/{variant.service}/{variant.action}",
        body=body,
        headers={"Idempotency-Key": idempotency_key},
        pays=True,
    )


def read_request(
    task_id: str, variant: Variant | None, urgency: Callable[[], float] | None
) -> Request:
    """By the id alone; where the variant is known, by its action's address, as the SDK does."""
    folder = f"{variant.service}/{variant.action}" if variant else "tasks"
    return Request(
        "GET", f"/api/v1/{folder}/{task_id}", repeated=False, reads_task=True, urgency=urgency
    )


def parse_created(reply: Reply) -> Task:
    envelope = _envelope(reply.body)
    task_id = canonical(as_text(envelope.get("id")) or "") or reply.answer.task_id
    if task_id is None:
        raise incomplete(reply, "names no task")
    return _task(task_id, envelope, reply)


def parse_read(task_id: str, reply: Reply) -> Task:
    envelope = _envelope(reply.body)
    named = as_text(envelope.get("id"))
    if named is not None and canonical(named) != task_id:
        raise ProviderDown(
            "RunAPI answered about another task.", "Ask for the task again.", reply.answer
        )
    return _task(task_id, envelope, reply)


def _task(task_id: str, envelope: Json, reply: Reply) -> Task:
    return Task(
        id=task_id,
        status=_STATUSES.get((as_text(envelope.get("status")) or "").lower(), "unknown"),
        image_urls=_image_urls(envelope.get("images")),
        error=parse_message({"error": envelope.get("error"), "errors": envelope.get("errors")}),
        cost_cents=_cost_cents(envelope),
        reserved_cents=_reserved_cents(envelope),
        model=as_name(envelope.get("model")),
        retry_after_seconds=reply.answer.retry_after_seconds,
        request_id=reply.answer.request_id,
        sandbox=reply.answer.sandbox,
    )


def _envelope(body: Json) -> Json:
    """The task's own entries, out of a task result or a `data` object that wraps them."""
    outer = {**body, **as_object(body.get("data"))}
    response = as_object(outer.get("response"))
    envelope = {**outer, **as_object(response.get("body"))}
    envelope |= {name: outer[name] for name in ("id", "status") if name in outer}
    if (as_number(response.get("status")) or 0) >= 400:
        envelope["status"] = "failed"
    return envelope


def _image_urls(value: object) -> tuple[str, ...]:
    urls = (as_text(as_object(image).get("url")) for image in as_list(value))
    good = (url for url in urls if url and is_http(url) and len(url) <= MAX_URL_CHARACTERS)
    return tuple(dict.fromkeys(good))[:MOST_IMAGES]


def _cost_cents(envelope: Json) -> float | None:
    cost_usd = as_number(as_object(envelope.get("usage")).get("cost"))
    if cost_usd is not None:
        return as_cents(tidy(cost_usd * 100))
    settlement = as_object(as_object(envelope.get("billing")).get("settlement"))
    return as_cents(settlement.get("charged_amount_cents"))


def _reserved_cents(envelope: Json) -> float | None:
    reservation = as_object(as_object(envelope.get("billing")).get("reservation"))
    return as_cents(reservation.get("amount_cents"))
