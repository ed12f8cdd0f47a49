"""The request that pays, between its intent and its id in the ledger."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import anyio

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.holds import Holds
from runapi_mcp.orders.ledger import Entry, Ledger, write_or_log
from runapi_mcp.providers.port import CREATE_SECONDS, Provider

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Created:
    task: Task
    entry: Entry


@dataclass(frozen=True, slots=True)
class Payment:
    """What is asked of RunAPI under an entry's key, once or however often it takes."""

    provider: Provider
    ledger: Ledger
    entry: Entry
    variant: Variant
    body: Mapping[str, object]
    in_doubt: bool
    """Whether RunAPI may have made the task already, for an earlier call or process."""

    async def create(self, total_seconds: float = CREATE_SECONDS) -> Created:
        """The task, its id on the disk.

        Raises:
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
        """
        try:
            task = await self.provider.create(
                self.variant,
                self.provider.request_body(self.variant, self.body),
                self.entry.key,
                total_seconds,
                in_doubt=self.in_doubt,
            )
        except ProviderFailure as failure:
            await self._record_failure(failure)
            raise
        return await self._record(task)

    async def create_shielded(self, holds: Holds) -> Created:
        """The task, as `create`. The request outlives a caller who leaves while it is out.

        The same call, made again meanwhile, goes on with it.
        """
        ends: list[Created | ProviderFailure] = []
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._release_when_left, holds, ends)
                ends.append(await self._created_or_failure())
                group.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._record_leaving(ends)
            raise
        if isinstance(ends[0], ProviderFailure):
            raise ends[0]
        return ends[0]

    async def _created_or_failure(self) -> Created | ProviderFailure:
        try:
            return await self.create()
        except ProviderFailure as failure:
            # Raised, it would come out of the task group as a group.
            return failure

    async def _release_when_left(self, holds: Holds, ends: list[Created | ProviderFailure]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if not ends:
                await write_or_log(holds.release(self.entry))

    async def _record_leaving(self, ends: list[Created | ProviderFailure]) -> None:
        if not ends and not self.in_doubt:
            # Cancelling gets through only while RunAPI has taken nothing.
            await write_or_log(self.ledger.withdraw(self.entry))
        for end in ends:
            if isinstance(end, Created):
                task_id = end.task.id
                logger.warning("stopped waiting; task %s goes on, and get_task finds it", task_id)

    async def _record(self, task: Task) -> Created:
        reserved_cents, now = task.reserved_cents, self.ledger.now()
        entry = replace(
            self.entry,
            task_id=task.id,
            status=task.status,
            price_cents=self.entry.price_cents if reserved_cents is None else reserved_cents,
            sandbox=task.sandbox,
            made_at=now,
            image_urls=task.image_urls,
            cost_cents=task.cost_cents,
            ended_at=now if task.ended else None,
        )
        if not await write_or_log(self.ledger.record(entry)):
            logger.warning("task %s could not be written down; get_task finds it", task.id)
        return Created(task, entry)

    async def _record_failure(self, failure: ProviderFailure) -> None:
        if failure.answer.task_id is not None:
            known = replace(self.entry, task_id=failure.answer.task_id, status="unknown")
            await write_or_log(self.ledger.record(known))
        elif not failure.in_doubt:
            await write_or_log(self.ledger.withdraw(self.entry))
