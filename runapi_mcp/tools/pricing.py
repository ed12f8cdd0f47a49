"""The tools that tell of money: what a call costs, and what the account has."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from pydantic import MISSING

from runapi_mcp.base.catalog import VARIANTS, Variant, by_model
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.base.errors import Refused
from runapi_mcp.providers.port import PricedCall
from runapi_mcp.providers.sellers import Sellers
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import (
    BalanceFacts,
    PriceListFacts,
    PriceRow,
    known,
    notice_of,
    price_basis,
)
from runapi_mcp.tools.inputs import PriceQuestion
from runapi_mcp.tools.tool import Caller, RawArguments, Tool, ToolResult

_NEXT = "Each price is for one call, which draws one image; failed images are not charged."


def balance_tool(variants: Sequence[Variant]) -> Tool:
    """Tells of the one account; of several, where more than RunAPI is offered."""
    if all(variant.vendor is RUNAPI for variant in variants):
        return CHECK_BALANCE
    # Imported here: most servers have one vendor.
    from runapi_mcp.tools.balances import CHECK_BALANCES

    return CHECK_BALANCES


def pricing_tool(variants: Sequence[Variant]) -> Tool:
    question = _question_of(variants)
    return Tool(
        name="check_pricing",
        title="Flux 2: check prices",
        description="See what a call costs, before drawing. Needs no key and costs nothing.",
        effect="reads",
        inputs=(question,),
        output=PriceListFacts,
        run=partial(_check_pricing, variants, question),
    )


def _question_of(variants: Sequence[Variant]) -> type[PriceQuestion]:
    if not any("image_size" in variant.field_names for variant in variants):
        return PriceQuestion
    # Imported here: most servers sell by the picture.
    from runapi_mcp.tools.sized_question import SizedPriceQuestion

    return SizedPriceQuestion


async def _check_pricing(
    offered: Sequence[Variant], asks: type[PriceQuestion], caller: Caller, raw: RawArguments
) -> ToolResult:
    sold = tuple(dict.fromkeys([*VARIANTS, *offered]))
    (question,) = accept(raw, asks, context=sold)
    asked = None if question.model is MISSING else by_model(question.model, sold)
    open_to = [each for each in offered if caller.sellers.sells(each.vendor.name)]
    calls = list(_calls(question, [asked] if asked else open_to))
    if not calls:
        raise Refused(
            f"{question.model} does not draw at {question.output_resolution}.",
            "Leave output_resolution out to see what it draws.",
        )
    found = await _prices_of(caller.sellers, calls)
    left_cents = await caller.orders.remaining_cents()
    facts = PriceListFacts(
        prices=[_row(*call, price) for call, price in zip(calls, found, strict=True)],
        max_cost_per_call_cents=known(caller.orders.limits.per_call_cents),
        left_today_cents=known(left_cents),
        next=_NEXT,
        notice=notice_of(
            sandbox=any(price.source == "sandbox" for price in found),
            left_is_unknown=caller.orders.has_budget and left_cents is None,
        ),
    )
    return ToolResult(facts)


async def _prices_of(sellers: Sellers, calls: Sequence[PricedCall]) -> Sequence[Price]:
    """The price of each call, asked where it is sold."""
    found: dict[PricedCall, Price] = {}
    for name in dict.fromkeys(variant.vendor.name for variant, _ in calls):
        own = [call for call in calls if call[0].vendor.name == name]
        found.update(zip(own, await sellers.of(name).prices(own), strict=True))
    return [found[call] for call in calls]


def _calls(
    question: PriceQuestion, variants: Sequence[Variant]
) -> Iterator[tuple[Variant, str | None]]:
    for variant in variants:
        for resolution in variant.resolutions or (_unlisted(question, variant),):
            if question.output_resolution in (MISSING, resolution):
                yield variant, resolution


def _unlisted(question: PriceQuestion, variant: Variant) -> str | None:
    return question.resolution if "image_size" in variant.field_names else None


def _row(variant: Variant, output_resolution: str | None, price: Price) -> PriceRow:
    listed = output_resolution if variant.resolutions else None
    basis = price_basis(price, variant.vendor)
    if output_resolution is not None and listed is None:
        basis += f", for an image of {output_resolution.removesuffix('mp')} MP"
    return PriceRow(
        model=variant.model,
        output_resolution=MISSING if listed is None else listed,
        price_cents=known(price.cents),
        price_basis=basis,
    )


async def _check_balance(caller: Caller, raw: RawArguments) -> ToolResult:
    accept(raw)
    balance = await caller.sellers.runapi.balance()
    left_cents = await caller.orders.remaining_cents()
    facts = BalanceFacts(
        balance_cents=balance.balance_cents,
        paid_balance_cents=known(balance.paid_balance_cents),
        bonus_balance_cents=known(balance.bonus_balance_cents),
        spent_today_cents=known(balance.spent_today_cents),
        spent_total_cents=known(balance.spent_total_cents),
        left_today_cents=known(left_cents),
        next="check_pricing says what a call costs.",
        notice=notice_of(
            sandbox=balance.sandbox, left_is_unknown=caller.orders.has_budget and left_cents is None
        ),
    )
    return ToolResult(facts)


CHECK_BALANCE: Final = Tool(
    name="check_balance",
    title="Flux 2: check the balance",
    description="See the RunAPI account's credit and today's spending, when money may be short.",
    effect="reads",
    inputs=(),
    output=BalanceFacts,
    run=_check_balance,
)
