"""The request that pays, between its intent and its id in the ledger."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import anyio

from runapi_mcp.api import RunAPI
from runapi_mcp.api.tasks import CREATE_SECONDS, Task
from runapi_mcp.catalog import Variant, by_model
from runapi_mcp.errors import RunapiDown, RunapiFailure
from runapi_mcp.tasks.desk import Desk, if_usable, noted
from runapi_mcp.tasks.ledger import Entry
from runapi_mcp.tasks.purchase import Purchase

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 8.0
"""How long a call waits for doubts of earlier ones to be settled."""
SETTLE_AGAIN_SECONDS: Final = 60.0
MOST_SETTLED_AT_ONCE: Final = 5


async def make(desk: Desk, runapi: RunAPI, entry: Entry, purchase: Purchase) -> tuple[Task, Entry]:
    """The task of an entry and what the ledger has of it now. Made now or, where the entry is
    an earlier purchase's, perhaps before.

    Raises:
        RunapiFailure: no task is known; `in_doubt` says whether there may be one.
    """
    outcome, is_new = _Outcome(), entry.key == purchase.key
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_let_go_when_left, desk, entry, outcome)
            await _ask(desk, runapi, entry, purchase, outcome)
            group.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():
        if outcome.made is not None:
            task_id = outcome.made[0].id
            logger.warning("stopped waiting; task %s goes on, and get_task finds it", task_id)
        elif outcome.failure is None and is_new:
            # Cancelling gets through only while RunAPI has taken nothing.
            await noted(desk.ledger.withdraw(entry))
        raise
    if outcome.made is None:
        failure = outcome.failure or RunapiDown("There was no answer.", "Call again.")
        # What an earlier process may have done, a refusal now does not undo.
        failure.in_doubt = failure.in_doubt or not is_new
        raise failure
    return outcome.made


@dataclass(slots=True)
class _Outcome:
    """What came of a request that pays, once that is known."""

    made: tuple[Task, Entry] | None = None
    failure: RunapiFailure | None = None


async def _ask(
    desk: Desk, runapi: RunAPI, entry: Entry, purchase: Purchase, outcome: _Outcome
) -> None:
    body = purchase.params.model_dump()
    try:
        outcome.made = await _made(desk, runapi, entry, purchase.variant, body, CREATE_SECONDS)
    except RunapiFailure as failure:
        # Kept: raised, it would come out of the task group as a group.
        outcome.failure = failure
        await _not_made(desk, entry, failure, is_new=entry.key == purchase.key)


async def _let_go_when_left(desk: Desk, entry: Entry, outcome: _Outcome) -> None:
    """A request that pays outlives its caller; the same call, made again, goes on with it then."""
    try:
        await anyio.sleep_forever()
    finally:
        if outcome.made is None and outcome.failure is None:
            await noted(desk.ledger.release(entry))


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
        await noted(desk.ledger.release(entry))


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


async def _not_made(desk: Desk, entry: Entry, failure: RunapiFailure, *, is_new: bool) -> None:
    """Write down what a create leaves that brought no task."""
    if failure.answer.task_id is not None:
        known = replace(entry, task_id=failure.answer.task_id, status="unknown")
        await noted(desk.ledger.update(known))
    elif is_new and not failure.in_doubt:
        await noted(desk.ledger.withdraw(entry))
