"""From tasks to an answer: followed, fetched, told, whatever happens meanwhile."""

import logging
from dataclasses import replace

from pydantic import MISSING

from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.redaction import crash_words
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.orders import Orders
from runapi_mcp.tools.delivery import deliver, told_urls
from runapi_mcp.tools.task_outcomes import plain_result_of, result_of
from runapi_mcp.tools.tool import Caller, TaskOutcome, ToolResult

logger = logging.getLogger(__name__)


async def present(
    caller: Caller,
    outcome: TaskOutcome,
    *,
    follow_seconds: float = 0.0,
    price: Price | None = None,
    made_at: float | None = None,
) -> ToolResult:
    """What became of the images: they are paid for, so that no trouble may hide where they are.

    `price` is what each was to cost, `made_at` when it was made, where the ledger does not know.
    """
    try:
        return await _present(caller, outcome, follow_seconds, price, made_at)
    except Exception as error:
        logger.exception("something unforeseen happened to an image that is paid for")
        urls = told_urls([tracked.task for tracked in outcome.tasks], caller.delivery)
        return plain_result_of(outcome, f"Unforeseen: {crash_words(error)}", urls)


async def siblings_of(orders: Orders, entry: Entry | None) -> tuple[str, ...]:
    """The tasks of all images of an image's call, where that has several."""
    if entry is None or entry.count == 1:
        return ()
    call = await orders.call_of(entry)
    return tuple(each.task_id for each in call if each.task_id is not None)


async def _present(
    caller: Caller,
    outcome: TaskOutcome,
    follow_seconds: float,
    price: Price | None,
    made_at: float | None,
) -> ToolResult:
    orders, report = caller.orders, caller.wait.report
    await orders.follow(outcome.tasks, follow_seconds, report)
    wanted_px = MISSING if outcome.preview_px is None else outcome.preview_px
    pictures = await deliver(outcome.tasks, caller.delivery, orders.ledger, report, wanted_px)
    # While it is drawn, only a budget is worth another look at the ledger.
    today = await orders.spending_today() if outcome.all_ended or orders.has_budget else None
    return result_of(
        replace(outcome, pictures=pictures),
        price=price,
        spent_cents=today and today.total_cents,
        left_cents=today and orders.limits.remaining_cents(today),
        made_at=made_at,
    )
