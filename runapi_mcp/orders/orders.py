"""What a caller ordered: paid once, written down at each step, followed, found again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from runapi_mcp.base.catalog.lifetimes import IMAGE_SECONDS, SURE_IMAGE_SECONDS
from runapi_mcp.base.errors import TaskNotFound
from runapi_mcp.base.progress import Report
from runapi_mcp.orders.approval import agreed, question_of
from runapi_mcp.orders.creation import Payment
from runapi_mcp.orders.ledger import Entry, Spending, Which
from runapi_mcp.orders.limits import Limits, NotConfirmed
from runapi_mcp.orders.poller import Poller
from runapi_mcp.orders.purchase import Purchase
from runapi_mcp.orders.reconcile import settle_doubts
from runapi_mcp.orders.shared_state import Desk, if_usable, noted
from runapi_mcp.orders.tracked_task import Watch
from runapi_mcp.orders.waiting import follow
from runapi_mcp.providers.port import Provider

YOUNG_SECONDS: Final = 60.0
"""A task this young may not be known everywhere at RunAPI yet."""
LEASE_SECONDS: Final = 20.0
"""How long a task whose client asks for it now and then counts as attended to."""


@dataclass(frozen=True, slots=True)
class Order:
    """A paid task, and whether this call only continues an earlier one."""

    watch: Watch
    joined_at: float | None
    """When the earlier call was made, in seconds since the epoch; None for a new one."""


class Orders:
    """The orders of one caller."""

    def __init__(self, desk: Desk, runapi: Provider) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._runapi = runapi
        self._poller = Poller(desk, runapi)

    @asynccontextmanager
    async def placed(
        self, purchase: Purchase, yes: str | None, *, attended: bool = False
    ) -> AsyncGenerator[Order]:
        """One paid task: a new one, or that of an identical call which reached nobody.

        No other call joins it while this lasts, nor for a while after it if it stays attended.
        `yes` is what came back with a person's yes.

        Raises:
            NotAllowed: it would go over a limit; nothing was paid.
            NotConfirmed: a person must be asked first; nothing was paid.
            LedgerUnusable: it cannot be written down; nothing was paid.
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
        """
        await settle_doubts(self._desk, self._runapi)
        if self.limits.asks_for(purchase.price):
            purchase = agreed(self._runapi, purchase, yes)
        entry = await self._begun(purchase)
        leave = partial(self._ledger.release, entry)
        try:
            order = await self._order(purchase, entry)
            yield order
            if attended:
                self._desk.keep(order.watch)
                leave = partial(self._ledger.lease, entry.key, LEASE_SECONDS)
        finally:
            await noted(leave())

    async def follow(self, watch: Watch, wait_seconds: float, report: Report) -> None:
        """Wait for the task, together with whoever else does."""
        await follow(watch, self._poller.look, wait_seconds, report)

    async def found(self, task_id: str, wait_seconds: float) -> Watch:
        """A task by its id, looked at now; it need not be in the ledger.

        Raises:
            ProviderFailure: it could not be read, and there is no time to ask again.
        """
        await settle_doubts(self._desk, self._runapi)
        watch = await self._watch(task_id, await self._entry(task_id))
        if wait_seconds > 0 and watch.is_looked_at:
            return watch
        await self._poller.look(watch)
        ended = watch.task.ended
        if watch.failure and not ended and (wait_seconds <= 0 or self._is_final(watch)):
            raise watch.failure
        return watch

    async def glimpsed(self, task_id: str) -> Watch:
        """A task by its id, looked at if a look is due.

        Raises:
            ProviderFailure: it cannot be read, now or later.
        """
        await settle_doubts(self._desk, self._runapi)
        watch = await self._watch(task_id, await self._entry(task_id))
        if not watch.is_looked_at and not watch.task.ended and watch.pause_seconds() == 0:
            await self._poller.look(watch)
        if watch.failure and self._is_final(watch):
            raise watch.failure
        self._desk.keep(watch)
        return watch

    async def saved_only(self, task_id: str) -> Path | None:
        """Where the first image of a task was saved, if RunAPI may have it no longer."""
        entry = await self._entry(task_id)
        if entry is None or not any(entry.files):
            return None
        age_seconds = self._ledger.now() - (entry.ended_at or entry.begun_at)
        return Path(next(filter(None, entry.files))) if age_seconds > SURE_IMAGE_SECONDS else None

    async def is_kept(self, task_id: str) -> bool:
        """Whether RunAPI may have the images of a task yet."""
        entry = await self._entry(task_id)
        if entry is None:
            return True
        return self._ledger.now() - (entry.made_at or entry.begun_at) <= IMAGE_SECONDS

    async def listed(self, which: Which, limit: int) -> Sequence[Entry]:
        """What the ledger has of this caller, the newest first.

        Raises:
            LedgerUnusable: it cannot be read.
        """
        await settle_doubts(self._desk, self._runapi)
        return await self._ledger.listed(self._runapi.caller_id, which, limit)

    def now(self) -> float:
        """Seconds since the epoch, by the clock that the ledger goes by."""
        return self._ledger.now()

    @property
    def limits(self) -> Limits:
        """What the user allows to be spent."""
        return self._desk.limits

    async def left_cents(self) -> float | None:
        """What may still be spent today; None without a daily limit, or a key to count for."""
        limits = self._desk.limits
        if limits.per_day_cents is None or not self._runapi.has_key:
            return None
        spending = await if_usable(self._ledger.spending(self._runapi.caller_id))
        return None if spending is None else limits.left_cents(spending)

    async def delivered(self, watch: Watch) -> None:
        """The result has reached the client: the same call draws a new image from here on."""
        if watch.entry is not None:
            await noted(self._ledger.deliver(watch.entry.key))

    async def saved(self, watch: Watch, files: Sequence[str]) -> None:
        """The images are on the disk: they need not be fetched again."""
        if watch.entry is not None:
            watch.entry = replace(watch.entry, files=tuple(files))
            await noted(self._ledger.saved(watch.entry.key, files))

    async def uploaded(self, sha256: str) -> str | None:
        """Where RunAPI has a local file; None when that is not known."""
        return await if_usable(self._ledger.upload(self._runapi.caller_id, sha256))

    async def keep_upload(self, sha256: str, url: str, lifetime_seconds: float) -> None:
        """Remember where RunAPI has a local file, for as long as it has it."""
        expires_at = self._ledger.now() + lifetime_seconds
        await noted(self._ledger.keep_upload(self._runapi.caller_id, sha256, url, expires_at))

    async def attended(self, watch: Watch) -> None:
        """The client asks for the task now and then: no call joins it for a while."""
        if watch.entry is not None:
            await noted(self._ledger.lease(watch.entry.key, LEASE_SECONDS))

    async def left_alone(self, watch: Watch) -> None:
        """The client asks no more: the same call joins the task."""
        if watch.entry is not None:
            await noted(self._ledger.end_lease(watch.entry.key))

    async def _entry(self, task_id: str) -> Entry | None:
        return await if_usable(self._ledger.by_task(self._runapi.caller_id, task_id))

    async def _watch(self, task_id: str, entry: Entry | None) -> Watch:
        return self._poller.watch(task_id, entry, await self._poller.durations(entry))

    async def _begun(self, purchase: Purchase) -> Entry:
        def allow(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
            self.limits.check(purchase.price, spending)
            if self.limits.asks_for(purchase.price) and not (purchase.is_agreed and is_new):
                left = self.limits.left_cents(spending)
                raise NotConfirmed(purchase.price, left, question_of(self._runapi, purchase))

        entry = purchase.entry(
            self._runapi.caller_id, self._ledger.now(), with_prompt=self._desk.keeps_prompts
        )
        return await self._ledger.begin(entry, allow)

    async def _order(self, purchase: Purchase, entry: Entry) -> Order:
        is_new = entry.key == purchase.key or not entry.ready
        joined_at = None if is_new else entry.begun_at
        if entry.task_id is not None:
            return Order(await self._continued(entry.task_id, entry), joined_at)
        entry = await self._completed(purchase, entry)
        # Before the task is made: after it, nothing may come between its id and `follow`.
        durations = await self._poller.durations(entry)
        body = {**purchase.params.model_dump(), **(entry.arguments or {})}
        payment = Payment(
            self._desk, self._runapi, entry, purchase.variant, body, in_doubt=not is_new
        )
        made = await payment.made_for_a_caller()
        watch = self._poller.watch(made.task.id, made.entry, durations)
        watch.saw(made.task)
        return Order(watch, joined_at)

    async def _completed(self, purchase: Purchase, entry: Entry) -> Entry:
        """The entry with all that is sent under its key: local images are at RunAPI."""
        if entry.ready or purchase.sources is None:
            return entry
        try:
            urls = await purchase.sources.urls()
            arguments = {**(entry.arguments or {}), "source_image_urls": urls}
            completed = replace(entry, arguments=arguments, ready=True)
            await self._ledger.complete(completed)
        except BaseException:
            # Nothing was sent, so that there is nothing to be in doubt about.
            await noted(self._ledger.withdraw(entry))
            raise
        return completed

    async def _continued(self, task_id: str, entry: Entry) -> Watch:
        """The task of an earlier call, as it is now."""
        watch = await self._watch(task_id, entry)
        await self._poller.look(watch)
        if isinstance(watch.failure, TaskNotFound) and self._is_final(watch):
            await noted(self._ledger.update(replace(entry, status="lost")))
            raise TaskNotFound(
                f"An earlier identical call made task {task_id}, which RunAPI no longer knows.",
                "Call again to draw a new image.",
                watch.failure.answer,
            )
        return watch

    def _is_final(self, watch: Watch) -> bool:
        """Whether the last look failed as the next ones will."""
        failure = watch.failure
        if failure is None or failure.retryable or watch.task.ended:
            return False
        if not isinstance(failure, TaskNotFound) or watch.entry is None:
            return True
        made_at = watch.entry.made_at or watch.entry.begun_at
        return self._ledger.now() - made_at > YOUNG_SECONDS
