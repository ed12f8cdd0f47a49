"""The tools that draw: one per variant. Arguments, price, one paid task, a wait, the facts."""

import logging
from dataclasses import replace
from functools import partial

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.purchase import Purchase, resolution_of
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.delivery import pictures_of, target_of
from runapi_mcp.tools.facts import TaskFacts
from runapi_mcp.tools.inputs import Drawing, or_none
from runapi_mcp.tools.sources import FIELD, Given
from runapi_mcp.tools.task_outcomes import outcome_in_doubt, outcome_of
from runapi_mcp.tools.tool import Caller, Outcome, RawArguments, Tool

logger = logging.getLogger(__name__)

_DOUBT = (
    "Call again with the same arguments: that asks under the same idempotency key, so nothing is "
    "charged twice."
)


def generating_tool(variant: Variant) -> Tool:
    """The tool of one variant."""
    return Tool(
        name=variant.tool_name,
        title=variant.title,
        description=variant.purpose + (f" {variant.price_words}." if variant.price_words else ""),
        effect="pays",
        inputs=(variant.params, Drawing),
        output=TaskFacts,
        run=partial(_run, variant),
    )


async def _run(variant: Variant, caller: Caller, raw: RawArguments) -> Outcome:
    purchase, drawing = await _wanted(variant, caller, raw)
    wait_seconds = 0.0 if caller.as_task else drawing.or_else(caller.wait_seconds)
    try:
        async with caller.orders.placed(purchase, caller.yes, attended=caller.as_task) as order:
            left = caller.left_seconds(wait_seconds)
            await caller.orders.follow(order.watch, left, caller.report)
            # Held until they are here: an identical call meanwhile is another picture.
            pictures = await pictures_of(caller, order.watch, drawing.preview_px)
    except ProviderFailure as failure:
        return await _not_made(caller, failure, variant, purchase.price)
    left_cents = await caller.orders.left_cents()
    outcome = outcome_of(order.watch, pictures, purchase.price, order.joined_at, left_cents)
    return replace(outcome, preview_px=or_none(drawing.preview_px))


async def _wanted(variant: Variant, caller: Caller, raw: RawArguments) -> tuple[Purchase, Drawing]:
    """What the arguments ask for, all of it checked; nothing was sent that pays."""
    given = Given.of(raw)
    params, drawing = accept(given.stood_in(raw) if given else raw, variant.params, Drawing)
    target = target_of(caller, drawing.save_as)
    caller.runapi.require_key()
    sources = await given.images(caller) if given else None
    if sources is not None:
        params = params.model_copy(update={FIELD: sources.addresses})
    (price,) = await caller.runapi.prices([(variant, resolution_of(params))])
    return Purchase(variant, params, price, sources, target), drawing


async def _not_made(
    caller: Caller, failure: ProviderFailure, variant: Variant, price: Price
) -> Outcome:
    """What a failed create leaves: a task it named all the same, or what it may have cost."""
    if failure.answer.task_id is not None:
        logger.warning("a failed answer named task %s; get_task finds it", failure.answer.task_id)
        left_cents = await caller.orders.left_cents()
        return outcome_in_doubt(failure, failure.answer.task_id, variant, price, left_cents)
    if failure.in_doubt:
        # Also for a caller who has left and hears no answer.
        logger.warning("a create ended in doubt; the same call asks under the same key")
        happened = f"{failure.happened} Whether RunAPI made and charged a task is not known."
        raise ProviderFailure(happened, _DOUBT, failure.answer) from failure
    happened = f"{failure.happened} Nothing was paid."
    raise type(failure)(happened, failure.advice, failure.answer) from failure
