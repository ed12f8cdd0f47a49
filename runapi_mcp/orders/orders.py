"""What a caller ordered: paid once, written down at each step, followed, found again."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from runapi_mcp.base.errors import TaskNotFound
from runapi_mcp.base.progress import Report
from runapi_mcp.orders.approval import approve, question_for
from runapi_mcp.orders.creation import Payment
from runapi_mcp.orders.ledger import Entry, Spending, read_or_none, write_or_log
from runapi_mcp.orders.limits import NotConfirmed
from runapi_mcp.orders.poller import Poller
from runapi_mcp.orders.purchase import SOURCES_FIELD, Purchase
from runapi_mcp.orders.reconcile import reconcile
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.providers.port import Provider

YOUNG_SECONDS: Final = 60.0
"""A task this young may not be known everywhere at RunAPI yet."""
LEASE_SECONDS: Final = 20.0
"""How long a task whose client asks for it now and then counts as attended to."""


@dataclass(slots=True)
class Intent:
    """A purchase that is written down, and the entry it goes on with: its own or an earlier one."""

    purchase: Purchase
    entry: Entry
    is_new: bool
    stays_attended: bool
    """Whether the client follows the task by itself afterwards."""

    @property
    def joined_at(self) -> float | None:
        """When the earlier call was made that this one continues; None for a new one."""
        return None if self.is_new else self.entry.begun_at


class Orders:
    def __init__(self, shared: SharedState, provider: Provider) -> None:
        self.ledger = shared.ledger
        self.limits = shared.limits
        self._shared = shared
        self._provider = provider
        self._poller = Poller(shared, provider)

    @asynccontextmanager
    async def intend(
        self, purchase: Purchase, yes: str | None, *, stays_attended: bool = False
    ) -> AsyncGenerator[Intent]:
        """The purchase, written down: a new one, or an identical call's which reached nobody.

        No other call joins it while this lasts, nor for a while after it if it stays attended.
        `yes` is what came back with a person's yes.

        Raises:
            NotAllowed: it would go over a limit; nothing was paid.
            NotConfirmed: a person must be asked first; nothing was paid.
            LedgerUnusable: it cannot be written down; nothing was paid.
        """
        await self.reconcile()
        if self.limits.asks_for(purchase.price):
            purchase = approve(self._provider, purchase, yes)
        intent = await self._intend(purchase, stays_attended=stays_attended)
        leave = partial(self._shared.holds.release, intent.entry)
        try:
            yield intent
            if stays_attended:
                leave = partial(self._shared.holds.lease, intent.entry.key, LEASE_SECONDS)
        except BaseException:
            if not intent.entry.ready:
                # Nothing was sent, so that there is nothing to be in doubt about.
                await write_or_log(self.ledger.withdraw(intent.entry))
            raise
        finally:
            await write_or_log(leave())

    async def add_sources(self, intent: Intent, urls: Sequence[str]) -> None:
        """Write down the whole request, now that RunAPI has all the images it starts from."""
        arguments = {**(intent.entry.arguments or {}), SOURCES_FIELD: list(urls)}
        entry = replace(intent.entry, arguments=arguments, ready=True)
        await self.ledger.record_request(entry)
        intent.entry = entry

    async def pay(self, intent: Intent) -> TrackedTask:
        """The paid task of an intent, made now or by the earlier call.

        Raises:
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
        """
        if intent.entry.task_id is None:
            tracked = await self._create(intent)
        else:
            tracked = await self._continue(intent.entry.task_id, intent.entry)
        if intent.stays_attended:
            self._shared.keep(tracked)
        return tracked

    async def follow(self, tracked: TrackedTask, wait_seconds: float, report: Report) -> None:
        await self._poller.follow(tracked, wait_seconds, report)

    async def find(self, task_id: str, wait_seconds: float) -> TrackedTask:
        """A task by its id, polled now; it need not be in the ledger.

        Raises:
            ProviderFailure: it could not be read, and there is no time to ask again.
        """
        tracked = await self._track(task_id)
        if wait_seconds > 0 and tracked.is_polled:
            return tracked
        await self._poller.poll(tracked)
        ended = tracked.task.ended
        if tracked.failure and not ended and (wait_seconds <= 0 or self._is_final(tracked)):
            raise tracked.failure
        return tracked

    async def poll_if_due(self, task_id: str, model: str) -> TrackedTask:
        """A task by its id, polled if that is due; the model is for one the ledger has not.

        Raises:
            ProviderFailure: it cannot be read, now or later.
        """
        tracked = await self._track(task_id)
        tracked.assume_model(model)
        if not tracked.is_polled and not tracked.task.ended and tracked.pause_seconds() == 0:
            await self._poller.poll(tracked)
        if tracked.failure and self._is_final(tracked):
            raise tracked.failure
        self._shared.keep(tracked)
        return tracked

    async def reconcile(self) -> None:
        await reconcile(self._shared, self._provider)

    async def entry_of(self, task_id: str) -> Entry | None:
        return await read_or_none(self.ledger.by_task(self._provider.caller_id, task_id))

    @property
    def has_budget(self) -> bool:
        return self.limits.per_day_cents is not None and self._provider.has_key

    async def remaining_cents(self) -> float | None:
        """What may still be spent today; None where no budget is set, or nobody can tell."""
        if not self.has_budget:
            return None
        spending = await read_or_none(self.ledger.spending(self._provider.caller_id))
        return None if spending is None else self.limits.remaining_cents(spending)

    async def lease(self, tracked: TrackedTask) -> None:
        """The client asks for the task now and then: no call joins it for a while."""
        if tracked.entry is not None:
            await write_or_log(self._shared.holds.lease(tracked.entry.key, LEASE_SECONDS))

    async def end_lease(self, tracked: TrackedTask) -> None:
        """The client asks no more: the same call joins the task."""
        if tracked.entry is not None:
            await write_or_log(self._shared.holds.end_lease(tracked.entry.key))

    async def _track(self, task_id: str) -> TrackedTask:
        await self.reconcile()
        return await self._poller.track_known(task_id, await self.entry_of(task_id))

    async def _intend(self, purchase: Purchase, *, stays_attended: bool) -> Intent:
        def allow(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
            self.limits.check(purchase.price, spending)
            if self.limits.asks_for(purchase.price) and not (purchase.is_agreed and is_new):
                left = self.limits.remaining_cents(spending)
                raise NotConfirmed(purchase.price, left, question_for(self._provider, purchase))

        wanted = purchase.entry(
            self._provider.caller_id, self.ledger.now(), with_prompt=self._shared.keeps_prompts
        )
        entry = await self.ledger.intend(wanted, allow)
        # Of an earlier one that is not ready nothing was sent.
        is_new = entry.key == purchase.key or not entry.ready
        return Intent(purchase, entry, is_new, stays_attended)

    async def _create(self, intent: Intent) -> TrackedTask:
        entry, purchase = intent.entry, intent.purchase
        # Before the task is made: after it, nothing may come between its id and `follow`.
        durations = await self._poller.durations(entry)
        payment = Payment(
            self._provider,
            self.ledger,
            entry,
            purchase.variant,
            purchase.body(entry),
            in_doubt=not intent.is_new,
        )
        created = await payment.create_shielded(self._shared.holds)
        tracked = self._poller.track(created.task, created.entry, durations)
        tracked.record(created.task)
        return tracked

    async def _continue(self, task_id: str, entry: Entry) -> TrackedTask:
        tracked = await self._poller.track_known(task_id, entry)
        await self._poller.poll(tracked)
        if isinstance(tracked.failure, TaskNotFound) and self._is_final(tracked):
            await write_or_log(self.ledger.record(replace(entry, status="lost")))
            raise TaskNotFound(
                f"An earlier identical call made task {task_id}, which RunAPI no longer knows.",
                "Call again to draw a new image.",
                tracked.failure.answer,
            )
        return tracked

    def _is_final(self, tracked: TrackedTask) -> bool:
        """Whether the last poll failed as the next ones will."""
        failure = tracked.failure
        if failure is None or failure.retryable or tracked.task.ended:
            return False
        if not isinstance(failure, TaskNotFound) or tracked.entry is None:
            return True
        made_at = tracked.entry.made_at or tracked.entry.begun_at
        return self.ledger.now() - made_at > YOUNG_SECONDS
