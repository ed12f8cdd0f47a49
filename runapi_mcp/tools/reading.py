"""The tools that only read: a task, the balance."""

from functools import partial
from typing import Final

import anyio
from pydantic import MISSING

from runapi_mcp.api.account import Balance
from runapi_mcp.api.tasks import Task, Tasks
from runapi_mcp.errors import RunapiFailure
from runapi_mcp.tasks.waiting import Watch, follow
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import SANDBOX_NOTICE, BalanceFacts, TaskFacts
from runapi_mcp.tools.inputs import TaskReference, Waiting
from runapi_mcp.tools.task_outcomes import outcome_of
from runapi_mcp.tools.tool import Caller, Outcome, RawArguments, Tool


async def _get_task(caller: Caller, raw: RawArguments) -> Outcome:
    started = anyio.current_time()
    reference, waiting = accept(raw, TaskReference, Waiting)
    tasks = caller.runapi.tasks
    watch = await _first_look(tasks, reference.task_id, waiting.wait_seconds)
    await follow(
        watch,
        partial(tasks.read, reference.task_id, repeated=False),
        waiting.wait_seconds - (anyio.current_time() - started),
        caller.report,
    )
    return outcome_of(watch)


async def _first_look(tasks: Tasks, task_id: str, wait_seconds: int) -> Watch:
    """The task, or why it could not be read for now, if there is time to look again."""
    try:
        return Watch(await tasks.read(task_id))
    except RunapiFailure as failure:
        if not failure.retryable or wait_seconds == 0:
            raise
        return Watch(Task(task_id, "unknown"), failure)


async def _check_balance(caller: Caller, raw: RawArguments) -> Outcome:
    accept(raw)
    return Outcome(_balance_facts(await caller.runapi.account.balance()))


def _balance_facts(balance: Balance) -> BalanceFacts:
    return BalanceFacts(
        balance_cents=balance.balance_cents,
        paid_balance_cents=_known(balance.paid_balance_cents),
        bonus_balance_cents=_known(balance.bonus_balance_cents),
        spent_today_cents=_known(balance.spent_today_cents),
        spent_total_cents=_known(balance.spent_total_cents),
        next="check_pricing says what a call costs.",
        notice=SANDBOX_NOTICE if balance.sandbox else MISSING,
    )


def _known(cents: float | None) -> float | MISSING:
    return MISSING if cents is None else cents


GET_TASK: Final = Tool(
    name="get_task",
    title="Flux 2: get a task",
    description="Get an image still being drawn, or an earlier one, by its task_id. Costs nothing.",
    effect="reads",
    inputs=(TaskReference, Waiting),
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
