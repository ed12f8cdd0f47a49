"""Requests that were never answered: asked about again under their own keys, unbidden."""

import logging
from dataclasses import replace
from typing import Final

from runapi_mcp.base.catalog import by_model
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import Failure, NotAllowed
from runapi_mcp.orders.ledger import Entry, Ledger, read_or_none
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.payment import Payment
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.single_send import Look
from runapi_mcp.providers.port import Provider
from runapi_mcp.providers.sellers import Sellers

logger = logging.getLogger(__name__)

RECONCILE_SECONDS: Final = 20.0
"""How long one doubt is asked about."""
AGAIN_SECONDS: Final = 60.0
MOST_AT_A_TIME: Final = 20


def reconcile_soon(shared: SharedState, sellers: Sellers) -> None:
    """Settle in the background what an earlier process, or a torn connection, left in doubt."""
    if sellers.has_key and shared.begin_reconciling(sellers.caller_id, AGAIN_SECONDS):
        shared.background.start(lambda: _reconcile(shared, sellers))


async def _reconcile(shared: SharedState, sellers: Sellers) -> None:
    for entry in await read_or_none(shared.ledger.doubts(sellers.caller_id, MOST_AT_A_TIME)) or ():
        try:
            await _settle(shared, sellers.of(entry.vendor), entry)
        except (Failure, TimeoutError) as failure:
            logger.warning("an earlier call is still in doubt. %s", failure)


async def _settle(shared: SharedState, provider: Provider, entry: Entry) -> None:
    if provider.find is not None:
        # It is looked for, and costs nothing.
        look = Look(provider.find, shared.ledger, entry)
        await shared.payments.wait(entry.key, look.settle, RECONCILE_SECONDS)
        return
    variant = by_model(entry.model, shared.variants)
    if variant is None or entry.request is None or not provider.has_key:
        return
    if not await _may_still_pay(shared.ledger, shared.limits, entry):
        logger.warning("an earlier call is still in doubt, and over the limits that are set now")
        return
    payment = Payment(provider, shared.ledger, shared.limits, entry, variant, entry.request)
    await shared.payments.wait(
        entry.key, lambda: payment.pay(RECONCILE_SECONDS), 2 * RECONCILE_SECONDS
    )


async def _may_still_pay(ledger: Ledger, limits: Limits, entry: Entry) -> bool:
    """Whether the limits allow what was begun when they may have been others."""
    spending = await read_or_none(ledger.spending(entry.caller))
    if spending is None:
        return False
    own_cents = (entry.price_cents or 0) if entry.is_reserved(ledger.now()) else 0
    others = replace(spending, reserved_cents=spending.reserved_cents - own_cents)
    try:
        limits.check(Price(entry.price_cents, "snapshot"), others)
    except NotAllowed:
        return False
    return True
