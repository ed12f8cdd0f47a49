"""Tasks: the paid request, and reading what became of it."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from runapi_mcp.api.failures import message_of
from runapi_mcp.api.messages import (
    CREATE_RETRY_SECONDS,
    READ_RETRY_SECONDS,
    Json,
    Reply,
    Request,
    Send,
    as_list,
    as_number,
    as_object,
    as_text,
)
from runapi_mcp.catalog import Variant
from runapi_mcp.errors import RunapiDown

MOST_REMEMBERED: Final = 10_000

Status = Literal["pending", "processing", "completed", "failed", "unknown"]

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


@dataclass(frozen=True, slots=True)
class Task:
    """A task as RunAPI last described it. Money is in US cents."""

    id: str
    status: Status
    image_urls: tuple[str, ...] = ()
    error: str | None = None
    cost_cents: float | None = None
    """The recorded charge."""
    reserved_cents: float | None = None
    """What RunAPI set aside when it took the task."""
    model: str | None = None
    retry_after_seconds: float | None = None
    request_id: str | None = None
    sandbox: bool = False

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")


class MadeTasks:
    """The variants of the tasks made lately in this process."""

    def __init__(self) -> None:
        self._variants: OrderedDict[str, Variant] = OrderedDict()

    def remember(self, task_id: str, variant: Variant) -> None:
        self._variants[task_id] = variant
        if len(self._variants) > MOST_REMEMBERED:
            self._variants.popitem(last=False)

    def variant(self, task_id: str) -> Variant | None:
        return self._variants.get(task_id)


class Tasks:
    """Tasks of one caller. `made` remembers which variant made a task, as its address needs it."""

    def __init__(self, send: Send, made: MadeTasks) -> None:
        self._send = send
        self._made = made

    async def create(
        self, variant: Variant, body: Mapping[str, object], idempotency_key: str
    ) -> Task:
        """A new task, paid once however often the request has to be repeated.

        Raises:
            RunapiFailure: no task is known; `in_doubt` says whether there may be one.
        """
        reply = await self._send(
            Request(
                "POST",
                f"/api/v1/flux_2/{variant.action}",
                body={"model": variant.model, **body},
                headers={"Idempotency-Key": idempotency_key},
                retry_seconds=CREATE_RETRY_SECONDS,
            )
        )
        task = _task(reply)
        self._made.remember(task.id, variant)
        return replace(task, model=variant.model)

    async def read(self, task_id: str, retry_seconds: float = READ_RETRY_SECONDS) -> Task:
        """The task now, by its id alone.

        Raises:
            TaskNotFound: this caller has no such task.
            RunapiFailure: it could not be read within `retry_seconds`.
        """
        variant = self._made.variant(task_id)
        folder = f"flux_2/{variant.action}" if variant else "tasks"
        task = _task(
            await self._send(
                Request("GET", f"/api/v1/{folder}/{task_id}", retry_seconds=retry_seconds)
            )
        )
        return replace(task, model=variant.model) if variant else task


def _task(reply: Reply) -> Task:
    envelope = _envelope(reply.body)
    task_id = as_text(envelope.get("id")) or reply.answer.task_id
    if task_id is None:
        raise RunapiDown("RunAPI's answer names no task.", "Try again in a minute.", reply.answer)
    return Task(
        id=task_id,
        status=_status(envelope.get("status")),
        image_urls=_image_urls(envelope.get("images")),
        error=_error(envelope),
        cost_cents=_cost_cents(envelope),
        reserved_cents=_reserved_cents(envelope),
        model=as_text(envelope.get("model")),
        retry_after_seconds=reply.answer.retry_after_seconds,
        request_id=reply.answer.request_id,
        sandbox=reply.answer.sandbox,
    )


def _envelope(body: Json) -> Json:
    """The task's own entries, out of a task result or a `data` object that wraps them."""
    outer = as_object(body.get("data")) or body
    response = as_object(outer.get("response"))
    envelope = {**outer, **as_object(response.get("body"))}
    envelope |= {name: outer[name] for name in ("id", "status") if name in outer}
    if (as_number(response.get("status")) or 0) >= 400:
        envelope["status"] = "failed"
    return envelope


def _status(value: object) -> Status:
    return _STATUSES.get((as_text(value) or "").lower(), "unknown")


def _image_urls(value: object) -> tuple[str, ...]:
    urls = (as_text(as_object(image).get("url")) for image in as_list(value))
    return tuple(url for url in urls if url)


def _error(envelope: Json) -> str | None:
    return message_of({"error": envelope.get("error"), "errors": envelope.get("errors")})


def _cost_cents(envelope: Json) -> float | None:
    cost_usd = as_number(as_object(envelope.get("usage")).get("cost"))
    if cost_usd is not None:
        return _tidy(cost_usd * 100)
    settlement = as_object(as_object(envelope.get("billing")).get("settlement"))
    return as_number(settlement.get("charged_amount_cents"))


def _reserved_cents(envelope: Json) -> float | None:
    reservation = as_object(as_object(envelope.get("billing")).get("reservation"))
    return as_number(reservation.get("amount_cents"))


def _tidy(cents: float) -> float:
    rounded = round(float(cents), 4)
    return int(rounded) if rounded.is_integer() else rounded
