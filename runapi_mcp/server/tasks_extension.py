"""The Tasks extension on the wire: who speaks it, its requests, its answers. SEP-2663, 2026-07-28.

An id carries all that is needed to answer for a task in any process: RunAPI's own id, the model,
and when it was made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol, Self

from mcp import MCPError
from mcp.server.lowlevel import Server
from mcp.shared.inbound import decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ClientCapabilities,
    MissingRequiredClientCapabilityErrorData,
    RequestParams,
)

from runapi_mcp.base.catalog import Variant, by_model
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.server.client_capabilities import Context, is_modern, speaks
from runapi_mcp.tools.task_outcomes import joined_words
from runapi_mcp.tools.tool import TaskOutcome

Wire = dict[str, Any]  # Any: JSON as the protocol has it
WireStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]

TASKS_EXTENSION: Final = "io.modelcontextprotocol/tasks"
LATEST_SECONDS: Final = 253_402_300_799
"""The end of the year 9999, the last that a date can have."""
SHORTEST_POLL_MS: Final = 500
LONGEST_POLL_MS: Final = 5_000


class TaskParams(RequestParams):
    """Of `tasks/get` and `tasks/cancel`."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Of `tasks/update`."""

    input_responses: dict[str, Any]  # Any: answers to questions that are not ours are ignored


@dataclass(frozen=True, slots=True)
class TaskId:
    runapi_id: str
    model: str
    made_at: int
    """Seconds since the epoch."""
    joined_at: int = 0
    """When the earlier call was made that this one continues, as seconds; 0 for none."""
    preview_px: int | None = None
    """How large a preview the call asked for; None where it did not say."""

    def __str__(self) -> str:
        preview = "" if self.preview_px is None else f".{self.preview_px}"
        return f"{self.runapi_id}.{self.model}.{self.made_at}.{self.joined_at}{preview}"

    @classmethod
    def parse(cls, text: str, known: Sequence[Variant]) -> Self:
        """The id that a client sent, of a task of one of these variants.

        Raises:
            MCPError: this server gives no such ids.
        """
        runapi_id, model, *rest = text.split(".")[:5] + [""] * 2
        numbers = [int(number) for number in rest if _is_time(number)]
        is_formed = len(numbers) >= 2 and canonical(runapi_id) is not None
        named = cls(runapi_id, model, *numbers) if is_formed else None
        if named is None or str(named) != text or by_model(model, known) is None:
            raise unknown_task()
        return named


class TaskSource(Protocol):
    """Where tasks come from. Each method raises what `unknown_task` makes for one it has not."""

    async def get(self, context: Context, task_id: str) -> Wire: ...
    async def update(self, context: Context, task_id: str, answers: Wire) -> None: ...
    async def cancel(self, context: Context, task_id: str) -> None: ...


def speaks_tasks(context: Context) -> bool:
    """Whether the client of this request takes a task for an answer."""
    return is_modern(context) and speaks(context, TASKS_EXTENSION)


def serve_tasks(server: Server[Any], source: TaskSource) -> None:
    async def get(context: Context, params: TaskParams) -> Wire:
        _require(context, params)
        return await source.get(context, params.task_id)

    async def update(context: Context, params: TaskUpdateParams) -> Wire:
        _require(context, params)
        await source.update(context, params.task_id, params.input_responses)
        return {}

    async def cancel(context: Context, params: TaskParams) -> Wire:
        _require(context, params)
        await source.cancel(context, params.task_id)
        return {}

    server.extensions[TASKS_EXTENSION] = {}
    server.add_request_handler("tasks/get", TaskParams, get)
    server.add_request_handler("tasks/update", TaskUpdateParams, update)
    server.add_request_handler("tasks/cancel", TaskParams, cancel)


def task_created(outcome: TaskOutcome, entry: Entry) -> Wire:
    """The answer to a call that goes on as a task: of several images, as the first one's."""
    first = outcome.first
    made_at = int(entry.drawn_since)
    joined_at = 0 if outcome.joined_at is None else int(outcome.joined_at)
    task_id = TaskId(first.task.id, entry.model, made_at, joined_at, outcome.preview_px)
    state = task_state(task_id, "working", made_at, first)
    message = {"statusMessage": joined} if (joined := joined_words(outcome)) else {}
    return {"resultType": "task", **state, **message}


def task_state(
    task_id: TaskId, status: WireStatus, updated_at: float, tracked: TrackedTask
) -> Wire:
    """What every answer about a task says."""
    # Rounded up: a client that asks too soon would be told what it knows.
    poll_ms = math.ceil(tracked.pause_seconds() * 1000) + 1
    return {
        "taskId": str(task_id),
        "status": status,
        "createdAt": _iso(task_id.made_at),
        "lastUpdatedAt": _iso(updated_at),
        "ttlMs": int(tracked.task.vendor.image_seconds * 1000),
        "pollIntervalMs": min(max(poll_ms, SHORTEST_POLL_MS), LONGEST_POLL_MS),
    }


def unknown_task() -> MCPError:
    """The error for a task that is not this caller's, or nobody's."""
    return MCPError(INVALID_PARAMS, "There is no such task for this API key.")


def _require(context: Context, params: TaskParams) -> None:
    """Refuse, by an MCPError, a request that the extension does not allow."""
    if not is_modern(context):
        raise MCPError(METHOD_NOT_FOUND, "Method not found", context.method)
    if not speaks_tasks(context):
        needed = MissingRequiredClientCapabilityErrorData(
            required_capabilities=ClientCapabilities(extensions={TASKS_EXTENSION: {}})
        )
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"The request does not declare the extension {TASKS_EXTENSION}.",
            needed.model_dump(by_alias=True, mode="json", exclude_none=True),
        )
    named = context.request.headers.get("mcp-name") if context.request is not None else None
    if named is not None and decode_header_value(named) != params.task_id:
        raise MCPError(HEADER_MISMATCH, "The Mcp-Name header is not params.taskId.")


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12 and int(text) <= LATEST_SECONDS


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
