"""Polling tasks for one caller, once for all calls that wait, and writing down what is read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from runapi_mcp.base.catalog import by_model
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.base.catalog.vendors import RUNAPI, vendor_named
from runapi_mcp.base.errors import ProviderFailure, TaskNotFound
from runapi_mcp.base.progress import Report, report_while
from runapi_mcp.base.stages import stage
from runapi_mcp.orders.durations import LEARNED_FROM, Durations, Interval
from runapi_mcp.orders.ledger import Entry, read_or_none, write_or_log
from runapi_mcp.orders.look_budget import LookBudget
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.tracked_task import Timing, TrackedTask, warn_unwaited
from runapi_mcp.providers.sellers import Sellers


class Poller:
    def __init__(self, shared: SharedState, sellers: Sellers) -> None:
        self._shared = shared
        self._ledger = shared.ledger
        self._sellers = sellers

    def track(self, task: Task, entry: Entry | None, durations: Durations) -> TrackedTask:
        """The tracked task, shared by all calls of this caller that wait for it."""
        known, key = self._shared.tracked, (self._sellers.caller_id, task.id)
        tracked = known.get(key)
        if tracked is None:
            timing = Timing(durations, self._made_at(entry))
            known[key] = tracked = TrackedTask(task, entry, timing)
            if self._shared.wakeups is not None and entry is not None and not task.ended:
                self._shared.wakeups.watch(entry, tracked)
        return tracked

    async def track_known(self, task_id: str, entry: Entry | None) -> TrackedTask:
        """The tracked task, as the ledger last saw it where nobody tracks it yet."""
        durations = await self.durations(entry)
        return self.track(last_seen(task_id, entry), entry, durations)

    async def durations(self, entry: Entry | None) -> Durations:
        variant = by_model(entry.model, self._shared.variants) if entry else None
        if entry is None or variant is None:
            return Durations(PRO)
        kind, known = (entry.model, entry.output_resolution), self._shared.durations
        if kind not in known:
            intervals = await read_or_none(self._ledger.intervals(*kind, LEARNED_FROM))
            known.setdefault(kind, Durations(variant.tier, intervals or ()))
        return known[kind]

    async def follow(
        self, tasks: Sequence[TrackedTask], wait_seconds: float, report: Report
    ) -> None:
        """Poll the tasks until all end or the wait does. Never raises for a failed read.

        Whatever else ends the wait, a leaving caller or a crash, the log names the tasks.
        """

        async def poll_until_then() -> None:
            with self._shared.waits.up_to(wait_seconds):
                async with anyio.create_task_group() as group:
                    for tracked in tasks:
                        group.start_soon(self._poll_until_ended, tracked)

        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            if wait_seconds > 0 and not all(tracked.task.ended for tracked in tasks):
                message = partial(_message, tasks, self._shared.looks)
                with stage("wait"):
                    await report_while(report, message, poll_until_then)
        except BaseException:
            for tracked in tasks:
                warn_unwaited(tracked.task.id)
            raise

    async def poll(self, tracked: TrackedTask) -> None:
        """Read the task once and record it; a failed read is recorded too."""
        tracked.begin_poll()
        try:
            task = await self._read(tracked)
        except ProviderFailure as failure:
            tracked.record_failure(failure)
        else:
            await self._write_down(tracked, task, tracked.record(task))

    async def _read(self, tracked: TrackedTask) -> Task:
        """The task now. One that is in no ledger is asked for at RunAPI first.

        Raises:
            ProviderFailure: it could not be read.
            KeyMissing: it is of a vendor that there is no key of.
        """
        entry, task_id, urgency = tracked.entry, tracked.task.id, tracked.urgency
        if entry is not None or tracked.task.vendor is not RUNAPI:
            variant = by_model(entry.model, self._shared.variants) if entry else None
            provider = self._sellers.of(tracked.task.vendor.name)
            return await provider.read(task_id, variant, urgency)
        return await self._found_anywhere(task_id, urgency)

    async def _found_anywhere(self, task_id: str, urgency: Callable[[], float]) -> Task:
        asked = list(self._sellers.paid) or [self._sellers.runapi]
        unknown: list[TaskNotFound] = []
        for provider in asked:
            try:
                return await provider.read(task_id, None, urgency)
            except TaskNotFound as failure:
                unknown.append(failure)
        if len(asked) == 1:
            raise unknown[0]
        titles = " nor ".join(provider.vendor.title for provider in asked)
        raise TaskNotFound(
            f"Neither {titles} knows a task with this id for the API key there.",
            unknown[0].advice,
            unknown[0].answer,
        )

    async def _poll_until_ended(self, tracked: TrackedTask) -> None:
        while not tracked.task.ended:
            if tracked.is_polled:
                await tracked.wait_for_poll()
                continue
            with tracked.polling():
                await tracked.wait_until_due()
                await self._shared.looks.wait_to_look(tracked.urgency)
                await self.poll(tracked)

    async def _write_down(
        self, tracked: TrackedTask, task: Task, interval: Interval | None
    ) -> None:
        if tracked.entry is None:
            return
        seen = replace(
            tracked.entry,
            task_id=task.id,
            status=task.status,
            image_urls=task.image_urls,
            cost_cents=task.cost_cents,
            error=task.error,
            sandbox=task.sandbox,
            drawn=tracked.entry.drawn or interval,  # who looks later knows less
        )
        ended_at = tracked.entry.ended_at or (self._ledger.now() if task.ended else None)
        before, tracked.entry = tracked.entry, replace(seen, ended_at=ended_at)
        if _is_news(before, tracked.entry):
            with self._shared.looks.taking_in():
                await write_or_log(self._ledger.record(tracked.entry))

    def _made_at(self, entry: Entry | None) -> float | None:
        if entry is None or entry.made_at is None:
            return None
        return anyio.current_time() - (self._ledger.now() - entry.made_at)


def last_seen(task_id: str, entry: Entry | None) -> Task:
    """A task as the ledger knows it."""
    if entry is None or entry.status in ("intended", "refused", "lost"):
        vendor = vendor_named(entry.vendor) if entry else RUNAPI
        return Task(task_id, "unknown", model=entry.model if entry else None, vendor=vendor)
    return Task(
        id=task_id,
        status=entry.status,
        image_urls=entry.image_urls,
        error=entry.error,
        cost_cents=entry.cost_cents,
        model=entry.model,
        sandbox=entry.sandbox,
        vendor=vendor_named(entry.vendor),
    )


def _is_news(before: Entry, seen: Entry) -> bool:
    """Whether anybody has to know it later; not that a task is drawn and no longer queued."""
    is_running = {before.status, seen.status} <= {"pending", "processing"}
    return seen != (replace(before, status=seen.status) if is_running else before)


def _message(tasks: Sequence[TrackedTask], looks: LookBudget, elapsed_seconds: float) -> str:
    tracked = next((each for each in tasks if not each.task.ended), tasks[0])
    done = sum(each.task.ended for each in tasks)
    of_all = f", {done} of {len(tasks)} done" if len(tasks) > 1 else ""
    if tracked.failure is not None:
        return f"asking again, {elapsed_seconds:.0f} s{of_all}. {tracked.failure.happened}"
    doing = "queued" if tracked.task.status == "pending" else "drawing"
    busy = "; busy: looking less often" if looks.is_busy else ""
    return f"{doing}, {elapsed_seconds:.0f} s{of_all}{_usually(tracked)}{busy}"


def _usually(tracked: TrackedTask) -> str:
    durations = tracked.timing.durations
    schedule = durations.schedule
    if not schedule.learned or tracked.entry is None:
        return ""
    return f"; {durations.tier.name} usually takes about {max(1.0, schedule.usual_seconds):.0f} s"
