"""RunAPI's tasks as the Tasks extension shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcp import MCPError
from mcp_types import INTERNAL_ERROR
from pydantic import MISSING

from runapi_mcp.base.errors import Failure, TaskNotFound
from runapi_mcp.orders.tracked_task import Watch
from runapi_mcp.server.calls import Context, Service, to_result
from runapi_mcp.server.tasks_extension import TaskId, Wire, task_state, unknown_task
from runapi_mcp.tools import Caller
from runapi_mcp.tools.delivery import pictures_of
from runapi_mcp.tools.task_outcomes import outcome_of


@dataclass(frozen=True, slots=True)
class RunapiTasks:
    """The tasks of whoever asks, by ids that carry everything."""

    service: Service

    async def get(self, context: Context, task_id: str) -> Wire:
        """The task now. A failed image is a completed task with an error for a result."""
        named, caller = TaskId.parse(task_id), self.service.caller(context)
        watch = await _poll(caller, named)
        state = task_state(named, "working", self.service.desk.ledger.now(), watch)
        if not watch.task.ended:
            await caller.orders.attended(watch)
            return {**state, **_status_message(watch)}
        wanted_px = MISSING if named.preview_px is None else named.preview_px
        pictures = await pictures_of(caller, watch, wanted_px)
        outcome = outcome_of(
            watch,
            pictures,
            joined_at=named.joined_at or None,
            left_cents=await caller.orders.left_cents(),
            made_at=named.made_at,
        )
        result = await to_result(context, caller, outcome)
        shown = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**state, "status": "completed", "result": shown}

    async def update(self, context: Context, task_id: str, answers: Wire) -> None:
        """Nothing: these tasks ask nothing."""
        await _poll(self.service.caller(context), TaskId.parse(task_id))

    async def cancel(self, context: Context, task_id: str) -> None:
        """Stop waiting. RunAPI cannot cancel: the image is drawn, and the same call joins it."""
        caller = self.service.caller(context)
        await caller.orders.left_alone(await _poll(caller, TaskId.parse(task_id)))


async def _poll(caller: Caller, named: TaskId) -> Watch:
    """The task as it was last seen, looked at again if that is due.

    Raises:
        MCPError: it is not this caller's, or it cannot be asked for at all.
    """
    try:
        watch = await caller.orders.glimpsed(named.runapi_id)
    except TaskNotFound as failure:
        raise unknown_task() from failure
    except Failure as failure:
        raise MCPError(INTERNAL_ERROR, str(failure)) from failure
    if watch.entry is None and watch.task.model is None:
        watch.task = replace(watch.task, model=named.model)
    return watch


def _status_message(watch: Watch) -> Wire:
    return {"statusMessage": watch.failure.happened} if watch.failure else {}
