"""The tools that only read: a task, the balance."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from pydantic import MISSING

from runapi_mcp.base.catalog.money import Balance
from runapi_mcp.images.folders import name_of
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.delivery import pictures_of
from runapi_mcp.tools.facts import BalanceFacts, TaskFacts, known
from runapi_mcp.tools.inputs import Looking, TaskReference
from runapi_mcp.tools.notices import notice
from runapi_mcp.tools.sources import FIELD
from runapi_mcp.tools.task_outcomes import outcome_of
from runapi_mcp.tools.tool import Caller, Outcome, RawArguments, Tool


async def _get_task(caller: Caller, raw: RawArguments) -> Outcome:
    reference, looking = accept(raw, TaskReference, Looking)
    wait_seconds = looking.or_else(caller.wait_seconds)
    watch = await caller.orders.found(reference.task_id, wait_seconds)
    await caller.orders.follow(watch, caller.left_seconds(wait_seconds), caller.report)
    pictures = await pictures_of(caller, watch, looking.preview_px)
    outcome = outcome_of(watch, pictures, left_cents=await caller.orders.left_cents())
    return replace(outcome, asked=_asked(watch.entry))


def _asked(entry: Entry | None) -> RawArguments | None:
    """What was asked for, in the caller's words; None where no prompt is kept."""
    if entry is None or "prompt" not in (entry.arguments or {}):
        return None
    arguments = dict(entry.arguments or {})
    if entry.sources:
        # Not the addresses they were uploaded to, which last for an hour.
        arguments[FIELD] = [_said(source) for source in entry.sources]
    if entry.save_as is not None:
        arguments["save_as"] = name_of(entry.save_as)
    return arguments


def _said(source: Mapping[str, str]) -> str:
    return source.get("path") or source.get("task_id") or source["url"]


async def _check_balance(caller: Caller, raw: RawArguments) -> Outcome:
    accept(raw)
    balance = await caller.runapi.balance()
    left_cents = await caller.orders.left_cents()
    said = notice(caller, left_cents, sandbox=balance.sandbox)
    return Outcome(_balance_facts(balance, left_cents, said))


def _balance_facts(balance: Balance, left_cents: float | None, said: str | MISSING) -> BalanceFacts:
    return BalanceFacts(
        balance_cents=balance.balance_cents,
        paid_balance_cents=known(balance.paid_balance_cents),
        bonus_balance_cents=known(balance.bonus_balance_cents),
        spent_today_cents=known(balance.spent_today_cents),
        spent_total_cents=known(balance.spent_total_cents),
        left_today_cents=known(left_cents),
        next="check_pricing says what a call costs.",
        notice=said,
    )


GET_TASK: Final = Tool(
    name="get_task",
    title="Flux 2: get a task",
    description="Get an image still being drawn, or an earlier one, by its task_id. Costs nothing.",
    effect="reads",
    inputs=(TaskReference, Looking),
    output=TaskFacts,
    run=_get_task,
)

CHECK_BALANCE: Final = Tool(
    name="check_balance",
    title="Flux 2: check the balance",
    description="See the RunAPI account's credit and what was spent today.",
    effect="reads",
    inputs=(),
    output=BalanceFacts,
    run=_check_balance,
)
