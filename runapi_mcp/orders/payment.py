"""The request that pays for one picture, between its intent and its id in the ledger."""

import logging
from dataclasses import dataclass, replace
from typing import Final

import anyio

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.errors import Failure, LedgerUnusable, NotAllowed, ProviderFailure
from runapi_mcp.orders.ledger import Call, Entry, Ledger, Spending, write_or_log
from runapi_mcp.orders.ledger.entry import SEND_SECONDS
from runapi_mcp.orders.limits import Limits, total_of
from runapi_mcp.orders.tracked_task import warn_unwaited
from runapi_mcp.providers.port import CREATE_SECONDS, Provider

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 0.25
"""How often the ledger is asked what became of a request that another process has sent."""
SLEPT_SECONDS: Final = 60.0
"""After such a pause of the process what it knows of an entry is too old to send by."""

_ONCE_ALLOWED: Final = "An earlier identical call is asked about once the limits allow it."


class _NothingToSend(Exception):
    """The entry needs no request any more."""


@dataclass(frozen=True, slots=True)
class Paid:
    """An entry with its task; without one, where it was withdrawn."""

    entry: Entry
    task: Task | None = None
    """As the provider answered the request, if it was this one that made the task."""


def log_unheard(paid: Paid) -> None:
    """Name the task of a request whose callers had all left when it was answered."""
    if paid.entry.task_id is not None:
        warn_unwaited(paid.entry.task_id)


def is_open(entry: Entry) -> bool:
    """Whether no task is known of it, and there may be one, or be made."""
    return entry.status == "intended" and entry.task_id is None


async def reread_entry(ledger: Ledger, entry: Entry) -> Entry:
    """The entry as the ledger has it now."""
    call = await ledger.call(entry.call_id)
    return next((each for each in call if each.key == entry.key), entry)


async def wait_for_other_senders(ledger: Ledger, entry: Entry) -> Entry:
    """The entry once it has its task, or whoever sends for it should have an answer."""
    with anyio.move_on_after(2 * SEND_SECONDS):
        while entry.is_being_sent(ledger.now()):
            await anyio.sleep(LOOK_AGAIN_SECONDS)
            entry = await reread_entry(ledger, entry)
    return entry


async def record_made(ledger: Ledger, entry: Entry, task: Task) -> Entry:
    """The entry with the task that was made of it, written down."""
    reserved_cents, now = task.reserved_cents, ledger.now()
    made = replace(
        entry,
        task_id=task.id,
        status=task.status,
        price_cents=entry.price_cents if reserved_cents is None else reserved_cents,
        sandbox=task.sandbox,
        made_at=now,
        image_urls=task.image_urls,
        cost_cents=task.cost_cents,
        ended_at=now if task.ended else None,
    )
    if not await write_or_log(ledger.record(made)):
        logger.warning("task %s could not be written down; get_task finds it", task.id)
    return made


@dataclass(slots=True, eq=False)
class Payment:
    """Asks the provider for what an entry says, under its key, once or however often it takes.

    One at a time in a process; others may do the same with the same entry.
    """

    provider: Provider
    ledger: Ledger
    limits: Limits
    entry: Entry
    variant: Variant
    body: str
    _sends: int = 0

    async def pay(self, total_seconds: float = CREATE_SECONDS) -> Paid:
        """The entry, with the task's id on the disk.

        Raises:
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
            LedgerUnusable: nothing was sent, because that could not be written down.
            NotAllowed: nothing was ever sent, and its price, not set aside any more, is over a
                limit.
        """
        self.entry = await wait_for_other_senders(self.ledger, self.entry)
        if not is_open(self.entry):
            return Paid(self.entry)
        try:
            task = await self.provider.create(
                self.variant,
                self.body,
                self.entry.key,
                total_seconds,
                before_send=self._note_send,
                in_doubt=self.entry.open_sends > 0,
            )
        except _NothingToSend:
            return Paid(self.entry)
        except ProviderFailure as failure:
            await self._record_failure(failure)
            if self.entry.task_id is None:
                raise
            return Paid(self.entry)
        except (LedgerUnusable, NotAllowed) as failure:
            raise self._unsent(failure) from failure
        except anyio.get_cancelled_exc_class():
            # Cancelling gets through only while the provider has taken nothing.
            await write_or_log(self._record_no())
            raise
        return Paid(await record_made(self.ledger, self.entry, task), task)

    async def _note_send(self) -> None:
        began_at = -SLEPT_SECONDS
        while abs(self.ledger.now() - began_at) >= SLEPT_SECONDS:
            began_at = self.ledger.now()
            self.entry = await self.ledger.record_send(self.entry.key, self._allow_again)
            if not is_open(self.entry):
                raise _NothingToSend
            self._sends += 1

    def _allow_again(self, lapsed: Call, spending: Spending) -> None:
        self.limits.check(total_of([entry.price_cents for entry in lapsed]), spending)

    async def _record_failure(self, failure: ProviderFailure) -> None:
        if failure.answer.task_id is not None:
            await self._record_named(failure.answer.task_id)
        elif failure.in_doubt:
            key, answered = self.entry.key, failure.answered
            await write_or_log(self.ledger.record_doubt(key, self._sends, answered=answered))
        elif await write_or_log(self._record_no()):
            # Somebody else's request under the same key may have been taken.
            failure.in_doubt = self.entry.status != "refused"

    async def _record_named(self, task_id: str) -> None:
        """Write down the task that a failed answer named."""
        logger.warning("a failed answer named task %s; get_task finds it", task_id)
        now = self.ledger.now()
        self.entry = replace(self.entry, task_id=task_id, status="unknown", made_at=now)
        await write_or_log(self.ledger.record(self.entry))

    async def _record_no(self) -> None:
        self.entry = await self.ledger.record_no(self.entry.key, self._sends)

    def _unsent(self, failure: LedgerUnusable | NotAllowed) -> Failure:
        """Why it was not sent, now; a doubt, if it may have been taken earlier."""
        if self._sends == 0 and self.entry.open_sends == 0:
            return failure
        later = f" {_ONCE_ALLOWED}" if isinstance(failure, NotAllowed) else ""
        doubt = ProviderFailure(f"{failure.happened}{later}", failure.advice)
        doubt.in_doubt = True
        return doubt
