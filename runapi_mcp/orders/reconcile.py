"""Calls of which nobody knows whether RunAPI made a task: asked again under their own keys."""

import logging
from dataclasses import replace
from typing import Final

import anyio

from runapi_mcp.base.catalog import by_model
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import NotAllowed, ProviderFailure
from runapi_mcp.orders.creation import Payment
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.shared_state import Desk, if_usable, noted
from runapi_mcp.providers.port import Provider

logger = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 8.0
"""How long a call waits for the doubts of earlier ones to be settled."""
AGAIN_SECONDS: Final = 60.0
MOST_AT_ONCE: Final = 5


async def settle_doubts(desk: Desk, runapi: Provider) -> None:
    """Settle what an earlier process, or a call that gave up, left in doubt for this caller."""
    if not desk.may_settle(runapi.caller_id, AGAIN_SECONDS):
        return
    doubts = await if_usable(desk.ledger.doubts(runapi.caller_id, MOST_AT_ONCE))
    async with anyio.create_task_group() as group:
        for entry in doubts or ():
            group.start_soon(_settle, desk, runapi, entry)


async def _may_still_pay(desk: Desk, runapi: Provider, entry: Entry) -> bool:
    """Whether the limits allow what was begun when they may have been others."""
    spending = await if_usable(desk.ledger.spending(runapi.caller_id))
    if spending is None:
        return False
    others = replace(spending, reserved_cents=spending.reserved_cents - (entry.price_cents or 0))
    try:
        desk.limits.check(Price(entry.price_cents, "snapshot"), others)
    except NotAllowed:
        return False
    return True


async def _settle(desk: Desk, runapi: Provider, entry: Entry) -> None:
    if not entry.ready:
        # Its local images never reached RunAPI, so nothing was sent.
        await noted(desk.ledger.withdraw(entry))
        return
    variant = by_model(entry.model, desk.variants)
    if variant is None or "prompt" not in (entry.arguments or {}):
        return
    if not await _may_still_pay(desk, runapi, entry):
        logger.warning("an earlier call is still in doubt, and over the limits that are set now")
        return
    # Not held meanwhile: the same call may go on with it, since the key is the same.
    payment = Payment(desk, runapi, entry, variant, entry.arguments or {}, in_doubt=True)
    try:
        await payment.made(SETTLE_SECONDS)
    except ProviderFailure as failure:
        logger.warning("an earlier call is still in doubt. %s", failure)
