"""RunAPI's tasks as the Tasks extension shows them."""

from dataclasses import dataclass

from mcp import MCPError
from mcp_types import INTERNAL_ERROR

from runapi_mcp.base.errors import Failure, TaskNotFound
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.orders import missing
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.server.calls import Context, Service, to_result
from runapi_mcp.server.tasks_extension import TaskId, Wire, task_state, unknown_task
from runapi_mcp.tools import Caller
from runapi_mcp.tools.presenting import present
from runapi_mcp.tools.tool import TaskOutcome


@dataclass(frozen=True, slots=True)
class RunapiTasks:
    """The tasks of whoever asks, by ids that carry everything."""

    service: Service

    async def get(self, context: Context, task_id: str) -> Wire:
        """The task now. A failed image is a completed task with an error for a result."""
        named, caller = self._parse(task_id), self.service.caller(context)
        tracked, orders = await _poll(caller, named), caller.orders
        outcome = await _outcome(caller, named, tracked)
        state = task_state(named, "working", orders.ledger.now(), tracked)
        if not outcome.all_ended:
            message = {"statusMessage": tracked.failure.happened} if tracked.failure else {}
            return {**state, **message}
        found = await present(caller, outcome, made_at=named.made_at)
        result = await to_result(context, caller, found)
        shown = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**state, "status": "completed", "result": shown}

    async def update(self, context: Context, task_id: str, answers: Wire) -> None:
        """Nothing: these tasks ask nothing."""
        await _poll(self.service.caller(context), self._parse(task_id))

    async def cancel(self, context: Context, task_id: str) -> None:
        """Nothing: vendors cannot cancel. The image is drawn, and the same call joins it."""
        await _poll(self.service.caller(context), self._parse(task_id))

    def _parse(self, task_id: str) -> TaskId:
        return TaskId.parse(task_id, self.service.shared.variants)


async def _outcome(caller: Caller, named: TaskId, tracked: TrackedTask) -> TaskOutcome:
    """What became of all images of the call, each polled if that is due."""
    joined_at = named.joined_at or None
    if tracked.entry is None or tracked.entry.count == 1:
        return TaskOutcome((tracked,), joined_at=joined_at, preview_px=named.preview_px)
    call = await caller.orders.call_of(tracked.entry)
    found = {each.number: await _member(caller, named, tracked, each) for each in call}
    return TaskOutcome(
        tasks=tuple(each for each in found.values() if isinstance(each, TrackedTask)),
        failures={n: each for n, each in found.items() if isinstance(each, Failure)},
        siblings=tuple(each.task_id for each in call if each.task_id is not None),
        joined_at=joined_at,
        preview_px=named.preview_px,
    )


async def _member(
    caller: Caller, named: TaskId, tracked: TrackedTask, entry: Entry
) -> TrackedTask | Failure:
    """One image of the call, polled if that is due, or why there is no task of it."""
    if entry.task_id == named.runapi_id:
        return tracked
    if entry.task_id is None or entry.status == "lost":
        return missing(entry)
    try:
        return await caller.orders.poll_if_due(entry.task_id, named.model)
    except Failure as failure:
        return failure


async def _poll(caller: Caller, named: TaskId) -> TrackedTask:
    """The task as it was last read, polled again if that is due.

    Raises:
        MCPError: it is not this caller's, or it cannot be asked for at all.
    """
    try:
        return await caller.orders.poll_if_due(named.runapi_id, named.model)
    except TaskNotFound as failure:
        raise unknown_task() from failure
    except Failure as failure:
        raise MCPError(INTERNAL_ERROR, str(failure)) from failure
