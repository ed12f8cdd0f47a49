"""The request that pays, between its intent and its id in the ledger."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import anyio

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.shared_state import Desk, noted
from runapi_mcp.providers.port import CREATE_SECONDS, Provider

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A task, and what the ledger has of it now."""

    task: Task
    entry: Entry


@dataclass(frozen=True, slots=True)
class Payment:
    """What is asked of RunAPI under an entry's key, once or however often it takes."""

    desk: Desk
    runapi: Provider
    entry: Entry
    variant: Variant
    body: Mapping[str, object]
    in_doubt: bool
    """Whether RunAPI may have made the task already, for an earlier call or process."""

    async def made(self, total_seconds: float = CREATE_SECONDS) -> Made:
        """The task, its id on the disk.

        Raises:
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
        """
        try:
            task = await self.runapi.create(
                self.variant, self.body, self.entry.key, total_seconds, in_doubt=self.in_doubt
            )
        except ProviderFailure as failure:
            await self._note_failure(failure)
            raise
        return await self._note(task)

    async def made_for_a_caller(self) -> Made:
        """The task, as `made`. The request outlives a caller who leaves while it is out.

        The same call, made again meanwhile, goes on with it.
        """
        made: list[Made | ProviderFailure] = []
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._let_go_when_left, made)
                made.append(await self._made_or_failure())
                group.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._note_leaving(made)
            raise
        if isinstance(made[0], ProviderFailure):
            raise made[0]
        return made[0]

    async def _made_or_failure(self) -> Made | ProviderFailure:
        try:
            return await self.made()
        except ProviderFailure as failure:
            # Raised, it would come out of the task group as a group.
            return failure

    async def _let_go_when_left(self, made: list[Made | ProviderFailure]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if not made:
                await noted(self.desk.ledger.release(self.entry))

    async def _note_leaving(self, made: list[Made | ProviderFailure]) -> None:
        if not made and not self.in_doubt:
            # Cancelling gets through only while RunAPI has taken nothing.
            await noted(self.desk.ledger.withdraw(self.entry))
        for outcome in made:
            if isinstance(outcome, Made):
                task_id = outcome.task.id
                logger.warning("stopped waiting; task %s goes on, and get_task finds it", task_id)

    async def _note(self, task: Task) -> Made:
        reserved_cents, now = task.reserved_cents, self.desk.ledger.now()
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
        if not await noted(self.desk.ledger.update(entry)):
            logger.warning("task %s could not be written down; get_task finds it", task.id)
        return Made(task, entry)

    async def _note_failure(self, failure: ProviderFailure) -> None:
        if failure.answer.task_id is not None:
            known = replace(self.entry, task_id=failure.answer.task_id, status="unknown")
            await noted(self.desk.ledger.update(known))
        elif not failure.in_doubt:
            await noted(self.desk.ledger.withdraw(self.entry))
