"""The tools that draw: one per variant. This is the whole way of a paid call."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NoReturn

import anyio
from pydantic import MISSING

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor
from runapi_mcp.base.errors import Failure, ProviderFailure, Refused
from runapi_mcp.images.naming import split_suffix
from runapi_mcp.orders.doubt import doubt_advice
from runapi_mcp.orders.orders import Order, OrderGivenUp, OrderWithdrawn
from runapi_mcp.orders.purchase import SOURCES_FIELD, Purchase
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import TaskFacts
from runapi_mcp.tools.inputs import DrawingOptions
from runapi_mcp.tools.picture_request import target_of
from runapi_mcp.tools.presenting import present
from runapi_mcp.tools.source_names import names_of, params_as_named
from runapi_mcp.tools.sources import CheckedSource, Uploader, check_sources, upload_sources
from runapi_mcp.tools.tool import Caller, RawArguments, TaskOutcome, Tool, ToolResult, is_in_doubt

logger = logging.getLogger(__name__)

_TOO_SLOW = (
    "The images to start from could not be checked and uploaded in the time that the host gives.",
    "This call paid nothing. Call again: what is uploaded already is not uploaded anew.",
)
_SAME_PICTURES = (
    "With a seed, each of several pictures would be the same one, and be paid.",
    "Nothing was sent or paid; leave out seed, or count.",
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
    async with caller.orders.paying():
        order, paid, options = await _buy(variant, caller, raw)
    return await _result(caller, order, paid, options)


async def _buy(
    variant: Variant, caller: Caller, raw: RawArguments
) -> tuple[Order, list[TrackedTask | Failure], DrawingOptions]:
    try:
        # Nothing that is paid has been sent before there is an order.
        with anyio.fail_after(caller.wait.left_to_check()):
            purchase, sources, options = await _check(variant, caller, raw)
    except TimeoutError as error:
        raise Refused(*_TOO_SLOW) from error
    while True:
        order = await _order(caller, purchase)
        caller.ordered.append(order)
        try:
            paid = await _pay(caller, order, sources)
        except OrderWithdrawn:
            # The call that it went on with came to nothing before anything was sent.
            continue
        except OrderGivenUp as doubt:
            purchase = replace(purchase, in_place_of=doubt.entry)
            continue
        # Up to 160 MB, which nobody needs while the task is followed.
        sources.clear()
        return order, paid, options


async def _check(
    variant: Variant, caller: Caller, raw: RawArguments
) -> tuple[Purchase, list[CheckedSource], DrawingOptions]:
    """What the arguments ask for; nothing was sent that pays."""
    params, options = accept(raw, params_as_named(variant.params), DrawingOptions)
    if options.count > 1 and params.draws_the_same:
        raise Refused(*_SAME_PICTURES)
    target = target_of(caller.delivery, options.save_as)
    if caller.delivery.saves:
        folders = caller.delivery.picture_store.folders
        folders.require_usable(target, named=caller.delivery.is_local)
    provider = caller.sellers.of(variant.vendor.name)
    provider.require_key()
    sources = await check_sources(
        names_of(params), caller.orders, caller.delivery, caller.wait.report
    )
    stem, suffix = split_suffix(target or "")
    purchase = Purchase(
        variant=variant,
        settings=params.model_dump(exclude={SOURCES_FIELD}),
        output_resolution=params.resolution,
        came_at=caller.wait.came_at,
        count=options.count,
        sources=tuple(each.source for each in sources),
        save_as=None if target is None else stem,
        suffix=suffix,
        redrawn=None if options.redraw is MISSING else options.redraw,
        payer="" if variant.vendor is RUNAPI else provider.caller_id,
    )
    return purchase, sources, options


async def _order(caller: Caller, purchase: Purchase) -> Order:
    provider = caller.sellers.of(purchase.variant.vendor.name)
    priced = [(purchase.variant, purchase.output_resolution)]
    # A replay is not to wait for what has to be looked up.
    if not provider.has_prices(priced) and (earlier := await caller.orders.join(purchase)):
        return earlier
    await provider.check(purchase.variant, purchase.settings)
    (price,) = await provider.prices(priced)
    return await caller.orders.intend(replace(purchase, price=price), caller.yes)


async def _pay(
    caller: Caller, order: Order, sources: Sequence[CheckedSource]
) -> list[TrackedTask | Failure]:
    """What is known of each image that was ordered.

    Raises:
        OrderWithdrawn
        OrderGivenUp
    """
    if not order.is_ready:
        try:
            await _add_sources(caller, order, sources)
        except ProviderFailure as failure:
            raise (_unpaid(failure) if await caller.orders.withdraw(order) else failure) from None
        except BaseException:
            await caller.orders.withdraw(order)
            raise
    return await caller.orders.pay(order, caller.wait.left_to_pay())


async def _add_sources(caller: Caller, order: Order, sources: Sequence[CheckedSource]) -> None:
    provider = caller.sellers.of(order.purchase.variant.vendor.name)
    uploader = Uploader(provider, caller.orders.ledger, caller.delivery.picture_store)
    try:
        with anyio.fail_after(caller.wait.left_to_upload()):
            urls = await upload_sources(sources, uploader, caller.wait.report)
    except TimeoutError as error:
        raise Refused(*_TOO_SLOW) from error
    await caller.orders.add_sources(order, urls)


async def _result(
    caller: Caller,
    order: Order,
    paid: Sequence[TrackedTask | Failure],
    options: DrawingOptions,
) -> ToolResult:
    """What became of the images; one that came to nothing takes no other along.

    Raises:
        Failure: all came to nothing.
    """
    outcome = _outcome(order, paid, options)
    if not outcome.tasks:
        _raise(max(outcome.failures.values(), key=is_in_doubt), order.purchase.variant.vendor)
    wait_seconds = 0.0 if caller.as_task else options.or_else(caller.wait.default_seconds)
    follow_seconds = caller.wait.left_to_follow(wait_seconds)
    price = order.purchase.price
    return await present(caller, outcome, follow_seconds=follow_seconds, price=price)


def _outcome(
    order: Order, paid: Sequence[TrackedTask | Failure], options: DrawingOptions
) -> TaskOutcome:
    numbered = list(zip((entry.number for entry in order.entries), paid, strict=True))
    tasks = [each for each in paid if isinstance(each, TrackedTask)]
    return TaskOutcome(
        tasks=tuple(tasks),
        failures={number: each for number, each in numbered if isinstance(each, Failure)},
        siblings=tuple(tracked.task.id for tracked in tasks) if len(paid) > 1 else (),
        joined_at=order.joined_at,
        doubtful=order.purchase.in_place_of,
        preview_px=options.preview(),
    )


def _raise(failure: Failure, vendor: Vendor) -> NoReturn:
    """Say what a failed create left: nothing, or something that may have cost."""
    if not isinstance(failure, ProviderFailure):
        raise failure
    if failure.in_doubt:
        # Also for a caller who has left and hears no answer.
        logger.warning("a create ended in doubt; the same call settles it")
        happened = f"{failure.happened} {vendor.title} may or may not have charged this."
        raise ProviderFailure(happened, doubt_advice(vendor), failure.answer) from failure
    raise _unpaid(failure) from failure


def _unpaid(failure: ProviderFailure) -> ProviderFailure:
    return type(failure)(f"{failure.happened} Nothing was paid.", failure.advice, failure.answer)
