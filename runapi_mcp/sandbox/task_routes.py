"""The paid part of the contract: creating tasks, reading them, their callbacks and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from json import dumps

import anyio
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.task import Status
from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.callbacks import call_back
from runapi_mcp.sandbox.endpoints import Endpoint, endpoints_of
from runapi_mcp.sandbox.faults import Faults, Script, script_of
from runapi_mcp.sandbox.http_messages import Refusal, Table, answer, json_body, origin
from runapi_mcp.sandbox.runapi_messages import api_key, idempotency_key
from runapi_mcp.sandbox.task_pictures import TaskPictures
from runapi_mcp.sandbox.task_store import IdempotencyKeys, StoredTask, TaskMaker


@dataclass(slots=True)
class TaskRoutes:
    """`/api/v1/{service}/{action}...`, `/api/v1/tasks/...` and `/images/...`."""

    _variants: Sequence[Variant]
    _accounts: Accounts[StoredTask]
    _keys: IdempotencyKeys
    _maker: TaskMaker
    _pictures: TaskPictures
    _faults: Faults
    _called_back: set[str] = field(default_factory=set[str])

    def table(self) -> Table:
        yield "GET", "/api/v1/tasks/{task_id}", self._task_result
        yield "GET", "/images/{task_id}.png", self._image
        for endpoint in endpoints_of(self._variants):
            yield "POST", endpoint.path, partial(self._create, endpoint)
            yield "GET", f"{endpoint.path}/{{task_id}}", partial(self._read, endpoint)

    async def _create(self, endpoint: Endpoint, request: Request) -> Response:
        owner = api_key(request)
        key, body = idempotency_key(request), await json_body(request)
        prompt = body.get("prompt")
        script = script_of(prompt if isinstance(prompt, str) else "")
        identity = owner, key or endpoint.identity(body)
        await self._faults.misbehave("create", script.faults, identity)
        task = self._store(endpoint, request, body, script)
        await self._faults.misbehave("created", script.faults, identity)
        return self._accept(task)

    def _store(
        self, endpoint: Endpoint, request: Request, body: Mapping[str, object], script: Script
    ) -> StoredTask:
        """The task of this request: the earlier one of its idempotency key, or a new one."""
        owner, key = api_key(request), idempotency_key(request)
        account, identity = self._accounts.of(owner), endpoint.identity(body)
        variant, params = endpoint.validate(body)
        if key and (earlier := self._keys.earlier(owner, key, identity)):
            return account.tasks[earlier]
        now = self._accounts.clock()
        task = self._maker.new_task(variant, params, script, origin(request), now)
        account.take_on(task)
        if key:
            self._keys.remember(owner, key, identity, task.id)
        return task

    def _accept(self, task: StoredTask) -> Response:
        """The answer to the create, which calls back once the task has ended."""
        reservation = {"amount_cents": task.price_cents}
        billing = {"reservation": reservation, "settlement": None, "refund": None}
        entries = {"id": task.id, "status": "pending", "billing": billing}
        location = f"{task.base_url}/api/v1/tasks/{task.id}"
        response = answer(entries, 202, {"Location": location, **_headers(task)})
        callback_url = task.params.model_dump().get("callback_url")
        # A create that is repeated with its idempotency key makes no second callback.
        if callback_url and task.id not in self._called_back:
            self._called_back.add(task.id)
            response.background = BackgroundTask(_call_back, callback_url, task, self._accounts)
        return response

    async def _read(self, endpoint: Endpoint, request: Request) -> Response:
        task = await self._readable(request)
        if task.variant not in endpoint.variants:
            raise Refusal(404, "Task not found")
        status = task.status(self._accounts.clock())
        return answer(_envelope(task, status), headers=_headers(task))

    async def _task_result(self, request: Request) -> Response:
        task = await self._readable(request)
        status = task.status(self._accounts.clock())
        return answer(_result(task, status), headers=_headers(task))

    async def _readable(self, request: Request) -> StoredTask:
        task = self._accounts.of(api_key(request)).tasks.get(request.path_params["task_id"])
        if task is None:
            raise Refusal(404, "Task not found")
        await self._faults.misbehave("poll", task.script.faults, task.id)
        return task

    async def _image(self, request: Request) -> Response:
        await self._faults.misbehave("image")
        png = await self._pictures.png(request.path_params["task_id"])
        if png is None:
            raise Refusal(404, "Image not found")
        return Response(png, media_type="image/png")


def _headers(task: StoredTask) -> dict[str, str]:
    pause = task.script.poll_after_seconds
    retry_after = {} if pause is None else {"Retry-After": f"{pause:g}"}
    return {"X-RunAPI-Task-Id": task.id, **retry_after}


def _envelope(task: StoredTask, status: Status) -> dict[str, object]:
    """The task as its own address and a callback give it."""
    entries: dict[str, object] = {"id": task.id, "status": status, "images": []}
    if status == "completed":
        entries["images"] = [{"url": f"{task.base_url}/images/{task.id}.png"}]
        entries["usage"] = {"cost": task.price_cents / 100}
    if status == "failed":
        entries["error"] = task.script.failure
    return entries


def _result(task: StoredTask, status: Status) -> dict[str, object]:
    """The task as `GET /api/v1/tasks/{id}` gives it: the stored answer, once there is one."""
    entries: dict[str, object] = {"id": task.id, "status": status}
    if status in ("completed", "failed"):
        entries["response"] = {
            "status": 200 if status == "completed" else 422,
            "content_type": "application/json",
            "headers": {"X-RunAPI-Task-Id": task.id},
            "body": _envelope(task, status),
        }
    return entries


async def _call_back(url: str, task: StoredTask, accounts: Accounts[StoredTask]) -> None:
    """Post the task's envelope once it has ended."""
    if task.script.never_ends:
        return
    await anyio.sleep(max(0.0, task.started + task.seconds - accounts.clock()))
    body = {**_envelope(task, task.status(accounts.clock())), "sandbox": True}
    await call_back(url, dumps(body).encode(), {})
