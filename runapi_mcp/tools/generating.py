"""The tools that draw: one per variant. Arguments, price, one paid task, a wait, the facts."""

from functools import partial

import anyio
from pydantic import MISSING

from runapi_mcp.catalog import Params, Variant
from runapi_mcp.errors import Failure, RunapiFailure
from runapi_mcp.tasks.creation import create
from runapi_mcp.tasks.waiting import follow
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import TaskFacts
from runapi_mcp.tools.inputs import Waiting
from runapi_mcp.tools.task_outcomes import outcome_in_doubt, outcome_of
from runapi_mcp.tools.tool import Caller, Outcome, RawArguments, Tool


def generating_tool(variant: Variant) -> Tool:
    """The tool of one variant."""
    return Tool(
        name=variant.tool_name,
        title=variant.title,
        description=variant.purpose + _snapshot_prices(variant),
        effect="pays",
        inputs=(variant.params, Waiting),
        output=TaskFacts,
        run=partial(_run, variant),
    )


async def _run(variant: Variant, caller: Caller, raw: RawArguments) -> Outcome:
    params, waiting = accept(raw, variant.params, Waiting)
    caller.runapi.require_key()
    try:
        return await _draw(variant, params, waiting.wait_seconds, caller)
    except RunapiFailure as failure:
        if failure.answer.task_id is not None:
            return outcome_in_doubt(failure, failure.answer.task_id)
        raise _with_the_money(failure) from failure


async def _draw(variant: Variant, params: Params, wait_seconds: int, caller: Caller) -> Outcome:
    started = anyio.current_time()
    runapi = caller.runapi
    resolution = params.output_resolution
    price = await runapi.prices.price(variant, None if resolution is MISSING else resolution)
    task = await create(runapi, variant, params)
    watch = await follow(
        task,
        lambda: runapi.tasks.read(task.id, retry_seconds=0),
        # The host counts from the call, not from the task.
        wait_seconds - (anyio.current_time() - started),
        caller.report,
    )
    return outcome_of(watch, price)


def _snapshot_prices(variant: Variant) -> str:
    cents = {name: variant.snapshot.cents(name) for name in ("1k", "2k")}
    known = [f"{name} ${value / 100:.2f}" for name, value in cents.items() if value is not None]
    return f" {', '.join(known)}." if known else ""


def _with_the_money(failure: RunapiFailure) -> Failure:
    """The failure of a create, and what it may have cost."""
    if not failure.in_doubt:
        return Failure(f"{failure.happened} Nothing was paid.", failure.advice + failure.reference)
    return Failure(
        f"{failure.happened} Whether RunAPI made and charged a task is not known.",
        "Compare check_balance before calling again: a second call may pay for a second image."
        + failure.reference,
    )
