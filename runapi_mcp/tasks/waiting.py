"""Following a task until it ends or the wait does."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from runapi_mcp.api.tasks import Task
from runapi_mcp.errors import RunapiFailure

logger = logging.getLogger(__name__)

Report = Callable[[float, str], Awaitable[None]]
"""Tells whoever waits how it goes: seconds since the wait began, and words for a person."""

PROGRESS_SECONDS = 2.0
SHORTEST_POLL_SECONDS = 0.5
FIRST_POLL_SECONDS = 1.0


@dataclass(slots=True)
class Watch:
    """A task as last seen, and why the last look at it failed."""

    task: Task
    failure: RunapiFailure | None = None

    def words(self, elapsed_seconds: float) -> str:
        """How it goes, as a person likes to read it."""
        if self.failure is not None:
            return f"asking again, {elapsed_seconds:.0f} s. {self.failure.happened}"
        doing = "queued" if self.task.status == "pending" else "drawing"
        return f"{doing}, {elapsed_seconds:.0f} s"


async def follow(
    watch: Watch, read: Callable[[], Awaitable[Task]], wait_seconds: float, report: Report
) -> Watch:
    """Watch the task until it ends or the wait does. Never raises for a failed poll.

    Whatever else ends the wait, a leaving caller or a crash, the log names the task.
    """
    try:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if not watch.task.ended and wait_seconds > 0:
            await _watch(watch, read, wait_seconds, report)
    except BaseException:
        logger.warning("stopped waiting; task %s goes on, and get_task finds it", watch.task.id)
        raise
    return watch


async def _watch(
    watch: Watch, read: Callable[[], Awaitable[Task]], wait_seconds: float, report: Report
) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_report_progress, watch, report)
        with anyio.move_on_after(wait_seconds):
            await _poll(watch, read)
        group.cancel_scope.cancel()


async def _report_progress(watch: Watch, report: Report) -> None:
    started = anyio.current_time()
    while True:
        elapsed = anyio.current_time() - started
        await report(elapsed, watch.words(elapsed))
        await anyio.sleep(PROGRESS_SECONDS)


async def _poll(watch: Watch, read: Callable[[], Awaitable[Task]]) -> None:
    started = anyio.current_time()
    while not watch.task.ended:
        await anyio.sleep(_pause_seconds(watch, anyio.current_time() - started))
        try:
            watch.task, watch.failure = await read(), None
        except RunapiFailure as failure:
            watch.failure = failure


def _pause_seconds(watch: Watch, elapsed_seconds: float) -> float:
    answer = watch.failure.answer if watch.failure else watch.task
    if answer.retry_after_seconds is not None:
        return max(answer.retry_after_seconds, SHORTEST_POLL_SECONDS)
    # A tenth of the time waited keeps the lag in proportion and the polls few.
    return max(FIRST_POLL_SECONDS, elapsed_seconds / 10)
