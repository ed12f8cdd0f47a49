"""What several operations do within a transaction, under the lock of the caller."""

from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.orders.ledger.entry import DOUBT_SECONDS, Entry, Spending, Use
from runapi_mcp.orders.ledger.port import AllowAgain, Call
from runapi_mcp.orders.ledger.postgres import statements
from runapi_mcp.orders.ledger.postgres.ledger_database import LedgerTransaction
from runapi_mcp.orders.ledger.rules import (
    HANDOVER_SECONDS,
    NEVER_SENT_SECONDS,
    first_to_join,
    is_from_later,
    is_used,
)


async def lock_for(wanted: Entry, transaction: LedgerTransaction) -> None:
    """The lock that an intent needs: nobody else writes what it may join, or pay beside it."""
    if wanted.vendor != RUNAPI.name:
        await transaction.rows(statements.LOCK_ELSEWHERE, statements.to_row(wanted))
    await transaction.lock(wanted.caller)


async def find_joinable(
    wanted: Entry, use: Use, came_at: float, now: float, transaction: LedgerTransaction
) -> list[Entry] | None:
    # Elsewhere the fingerprint tells who pays, whoever calls.
    sql = statements.ALIKE if wanted.vendor == RUNAPI.name else statements.ALIKE_ELSEWHERE
    values = {
        "caller": wanted.caller,
        "vendor": wanted.vendor,
        "fingerprint": wanted.fingerprint,
        "came_at": came_at,
        "now": now,
        "handed_over_since": came_at - HANDOVER_SECONDS,
    }
    return first_to_join(await transaction.entries(sql, values), use, came_at)


async def settle_calls_used(
    caller: str, use: Use, now: float, transaction: LedgerTransaction
) -> None:
    for call_id in sorted(await _calls_used(caller, use, now, transaction) if use else ()):
        await transaction.run(statements.SETTLE, {"call_id": call_id, "now": now})


async def withdraw_unsent(caller: str, now: float, transaction: LedgerTransaction) -> None:
    """Let nothing come of what nobody is about to send any more."""
    values = {"caller": caller, "before": now - NEVER_SENT_SECONDS}
    for row in await transaction.rows(statements.NEVER_SENT, values):
        for sql in (statements.WITHDRAW, statements.SETTLE_IF_NOTHING_COMES):
            await transaction.run(sql, {"call_id": row["call_id"], "now": now})


async def correct_handover(call: Call, now: float, transaction: LedgerTransaction) -> None:
    """A hand-over dated in the future counts as just now."""
    if call and is_from_later(call, now):
        values = {"call_id": call[0].call_id, "now": now}
        await transaction.run(statements.HAND_OVER_NOW, values)


async def reserve_anew(
    entry: Entry,
    allow: AllowAgain,
    day_since: float,
    now: float,
    transaction: LedgerTransaction,
) -> None:
    """Set aside what the entry's call costs, where it lapsed.

    Raises:
        Whatever `allow` does.
    """
    values = {"call_id": entry.call_id, "now": now, "reserved_since": now - DOUBT_SECONDS}
    call = await transaction.entries(statements.BY_CALL, values)
    lapsed = [each for each in call if not each.is_reserved(now)]
    allow(lapsed, await money_of(lapsed[0].caller, day_since, now, transaction))
    await transaction.run(statements.RESERVE_AGAIN, values)


async def money_of(
    caller: str, day_since: float, now: float, transaction: LedgerTransaction
) -> Spending:
    values = {"caller": caller, "since": day_since, "reserved_since": now - DOUBT_SECONDS}
    return statements.to_spending(await transaction.first(statements.SPENDING, values))


async def let_lapse(caller: str, now: float, transaction: LedgerTransaction) -> None:
    """Set nothing aside any more for what was in doubt for so long."""
    values = {"caller": caller, "reserved_since": now - DOUBT_SECONDS}
    await transaction.run(statements.LET_LAPSE, values)


async def _calls_used(
    caller: str, use: Use, now: float, transaction: LedgerTransaction
) -> set[str]:
    found = {
        row["call_id"]
        for task_id in filter(None, (use.redrawn, *use.task_ids))
        for row in await transaction.rows(
            statements.BY_TASK, {"caller": caller, "task_id": task_id}
        )
    }
    if use.given_up is not None:
        found.add(use.given_up)
    if use.paths or use.urls:
        values = {"caller": caller, "handed_over_since": now - HANDOVER_SECONDS}
        unsettled = await transaction.entries(statements.UNSETTLED, values)
        found |= {each.call_id for each in unsettled if is_used(each, use)}
    return found
