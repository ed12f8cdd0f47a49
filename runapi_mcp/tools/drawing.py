"""The tools that draw: one per variant. This is the whole way of a paid call."""

import logging
from functools import partial

from pydantic import MISSING

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.purchase import SOURCES_FIELD, Purchase
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.delivery import deliver, target_of
from runapi_mcp.tools.facts import TaskFacts
from runapi_mcp.tools.inputs import DrawingOptions
from runapi_mcp.tools.source_names import names_of, params_as_named
from runapi_mcp.tools.sources import CheckedSource, Uploader, check_sources, upload_sources
from runapi_mcp.tools.task_outcomes import result_in_doubt, result_of
from runapi_mcp.tools.tool import Caller, RawArguments, TaskOutcome, Tool, ToolResult

logger = logging.getLogger(__name__)

_DOUBT = (
    "Call again with the same arguments: that asks under the same idempotency key, so nothing is "
    "charged twice."
)


def drawing_tool(variant: Variant) -> Tool:
    return Tool(
        name=variant.tool_name,
        title=variant.title,
        description=variant.purpose + (f" {variant.price_words}." if variant.price_words else ""),
        effect="pays",
        inputs=(params_as_named(variant.params), DrawingOptions),
        output=TaskFacts,
        run=partial(_draw, variant),
    )


async def _draw(variant: Variant, caller: Caller, raw: RawArguments) -> ToolResult:
    purchase, sources, options = await _check(variant, caller, raw)
    wait_seconds = 0.0 if caller.as_task else options.or_else(caller.wait.default_seconds)
    orders, report = caller.orders, caller.wait.report
    try:
        async with orders.intend(purchase, caller.yes, stays_attended=caller.as_task) as intent:
            if not intent.entry.ready:
                uploader = Uploader(caller.provider, orders.ledger, caller.delivery.picture_store)
                await orders.add_sources(intent, await upload_sources(sources, uploader, report))
            # Up to 160 MB, which nobody needs while the task is followed.
            sources.clear()
            tracked = await orders.pay(intent)
            await orders.follow(tracked, caller.wait.left_seconds(wait_seconds), report)
            # Held until they are here: an identical call meanwhile is another picture.
            pictures = await deliver(
                tracked, caller.delivery, orders.ledger, report, options.preview_px
            )
    except ProviderFailure as failure:
        return await _result_of_failure(caller, failure, variant, purchase.price)
    preview_px = None if options.preview_px is MISSING else options.preview_px
    outcome = TaskOutcome(tracked, pictures, intent.joined_at, preview_px)
    return result_of(outcome, price=purchase.price, left_cents=await orders.remaining_cents())


async def _check(
    variant: Variant, caller: Caller, raw: RawArguments
) -> tuple[Purchase, list[CheckedSource], DrawingOptions]:
    """What the arguments ask for; nothing was sent that pays."""
    params, options = accept(raw, params_as_named(variant.params), DrawingOptions)
    target = target_of(caller.delivery, options.save_as)
    if caller.delivery.saves:
        folders = caller.delivery.picture_store.folders
        folders.require_usable(target, named=caller.delivery.is_local)
    caller.provider.require_key()
    sources = await check_sources(
        names_of(params), caller.orders, caller.delivery, caller.wait.report
    )
    resolution = params.resolution
    (price,) = await caller.provider.prices([(variant, resolution)])
    purchase = Purchase(
        variant=variant,
        settings=params.model_dump(exclude={SOURCES_FIELD}),
        output_resolution=resolution,
        price=price,
        sources=tuple(each.source for each in sources),
        save_as=target,
    )
    return purchase, sources, options


async def _result_of_failure(
    caller: Caller, failure: ProviderFailure, variant: Variant, price: Price
) -> ToolResult:
    """What a failed create leaves: a task it named all the same, or what it may have cost."""
    if failure.answer.task_id is not None:
        logger.warning("a failed answer named task %s; get_task finds it", failure.answer.task_id)
        left_cents = await caller.orders.remaining_cents()
        return result_in_doubt(failure, failure.answer.task_id, variant, price, left_cents)
    if failure.in_doubt:
        # Also for a caller who has left and hears no answer.
        logger.warning("a create ended in doubt; the same call asks under the same key")
        happened = f"{failure.happened} Whether RunAPI made and charged a task is not known."
        raise ProviderFailure(happened, _DOUBT, failure.answer) from failure
    happened = f"{failure.happened} Nothing was paid."
    raise type(failure)(happened, failure.advice, failure.answer) from failure
