"""The tools that only read: a task, the balance."""

from typing import Final

from runapi_mcp.images.folders import name_of
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.purchase import SOURCES_FIELD
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.delivery import deliver
from runapi_mcp.tools.facts import BalanceFacts, TaskFacts, known, notice_of
from runapi_mcp.tools.inputs import ReadingOptions, TaskReference
from runapi_mcp.tools.result import RawArguments, TaskOutcome, ToolResult
from runapi_mcp.tools.task_outcomes import result_of
from runapi_mcp.tools.tool import Caller, Tool


async def _get_task(caller: Caller, raw: RawArguments) -> ToolResult:
    reference, options = accept(raw, TaskReference, ReadingOptions)
    orders, wait = caller.orders, caller.wait
    wait_seconds = options.or_else(wait.default_seconds)
    tracked = await orders.find(reference.task_id, wait_seconds)
    await orders.follow(tracked, wait.left_seconds(wait_seconds), wait.report)
    pictures = await deliver(
        tracked, caller.delivery, orders.ledger, wait.report, options.preview_px
    )
    outcome = TaskOutcome(tracked, pictures, arguments=_arguments_of(tracked.entry))
    return result_of(outcome, left_cents=await orders.remaining_cents())


def _arguments_of(entry: Entry | None) -> RawArguments | None:
    """What was asked for, in the caller's words; None where no prompt is kept."""
    if entry is None or "prompt" not in (entry.arguments or {}):
        return None
    arguments = dict(entry.arguments or {})
    if entry.sources:
        # Not the addresses they were uploaded to, which last for an hour.
        arguments[SOURCES_FIELD] = [
            source.get("path") or source.get("task_id") or source["url"] for source in entry.sources
        ]
    if entry.save_as is not None:
        arguments["save_as"] = name_of(entry.save_as)
    return arguments


async def _check_balance(caller: Caller, raw: RawArguments) -> ToolResult:
    accept(raw)
    balance = await caller.provider.balance()
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


GET_TASK: Final = Tool(
    name="get_task",
    title="Flux 2: get a task",
    description="Get an image still being drawn, or an earlier one, by its task_id. Costs nothing.",
    effect="reads",
    inputs=(TaskReference, ReadingOptions),
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
