"""The tool that tells what each account has, where more vendors than RunAPI sell."""

from typing import Annotated, Final

import anyio
from pydantic import MISSING, Field

from runapi_mcp.base.errors import Failure
from runapi_mcp.providers.port import Provider
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import LEFT_UNKNOWN, Cents, Facts, known, sandbox_notice
from runapi_mcp.tools.tool import Caller, RawArguments, Tool, ToolResult


class BalanceRow(Facts):
    """One account."""

    vendor: str
    balance_cents: Cents | MISSING = MISSING
    spent_today_cents: Cents | MISSING = MISSING
    error: str | MISSING = MISSING


class BalanceListFacts(Facts):
    balances: Annotated[list[BalanceRow], Field(description="Of each vendor with a key.")]
    left_today_cents: Cents | MISSING = MISSING
    next: str
    notice: str | MISSING = MISSING


async def _check_balances(caller: Caller, raw: RawArguments) -> ToolResult:
    accept(raw)
    sellers, rows = list(caller.sellers.paid), dict[str, BalanceRow]()
    if not sellers:
        caller.sellers.runapi.require_key()
    notices: list[str] = []

    async def ask(provider: Provider) -> None:
        title = provider.vendor.title
        try:
            balance = await provider.balance()
        except Failure as failure:
            # One that is down hides no other.
            rows[title] = BalanceRow(vendor=title, error=str(failure))
            return
        if balance.sandbox:
            notices.append(sandbox_notice(provider.vendor))
        rows[title] = BalanceRow(
            vendor=title,
            balance_cents=balance.balance_cents,
            spent_today_cents=known(balance.spent_today_cents),
        )

    async with anyio.create_task_group() as group:
        for provider in sellers:
            group.start_soon(ask, provider)
    left_cents = await caller.orders.remaining_cents()
    if caller.orders.has_budget and left_cents is None:
        notices.append(LEFT_UNKNOWN)
    facts = BalanceListFacts(
        balances=[rows[provider.vendor.title] for provider in sellers],
        left_today_cents=known(left_cents),
        next="check_pricing says what a call costs.",
        notice=" ".join(sorted(notices)) or MISSING,
    )
    return ToolResult(facts, failed=any(row.error is not MISSING for row in rows.values()))


CHECK_BALANCES: Final = Tool(
    name="check_balance",
    title="Flux 2: check the balances",
    description="See each account's credit and today's spending, when money may be short.",
    effect="reads",
    inputs=(),
    output=BalanceListFacts,
    run=_check_balances,
)
