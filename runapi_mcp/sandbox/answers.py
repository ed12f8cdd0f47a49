"""Answers in RunAPI's shapes: envelopes, errors, headers; each says that it is the sandbox's."""

import uuid
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from runapi_mcp.base.catalog.task import Status
from runapi_mcp.sandbox.body_validation import FieldErrors
from runapi_mcp.sandbox.faults import Fault, TornConnection
from runapi_mcp.sandbox.task_store import StoredTask

_FAULT_MESSAGES = {
    "401": "Invalid API key",
    "402": "Insufficient credits",
    "404": "Not found",
    "409": "Conflict",
    "429": "Too many requests",
    "500": "Internal server error",
    "503": "Service unavailable",
}


def answer(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({**body, "sandbox": True}, status, dict(headers or {}))


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return answer({"error": message}, status, headers)


def invalid(errors: FieldErrors) -> Response:
    return answer({"error": "Validation failed", "errors": errors}, 422)


def failing(fault: Fault) -> Response:
    match fault.kind:
        case "torn":
            return _Torn()
        case "html":
            page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return HTMLResponse(page, 502)
        case "broken-json":
            return Response('{"id": "3f2', 200, media_type="application/json")
        case "422":
            return invalid({"prompt": ["was refused, as the sandbox was asked"]})
        case kind:
            pause = {} if fault.seconds is None else {"Retry-After": f"{fault.seconds:g}"}
            return error(int(kind), _FAULT_MESSAGES[kind], pause)


class _Torn(Response):
    """An answer that breaks off in the middle."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Length": "1000"}, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": b'{"id": "', "more_body": True})
        # The server closes the connection of an answer it cannot finish.
        raise TornConnection


def created(task: StoredTask) -> Response:
    return answer(
        {
            "id": task.id,
            "status": "pending",
            "billing": {
                "reservation": {"amount_cents": task.price_cents},
                "settlement": None,
                "refund": None,
            },
        },
        202,
        {"Location": f"{task.base_url}/api/v1/tasks/{task.id}", **task_headers(task)},
    )


def task_headers(task: StoredTask) -> dict[str, str]:
    pause = task.script.poll_after_seconds
    retry_after = {} if pause is None else {"Retry-After": f"{pause:g}"}
    return {"X-RunAPI-Task-Id": task.id, **retry_after}


def envelope(task: StoredTask, status: Status) -> dict[str, object]:
    """The task as its own address and a callback give it."""
    entries: dict[str, object] = {"id": task.id, "status": status, "images": []}
    if status == "completed":
        entries["images"] = [{"url": f"{task.base_url}/images/{task.id}.png"}]
        entries["usage"] = {"cost": task.price_cents / 100}
    if status == "failed":
        entries["error"] = task.script.failure
    return entries


def task_result(task: StoredTask, status: Status) -> dict[str, object]:
    """The task as `GET /api/v1/tasks/{id}` gives it: the stored answer, once there is one."""
    entries: dict[str, object] = {"id": task.id, "status": status}
    if status in ("completed", "failed"):
        entries["response"] = {
            "status": 200 if status == "completed" else 422,
            "content_type": "application/json",
            "headers": {"X-RunAPI-Task-Id": task.id},
            "body": envelope(task, status),
        }
    return entries


def sign(response: Response, request: Request) -> Response:
    """Give the answer the headers that all of them carry."""
    response.headers["X-RunAPI-Sandbox"] = "1"
    response.headers["X-Request-Id"] = f"req_{uuid.uuid4().hex[:16]}"
    if client_request_id := request.headers.get("x-client-request-id"):
        response.headers["X-Client-Request-Id"] = client_request_id
    return response
