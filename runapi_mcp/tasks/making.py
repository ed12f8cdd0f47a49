"""The request that pays, between its intent and its id in the ledger."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import anyio

from runapi_mcp.api import RunAPI
from runapi_mcp.api.tasks import CREATE_SECONDS, Task
from runapi_mcp.catalog import Variant, by_model
from runapi_mcp.errors import RunapiFailure
from runapi_mcp.tasks.desk import Desk, if_usable, noted
from runapi_mcp.tasks.ledger import Entry
from runapi_mcp.tasks.purchase import Purchase

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 8.0
"""How long a call waits for doubts of earlier ones to be settled."""
SETTLE_AGAIN_SECONDS: Final = 60.0
MOST_SETTLED_AT_ONCE: Final = 5


async def make(
    desk: Desk, runapi: RunAPI, entry: Entry, purchase: Purchase, *, is_new: bool
) -> tuple[Task, Entry]:
    """The task of an entry and what the ledger has of it now. Made now or, where the entry is
    not new, perhaps before.

    Raises:
        RunapiFailure: no task is known; `in_doubt` says whether there may be one.
    """
    try:
        body = purchase.params.model_dump()
        return await _made(desk, runapi, entry, purchase.variant, body, CREATE_SECONDS)
    except RunapiFailure as failure:
        # What an earlier process may have done, a refusal now does not undo.
        failure.in_doubt = failure.in_doubt or not is_new
        await _not_made(desk, entry, failure)
        raise
    except anyio.get_cancelled_exc_class():
        # Cancelling gets through only while RunAPI has taken nothing.
        if is_new:
            await noted(desk.ledger.update(replace(entry, status="refused")))
        raise


async def settle_doubts(desk: Desk, runapi: RunAPI) -> None:
    """Ask RunAPI, under their own keys, what became of calls that a process left in doubt."""
    if not desk.may_settle(runapi.caller, SETTLE_AGAIN_SECONDS):
        return
    doubts = await if_usable(desk.ledger.claim_doubts(runapi.caller, MOST_SETTLED_AT_ONCE))
    async with anyio.create_task_group() as group:
        for entry in doubts or ():
            group.start_soon(_settle, desk, runapi, entry)


async def _settle(desk: Desk, runapi: RunAPI, entry: Entry) -> None:
    variant = by_model(entry.model)
    try:
        if variant is not None and entry.arguments is not None:
            await _made(desk, runapi, entry, variant, entry.arguments, SETTLE_SECONDS)
    except RunapiFailure as failure:
        logger.warning("an earlier call is still in doubt. %s", failure)
    finally:
        await noted(desk.ledger.release(entry.key))


async def _made(
    desk: Desk,
    runapi: RunAPI,
    entry: Entry,
    variant: Variant,
    body: Mapping[str, object],
    seconds: float,
) -> tuple[Task, Entry]:
    task = await runapi.tasks.create(variant, body, entry.key, seconds)
    price_cents = entry.price_cents if task.reserved_cents is None else task.reserved_cents
    made = replace(
        entry,
        task_id=task.id,
        status=task.status,
        price_cents=price_cents,
        sandbox=task.sandbox,
        made_at=desk.ledger.now(),
    )
    if not await noted(desk.ledger.update(made)):
        logger.warning("task %s could not be written down; get_task finds it", task.id)
    return task, made


async def _not_made(desk: Desk, entry: Entry, failure: RunapiFailure) -> None:
    """Write down what a create leaves that brought no task."""
    if failure.answer.task_id is not None:
        known = replace(entry, task_id=failure.answer.task_id, status="unknown")
        await noted(desk.ledger.update(known))
    elif not failure.in_doubt:
        await noted(desk.ledger.update(replace(entry, status="refused")))
