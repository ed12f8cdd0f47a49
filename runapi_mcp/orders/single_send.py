"""The request that pays, where it must not be sent a second time.

One process marks the entry, and sends once. What became of that, if no answer came, only the
vendor's own list tells: by the entry's key, which went with the request as the caller's reference.
"""

from dataclasses import dataclass, replace

import anyio

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.catalog.vendors import vendor_named
from runapi_mcp.base.errors import LedgerUnusable, ProviderFailure
from runapi_mcp.orders.doubt import OutOfSight, in_doubt
from runapi_mcp.orders.ledger import Entry, Ledger, write_or_log
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.payment import (
    SLEPT_SECONDS,
    Paid,
    Payment,
    is_open,
    record_made,
    reread_entry,
    wait_for_other_senders,
)
from runapi_mcp.providers.port import CREATE_SECONDS, Find, Provider


def payment_for(
    provider: Provider,
    ledger: Ledger,
    limits: Limits,
    entry: Entry,
    variant: Variant,
    body: str,
) -> "Payment | SingleSend":
    """How an entry is paid at its vendor."""
    if provider.find is None:
        return Payment(provider, ledger, limits, entry, variant, body)
    return SingleSend(provider, provider.find, ledger, entry, variant, body)


class _SentBefore(Exception):
    """Somebody else has sent the request, or nobody is to."""


@dataclass(slots=True, eq=False)
class SingleSend:
    provider: Provider
    find: Find
    ledger: Ledger
    entry: Entry
    variant: Variant
    body: str

    async def pay(self, total_seconds: float = CREATE_SECONDS) -> Paid:
        """The entry, with the task's id on the disk; without one, refused or withdrawn.

        Raises:
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
            LedgerUnusable: nothing was sent, because that could not be written down.
        """
        if self.entry.sent_at is None:
            try:
                return await self._send(total_seconds)
            except _SentBefore:
                self.entry = await reread_entry(self.ledger, self.entry)
        return await Look(self.find, self.ledger, self.entry).settle()

    async def _send(self, total_seconds: float) -> Paid:
        try:
            task = await self.provider.create(
                self.variant, self.body, self.entry.key, total_seconds, before_send=self._claim
            )
        except ProviderFailure as failure:
            return await self._after(failure)
        except anyio.get_cancelled_exc_class():
            # Cancelling gets through only before anything was sent.
            await write_or_log(self._record_no(0))
            raise
        return Paid(await record_made(self.ledger, self.entry, task), task)

    async def _claim(self) -> None:
        began_at = self.ledger.now()
        claimed = await self.ledger.claim_send(self.entry.key)
        if claimed is None:
            raise _SentBefore
        self.entry = claimed
        if abs(self.ledger.now() - began_at) >= SLEPT_SECONDS:
            # The process slept: by the list others may be about to know that nothing was made.
            await self._record_no(1)
            raise _SentBefore

    async def _after(self, failure: ProviderFailure) -> Paid:
        """What a create left that failed: nothing, or something to look for at once."""
        if not failure.in_doubt:
            await write_or_log(self._record_no(1))
            raise failure
        key, answered = self.entry.key, failure.answered
        await write_or_log(self.ledger.record_doubt(key, 1, answered=answered))
        self.entry = await reread_entry(self.ledger, self.entry)
        try:
            found = await self._look_at_once()
        except (ProviderFailure, LedgerUnusable):
            # What became of the create says more than what became of the look.
            raise failure from None
        if found is None:
            raise failure
        return found

    async def _look_at_once(self) -> Paid | None:
        """What the list says of what was just sent; None where it stays in doubt.

        If this process stood still, others may be certain meanwhile that nothing was made, and are
        wrong. For the same reason an absence now can be the first that is seen, never the last.
        """
        asked_at = self.ledger.now()
        task = None if self.entry.task_id else await self.find(self.entry.key)
        if task is not None:
            return await record_found(self.ledger, self.entry, task)
        if is_open(self.entry) and self.entry.absent_at is None:
            self.entry = await self.ledger.record_absence(self.entry.key, asked_at)
        return None if is_open(self.entry) else Paid(self.entry)

    async def _record_no(self, sends: int) -> None:
        self.entry = await self.ledger.record_no(self.entry.key, sends)


async def record_found(ledger: Ledger, entry: Entry, task: Task) -> Paid:
    """What is paid by a task that a list names, and that may not say what drew it."""
    found = replace(task, model=entry.model)
    return Paid(await record_made(ledger, entry, found), found)


@dataclass(slots=True, eq=False)
class Look:
    """Looks for what may have been made of an entry, and sends nothing that pays."""

    find: Find
    ledger: Ledger
    entry: Entry

    async def settle(self) -> Paid:
        """The entry with its task; without one, where it is certain that none was made.

        Raises:
            ProviderFailure: it stays in doubt.
        """
        self.entry = await wait_for_other_senders(self.ledger, self.entry)
        if not is_open(self.entry):
            return Paid(self.entry)
        asked_at = self.ledger.now()
        try:
            task = await self.find(self.entry.key)
            if task is None:
                self.entry = await self.ledger.record_absence(self.entry.key, asked_at)
        except (ProviderFailure, LedgerUnusable) as failure:
            raise self._doubt(failure.happened) from failure
        if task is not None:
            return await record_found(self.ledger, self.entry, task)
        if is_open(self.entry):
            raise self._doubt(f"{self._vendor} never answered it, and has not listed it so far.")
        return Paid(self.entry)

    @property
    def _vendor(self) -> str:
        return vendor_named(self.entry.vendor).title

    def _doubt(self, happened: str) -> ProviderFailure:
        if self.entry.is_reserved(self.ledger.now()):
            return in_doubt(self.entry, happened)
        return OutOfSight(happened, "For a day nobody could tell. It may be paid for anew.")
