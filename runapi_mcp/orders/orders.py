"""What a caller ordered: paid once, written down at each step, followed, found again."""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio

from runapi_mcp.base.catalog.vendors import vendor_named
from runapi_mcp.base.errors import Failure, TaskNotFound
from runapi_mcp.base.progress import Report
from runapi_mcp.base.redaction import crash_words
from runapi_mcp.orders.approval import approve, question_for
from runapi_mcp.orders.doubt import OutOfSight, in_doubt, not_answered_yet
from runapi_mcp.orders.ledger import Entry, Spending, read_or_none, write_or_log
from runapi_mcp.orders.limits import NotConfirmed
from runapi_mcp.orders.payment import Paid
from runapi_mcp.orders.poller import Poller, last_seen
from runapi_mcp.orders.purchase import Encode, Purchase, RequestForm
from runapi_mcp.orders.reconcile import reconcile_soon
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.single_send import payment_for
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.providers.port import Provider
from runapi_mcp.providers.sellers import Sellers

logger = logging.getLogger(__name__)

YOUNG_SECONDS: Final = 60.0
"""A task this young may not be known everywhere at its vendor yet."""


class OrderWithdrawn(Exception):
    """Nothing came of the order, and nothing was sent: whoever joined it begins anew."""


class OrderGivenUp(Exception):
    """Whether anything came of the order, a day ago, nobody can tell: it may be paid for anew."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.call_id)
        self.entry = entry


@dataclass(slots=True)
class Order:
    """A call that is written down: this one, or an identical earlier one that it goes on with."""

    purchase: Purchase
    entries: Sequence[Entry]
    """One for each of its pictures."""
    is_new: bool

    @property
    def is_ready(self) -> bool:
        return all(entry.ready for entry in self.entries)

    @property
    def joined_at(self) -> float | None:
        """When the earlier call was made that this one continues; None for a new one."""
        return None if self.is_new else self.entries[0].begun_at


class Orders:
    def __init__(self, shared: SharedState, sellers: Sellers) -> None:
        self.ledger = shared.ledger
        self.limits = shared.limits
        self._shared = shared
        self._sellers = sellers
        self._poller = Poller(shared, sellers)

    def paying(self) -> AbstractAsyncContextManager[None]:
        """Around what a call does until it has paid: begun at once, unless the process is busy."""
        return self._shared.looks.paying()

    async def join(self, purchase: Purchase) -> Order | None:
        """The identical call that was not settled when this one came, if there is one."""
        wanted = self._entries(purchase)[0]
        found = await self.ledger.find_alike(wanted, purchase.use, purchase.came_at)
        return None if found is None else Order(purchase, found, is_new=False)

    async def intend(self, purchase: Purchase, yes: str | None) -> Order:
        """The purchase, written down; or the identical call, as `join`.

        Raises:
            NotAllowed: it would go over a limit; nothing was paid.
            NotConfirmed: a person must be asked first; nothing was paid.
            LedgerUnusable: it cannot be written down; nothing was paid.
        """
        reconcile_soon(self._shared, self._sellers)
        provider = self._seller(purchase)
        if self.limits.asks_for(purchase.total):
            purchase = approve(provider, purchase, yes)

        # A yes that is given again has the key of the call that it was given to first.
        is_allowed = False

        def allow(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
            nonlocal is_allowed
            self.limits.check(purchase.total, spending)
            if self.limits.asks_for(purchase.total) and not (purchase.is_agreed and is_new):
                left = self.limits.remaining_cents(spending)
                question = question_for(provider, purchase)
                raise NotConfirmed(purchase.total, purchase.count, left, question)
            is_allowed = True

        wanted = self._entries(purchase)
        entries = await self.ledger.intend(wanted, purchase.use, purchase.came_at, allow)
        return Order(purchase, entries, is_new=is_allowed and entries[0].key == purchase.key)

    async def add_sources(self, order: Order, urls: Sequence[str]) -> None:
        """Write down the whole request, now that its vendor has all the images it starts from.

        Where another call was faster, its addresses count.

        Raises:
            OrderWithdrawn
        """
        form = self._form(order.purchase)
        wanted = order.purchase.with_sources(order.entries, urls, form)
        order.entries = await self.ledger.record_request(wanted)
        if all(entry.status == "refused" for entry in order.entries):
            raise OrderWithdrawn

    async def withdraw(self, order: Order) -> bool:
        """Let nothing come of what this call has ordered and nobody sent; whether nothing does."""
        first = order.entries[0]
        if order.is_new:
            await write_or_log(self.ledger.withdraw(first.call_id))
        return all(entry.status == "refused" for entry in await self.call_of(first))

    async def pay(self, order: Order, seconds: float) -> list[TrackedTask | Failure]:
        """What is known of each picture: its task, made now or by the earlier call, or why none is.

        After so many seconds a request that is still out goes on by itself, and is in doubt.

        Raises:
            OrderWithdrawn
            OrderGivenUp
        """
        found: dict[int, TrackedTask | Failure] = {}

        async def find(entry: Entry) -> None:
            found[entry.number] = await self._task_or_failure(order, entry, seconds)

        first, *others = order.entries
        async with anyio.create_task_group() as group:
            for entry in others:
                group.start_soon(find, entry)
            # Without a task of its own: most calls are for one picture.
            await find(first)
        pictures = [found[number] for number in sorted(found)]
        if all(isinstance(each, _Withdrawn) for each in pictures):
            raise OrderWithdrawn
        if all(isinstance(each, _Withdrawn | OutOfSight) for each in pictures):
            raise OrderGivenUp(order.entries[0])
        return pictures

    async def follow(
        self, tracked: Sequence[TrackedTask], wait_seconds: float, report: Report
    ) -> None:
        await self._poller.follow(tracked, wait_seconds, report)

    async def call_of(self, entry: Entry) -> Sequence[Entry]:
        """All pictures of the call that an entry belongs to; itself, where nobody can tell."""
        return await read_or_none(self.ledger.call(entry.call_id)) or (entry,)

    async def find(self, task_id: str, wait_seconds: float) -> TrackedTask:
        """A task by its id, polled now; it need not be in the ledger.

        Raises:
            ProviderFailure: it could not be read, and there is no time to ask again.
        """
        reconcile_soon(self._shared, self._sellers)
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

    async def entry_of(self, task_id: str) -> Entry | None:
        return await read_or_none(self.ledger.by_task(self._sellers.caller_id, task_id))

    @property
    def has_budget(self) -> bool:
        return self.limits.per_day_cents is not None and self._sellers.has_key

    async def remaining_cents(self) -> float | None:
        """What may still be spent today; None where no budget is set, or nobody can tell."""
        spending = await self.spending_today() if self.has_budget else None
        return None if spending is None else self.limits.remaining_cents(spending)

    async def spending_today(self) -> Spending | None:
        """What this caller's calls of today cost; None where nobody can tell."""
        return await read_or_none(self.ledger.spending(self._sellers.caller_id))

    async def _track(self, task_id: str) -> TrackedTask:
        return await self._poller.track_known(task_id, await self.entry_of(task_id))

    def _entries(self, purchase: Purchase) -> list[Entry]:
        caller, now, form = self._sellers.caller_id, self.ledger.now(), self._form(purchase)
        return purchase.entries(caller, now, form, with_prompt=self._shared.keeps_prompts)

    def _form(self, purchase: Purchase) -> RequestForm:
        wakeups = self._shared.wakeups
        return RequestForm(self._encode(purchase), None if wakeups is None else wakeups.address_of)

    def _encode(self, purchase: Purchase) -> Encode:
        return partial(self._seller(purchase).request_body, purchase.variant)

    def _seller(self, purchase: Purchase) -> Provider:
        return self._sellers.of(purchase.variant.vendor.name)

    async def _task_or_failure(
        self, order: Order, entry: Entry, seconds: float
    ) -> TrackedTask | Failure:
        try:
            return await self._task(order, entry, seconds)
        except TimeoutError:
            return in_doubt(entry, not_answered_yet(entry))
        except Failure as failure:
            return failure
        except Exception as error:
            # It must not take along what is known of the call's other pictures.
            logger.exception("something unforeseen happened to a request that pays")
            return in_doubt(entry, f"Unforeseen: {crash_words(error)}.")

    async def _task(self, order: Order, entry: Entry, seconds: float) -> TrackedTask | Failure:
        # Before the task is made: after it, nothing may come between its id and `follow`.
        durations = await self._poller.durations(entry)
        paid = await self._paid(order, entry, seconds)
        if paid.entry.task_id is None or paid.entry.status == "lost":
            return missing(paid.entry)
        known = paid.task or last_seen(paid.entry.task_id, paid.entry)
        tracked = self._poller.track(known, paid.entry, durations)
        if paid.task is not None:
            tracked.record(paid.task)
        if order.is_new or paid.task is not None or paid.entry.ended:
            return tracked
        with anyio.move_on_after(seconds):
            return await self._look_at(tracked)
        return tracked

    async def _paid(self, order: Order, entry: Entry, seconds: float) -> Paid:
        if entry.status != "intended" or entry.task_id is not None:
            return Paid(entry)
        purchase = order.purchase
        body = purchase.body(entry, self._encode(purchase))
        provider, variant = self._seller(purchase), purchase.variant
        payment = payment_for(provider, self.ledger, self.limits, entry, variant, body)
        return await self._shared.payments.wait(entry.key, payment.pay, seconds)

    async def _look_at(self, tracked: TrackedTask) -> TrackedTask | Failure:
        """An earlier call's task, polled once: its vendor may have forgotten it."""
        await self._poller.poll(tracked)
        if not (isinstance(tracked.failure, TaskNotFound) and self._is_final(tracked)):
            return tracked
        if tracked.entry is None:
            return tracked.failure
        lost = replace(tracked.entry, status="lost")
        await write_or_log(self.ledger.record(lost))
        return missing(lost)

    def _is_final(self, tracked: TrackedTask) -> bool:
        """Whether the last poll failed as the next ones will."""
        failure = tracked.failure
        if failure is None or failure.retryable or tracked.task.ended:
            return False
        if not isinstance(failure, TaskNotFound) or tracked.entry is None:
            return True
        return self.ledger.now() - tracked.entry.drawn_since > YOUNG_SECONDS


class _Withdrawn(Failure):
    """A picture that was not ordered after all."""


def missing(entry: Entry) -> Failure:
    """Why there is no task to follow for an entry."""
    if entry.status == "refused":
        return _Withdrawn("It was not ordered.", "Nothing was paid for it.")
    if entry.status == "lost":
        return TaskNotFound(
            f"An earlier identical call made task {entry.task_id}, which "
            f"{vendor_named(entry.vendor).title} no longer knows.",
            "Call again to draw a new image." if entry.count == 1 else "Its image is lost.",
        )
    return in_doubt(entry, not_answered_yet(entry))
