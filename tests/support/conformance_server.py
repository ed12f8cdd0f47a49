"""The real server with the fixture tools that the conformance suite's tasks-* scenarios call.

Only the tools and their tasks are made up. Who speaks of tasks, headers, parameters and
acknowledgements are the product's own, and so are all other tools. Run it: it serves HTTP.
"""

import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp_types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    MissingRequiredClientCapabilityErrorData,
    TextContent,
)

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.settings import Key
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import start_in_thread
from runapi_mcp.server import Keys, Service, create_server
from runapi_mcp.server.task_requests import RunapiTasks
from runapi_mcp.server.tasks_extension import (
    TASKS_EXTENSION,
    Context,
    TaskSource,
    Wire,
    WireStatus,
    serve_tasks,
    speaks_tasks,
)
from runapi_mcp.transports.http import bind, serve_http
from runapi_mcp.transports.http_app import http_app


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class ProtocolError(Exception):
    """What a call ends with that has no result at all."""


@dataclass(eq=False)
class FixtureTask:
    """A task in memory."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: WireStatus = "working"
    entries: Wire = field(default_factory=dict[str, Any])
    """What its status adds: a result, an error, questions."""
    answers: Wire = field(default_factory=dict[str, Any])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _created_at: str = field(default_factory=_now)
    _updated_at: str = field(default_factory=_now)
    _answered: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, work: "Work", params: CallToolRequestParams) -> None:
        """Work to the end, whatever that is."""
        with self.scope:
            try:
                self._become("completed", result=_wire(await work(self, params)))
            except ProtocolError as error:
                self._become("failed", error={"code": INTERNAL_ERROR, "message": str(error)})
        if self.scope.cancelled_caught:
            self._become("cancelled")

    async def ask(self, *names: str) -> Wire:
        """The client's answers to these questions."""
        self._become("input_required", inputRequests={name: _wire(_question()) for name in names})
        while not set(names) <= set(self.answers):
            await self._answered.wait()
            self._answered = anyio.Event()
        self._become("working")
        return self.answers

    def take(self, answers: Wire) -> None:
        """Take in answers to what was asked; others do not matter."""
        questions = self.entries.get("inputRequests", {})
        for name in set(answers) & set(questions):
            self.answers[name] = answers[name]
            del questions[name]
        self._answered.set()

    def shown(self) -> Wire:
        """The task as `tasks/get` answers it."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self._created_at,
            "lastUpdatedAt": self._updated_at,
            "ttlMs": 600_000,
            "pollIntervalMs": 500,
            **self.entries,
        }

    def _become(self, status: WireStatus, **entries: object) -> None:
        self.status, self.entries, self._updated_at = status, entries, _now()


Work = Callable[[FixtureTask, CallToolRequestParams], Awaitable[CallToolResult]]


@dataclass(frozen=True)
class FixtureTasks:
    """The fixture tools' tasks; all others are of the source behind."""

    behind: TaskSource
    group: TaskGroup
    kept: dict[str, FixtureTask] = field(default_factory=dict[str, FixtureTask])

    def started(self, work: Work, params: CallToolRequestParams) -> Wire:
        task = FixtureTask()
        self.kept[task.id] = task
        self.group.start_soon(task.run, work, params)
        return {"resultType": "task", **task.shown()}

    async def get(self, context: Context, task_id: str) -> Wire:
        task = self.kept.get(task_id)
        return task.shown() if task else await self.behind.get(context, task_id)

    async def update(self, context: Context, task_id: str, answers: Wire) -> None:
        if task_id in self.kept:
            self.kept[task_id].take(answers)
        else:
            await self.behind.update(context, task_id, answers)

    async def cancel(self, context: Context, task_id: str) -> None:
        if task_id in self.kept:
            self.kept[task_id].scope.cancel()
        else:
            await self.behind.cancel(context, task_id)


def add_fixtures(server: Server[Any], service: Service, group: TaskGroup) -> None:
    """Let the server have the fixture tools besides its own."""
    own = server.get_request_handler("tools/call")
    assert own is not None
    tasks = FixtureTasks(RunapiTasks(service), group)

    async def call_tool(context: Context, params: CallToolRequestParams) -> Any:
        if params.name == "greet":
            return _said(f"Hello, {(params.arguments or {})['name']}!")
        if params.name == "test_tool_with_task" and not _name(params):
            return InputRequiredResult(input_requests={"name": _question()}, request_state="1")
        work = _WORKS.get(params.name)
        if work is None:
            return await own.handler(context, params)
        if speaks_tasks(context):
            return tasks.started(work, params)
        if work is _slow_compute:
            return await work(FixtureTask(), params)
        raise _task_required()

    server.add_request_handler("tools/call", CallToolRequestParams, call_tool)
    serve_tasks(server, tasks)


def _task_required() -> MCPError:
    needed = MissingRequiredClientCapabilityErrorData(
        required_capabilities=ClientCapabilities(extensions={TASKS_EXTENSION: {}})
    )
    message = "This tool is a task or nothing."
    return MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, message, _wire(needed))


async def _slow_compute(_: FixtureTask, params: CallToolRequestParams) -> CallToolResult:
    await anyio.sleep(float((params.arguments or {}).get("seconds", 0)))
    return _said("slept")


async def _failing_job(_: FixtureTask, __: CallToolRequestParams) -> CallToolResult:
    return CallToolResult(content=[TextContent(text="it broke")], is_error=True)


async def _protocol_error_job(_: FixtureTask, __: CallToolRequestParams) -> CallToolResult:
    raise ProtocolError("it broke before there was a result")


async def _confirm_delete(task: FixtureTask, _: CallToolRequestParams) -> CallToolResult:
    return _said(str(await task.ask("confirm")))


async def _multi_input(task: FixtureTask, _: CallToolRequestParams) -> CallToolResult:
    return _said(str(await task.ask("first", "second")))


async def _test_tool_with_task(_: FixtureTask, params: CallToolRequestParams) -> CallToolResult:
    return _said(f"Hello, {_name(params)}!")


_WORKS: Final[Mapping[str, Work]] = {
    "slow_compute": _slow_compute,
    "failing_job": _failing_job,
    "protocol_error_job": _protocol_error_job,
    "confirm_delete": _confirm_delete,
    "multi_input": _multi_input,
    "test_tool_with_task": _test_tool_with_task,
}


def _name(params: CallToolRequestParams) -> str:
    """The name that came as an answer to a question; empty before."""
    answer = (params.input_responses or {}).get("name")
    return str((answer.content or {})["name"]) if isinstance(answer, ElicitResult) else ""


def _question() -> ElicitRequest:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    return ElicitRequest(params=ElicitRequestFormParams(message="Who?", requested_schema=schema))


def _said(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)])


def _wire(model: CallToolResult | ElicitRequest | MissingRequiredClientCapabilityErrorData) -> Wire:
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


async def main() -> None:
    sandbox, sock = start_in_thread(0), bind("127.0.0.1", 0, ())
    upstream, ledger = RunAPI(sandbox.base_url), SqliteLedger.in_memory()
    service = Service(
        upstream,
        SharedState(ledger),
        Keys(Key(sandbox.key), "own"),
        PictureStore(sandbox.base_url, Folders()),
    )
    server = create_server(service, VARIANTS)

    def announce() -> None:
        sys.stderr.write(f"http://127.0.0.1:{sock.getsockname()[1]}/mcp\n")

    async with anyio.create_task_group() as group:
        add_fixtures(server, service, group)
        await serve_http(http_app(server, (), needs_key=False), sock, announce)
        group.cancel_scope.cancel()
    await upstream.aclose()
    await ledger.aclose()


if __name__ == "__main__":
    anyio.run(main)
