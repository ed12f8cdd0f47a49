"""Looking at tasks for one caller, once for all calls that wait, and writing down what is seen."""

from dataclasses import replace

import anyio

from runapi_mcp.base.catalog import by_model
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.durations import LEARNED_FROM, Durations, Interval
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.shared_state import Desk, if_usable, noted
from runapi_mcp.orders.tracked_task import Watch
from runapi_mcp.providers.port import Provider


class Poller:
    """The tasks of one caller, as they were last seen."""

    def __init__(self, desk: Desk, runapi: Provider) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._runapi = runapi

    def watch(self, task_id: str, entry: Entry | None, durations: Durations) -> Watch:
        """The task's watch, shared by all calls of this caller that wait for it."""
        watches, key = self._desk.watches, (self._runapi.caller_id, task_id)
        watch = watches.get(key)
        if watch is None:
            watches[key] = watch = Watch(
                _task(task_id, entry), entry, durations, self._made_at(entry)
            )
        return watch

    async def durations(self, entry: Entry | None) -> Durations:
        """How long images of this kind take, as all calls have seen it."""
        variant = by_model(entry.model, self._desk.variants) if entry else None
        if entry is None or variant is None:
            return Durations(PRO)
        kind, known = (entry.model, entry.output_resolution), self._desk.durations
        if kind not in known:
            drawn = await if_usable(self._ledger.drawn(*kind, LEARNED_FROM))
            known.setdefault(kind, Durations(variant.tier, drawn or ()))
        return known[kind]

    def _made_at(self, entry: Entry | None) -> float | None:
        """When the task was made, on the event loop's clock."""
        if entry is None or entry.made_at is None:
            return None
        return anyio.current_time() - (self._ledger.now() - entry.made_at)

    async def look(self, watch: Watch) -> None:
        """Look at the task once, and tell its watch; a failed look is told too."""
        variant = by_model(watch.entry.model, self._desk.variants) if watch.entry else None
        try:
            task = await self._runapi.read(watch.task.id, variant, watch.chance)
        except ProviderFailure as failure:
            watch.failed(failure)
        else:
            await self._note(watch, task, watch.saw(task))

    async def _note(self, watch: Watch, task: Task, drawn: Interval | None) -> None:
        """Write down what was seen, if it is news."""
        if watch.entry is None:
            return
        seen = replace(
            watch.entry,
            task_id=task.id,
            status=task.status,
            image_urls=task.image_urls,
            cost_cents=task.cost_cents,
            error=task.error,
            sandbox=task.sandbox,
            drawn=drawn or watch.entry.drawn,
        )
        if seen != watch.entry:
            ended_at = watch.entry.ended_at or (self._ledger.now() if task.ended else None)
            watch.entry = replace(seen, ended_at=ended_at)
            await noted(self._ledger.update(watch.entry))


def _task(task_id: str, entry: Entry | None) -> Task:
    """The task as the ledger last saw it."""
    if entry is None or entry.status in ("intended", "refused", "lost"):
        return Task(task_id, "unknown", model=entry.model if entry else None)
    return Task(
        id=task_id,
        status=entry.status,
        image_urls=entry.image_urls,
        error=entry.error,
        cost_cents=entry.cost_cents,
        model=entry.model,
        sandbox=entry.sandbox,
    )
