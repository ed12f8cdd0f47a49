"""Following a task until it ends or the wait does."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.orders.tracked_task import Watch

logger = logging.getLogger(__name__)

Look = Callable[[Watch], Awaitable[None]]
"""Looks at a task once and tells its watch; never raises for a failed look."""


async def follow(watch: Watch, look: Look, wait_seconds: float, report: Report) -> None:
    """Watch the task until it ends or the wait does. Never raises for a failed look.

    Whatever else ends the wait, a leaving caller or a crash, the log names the task.
    """
    try:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if not watch.task.ended and wait_seconds > 0:
            await _watch(watch, look, wait_seconds, report)
    except BaseException:
        logger.warning("stopped waiting; task %s goes on, and get_task finds it", watch.task.id)
        raise


async def _watch(watch: Watch, look: Look, wait_seconds: float, report: Report) -> None:
    async def until_then() -> None:
        with anyio.move_on_after(wait_seconds):
            await _until_ended(watch, look)

    await report_while(report, partial(_words, watch), until_then)


async def _until_ended(watch: Watch, look: Look) -> None:
    while not watch.task.ended:
        if watch.is_looked_at:
            await watch.changes()
            continue
        with watch.looking():
            await anyio.sleep(watch.pause_seconds())
            await look(watch)


def _words(watch: Watch, elapsed_seconds: float) -> str:
    """How it goes, as a person likes to read it."""
    if watch.failure is not None:
        return f"asking again, {elapsed_seconds:.0f} s. {watch.failure.happened}"
    doing = "queued" if watch.task.status == "pending" else "drawing"
    return f"{doing}, {elapsed_seconds:.0f} s{_usually(watch)}"


def _usually(watch: Watch) -> str:
    """What this server has seen of such tasks; nothing before it has seen enough."""
    schedule = watch.durations.schedule
    if not schedule.learned or watch.entry is None:
        return ""
    tier = watch.durations.tier.name
    return f"; {tier} usually takes about {max(1.0, schedule.usual_seconds):.0f} s"
