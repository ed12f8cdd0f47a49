"""Old calls leave the database once two servers, or one twice, agree that they are old."""

import logging
import math

from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.orders.ledger.postgres import statements
from runapi_mcp.orders.ledger.postgres.ledger_database import LedgerDatabase, LedgerTransaction
from runapi_mcp.orders.ledger.rules import APART_SECONDS, forget_before

logger = logging.getLogger(__name__)


class Retention:
    def __init__(self, database: LedgerDatabase, keep_seconds: float) -> None:
        self._database = database
        self._keep_seconds = keep_seconds
        self._next_at = -math.inf

    async def tidy(self, now: float) -> None:
        """Now and then, what is old leaves. A failure waits for the next time."""
        if now < self._next_at:
            return
        self._next_at = now + APART_SECONDS
        try:
            await self._forget(now)
        except LedgerUnusable as failure:
            logger.warning("%s", failure)

    async def _forget(self, now: float) -> None:
        async def agree(transaction: LedgerTransaction) -> float | None:
            return await _agree(now, now - self._keep_seconds, transaction)

        before = await self._database.repeat(agree)
        if before is None or math.isinf(before):
            return
        for caller in await self._database.repeat(lambda asked: _callers(before, asked)):
            await self._forget_of(caller, before)

    async def _forget_of(self, caller: str, before: float) -> None:
        async def lock(transaction: LedgerTransaction) -> None:
            await transaction.lock(caller)

        async def forget(transaction: LedgerTransaction) -> None:
            for sql in (statements.FORGET, statements.FORGET_DAYS):
                await transaction.run(sql, {"caller": caller, "before": before})

        await self._database.write(lock, forget, forget, durable=False)


async def _agree(now: float, before: float, transaction: LedgerTransaction) -> float | None:
    await transaction.run(statements.LOCK_FORGETTING, {})
    await transaction.run(statements.FORGET_UPLOADS, {"now": now})
    await transaction.run(statements.FORGET_COMMITS, {"before": now - APART_SECONDS})
    found = await transaction.rows(statements.PROPOSED, {})
    agreed = forget_before([(row["before"], row["proposed_at"]) for row in found], before, now)
    if agreed is not None:
        await transaction.run(statements.WITHDRAW_PROPOSAL, {})
        await transaction.run(statements.PROPOSE, {"before": before, "proposed_at": now})
    return agreed


async def _callers(before: float, transaction: LedgerTransaction) -> list[str]:
    rows = await transaction.rows(statements.CALLERS_WITH_OLD, {"before": before})
    return [row["caller"] for row in rows]
