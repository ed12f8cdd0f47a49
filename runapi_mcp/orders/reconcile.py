"""Calls of which nobody knows whether RunAPI made a task: asked again under their own keys."""

import logging
from dataclasses import replace
from typing import Final

import anyio

from runapi_mcp.base.catalog import by_model
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import NotAllowed, ProviderFailure
from runapi_mcp.orders.creation import Payment
from runapi_mcp.orders.ledger import Entry, Ledger, read_or_none, write_or_log
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.providers.port import Provider

logger = logging.getLogger(__name__)

RECONCILE_SECONDS: Final = 8.0
"""How long a call waits for the doubts of earlier ones to be settled."""
AGAIN_SECONDS: Final = 60.0
MOST_AT_ONCE: Final = 5


async def reconcile(shared: SharedState, provider: Provider) -> None:
    """Settle what an earlier process, or a call that gave up, left in doubt for this caller."""
    if not shared.begin_reconciling(provider.caller_id, AGAIN_SECONDS):
        return
    doubts = await read_or_none(shared.ledger.doubts(provider.caller_id, MOST_AT_ONCE))
    async with anyio.create_task_group() as group:
        for entry in doubts or ():
            group.start_soon(_settle, shared, provider, entry)


async def _settle(shared: SharedState, provider: Provider, entry: Entry) -> None:
    ledger = shared.ledger
    if not entry.ready:
        # Its local images never reached RunAPI, so nothing was sent.
        await write_or_log(ledger.withdraw(entry))
        return
    variant, body = by_model(entry.model, shared.variants), entry.arguments or {}
    if variant is None or "prompt" not in body:
        return
    if not await _may_still_pay(ledger, shared.limits, entry):
        logger.warning("an earlier call is still in doubt, and over the limits that are set now")
        return
    # Not held meanwhile: the same call may go on with it, since the key is the same.
    payment = Payment(provider, ledger, entry, variant, body, in_doubt=True)
    try:
        await payment.create(RECONCILE_SECONDS)
    except ProviderFailure as failure:
        logger.warning("an earlier call is still in doubt. %s", failure)


async def _may_still_pay(ledger: Ledger, limits: Limits, entry: Entry) -> bool:
    """Whether the limits allow what was begun when they may have been others."""
    spending = await read_or_none(ledger.spending(entry.caller))
    if spending is None:
        return False
    others = replace(spending, reserved_cents=spending.reserved_cents - (entry.price_cents or 0))
    try:
        limits.check(Price(entry.price_cents, "snapshot"), others)
    except NotAllowed:
        return False
    return True
