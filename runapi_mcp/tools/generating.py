"""The tools that draw: one per variant. Arguments, price, one paid task, a wait, the facts."""

import logging
from functools import partial

import anyio
from pydantic import MISSING

from runapi_mcp.api.prices import Price
from runapi_mcp.catalog import Variant
from runapi_mcp.errors import RunapiFailure
from runapi_mcp.tasks.creation import create
from runapi_mcp.tasks.waiting import Watch, follow
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import TaskFacts
from runapi_mcp.tools.inputs import Waiting
from runapi_mcp.tools.task_outcomes import outcome_in_doubt, outcome_of
from runapi_mcp.tools.tool import Caller, Outcome, RawArguments, Tool

logger = logging.getLogger(__name__)


def generating_tool(variant: Variant) -> Tool:
    """The tool of one variant."""
    return Tool(
        name=variant.tool_name,
        title=variant.title,
        description=variant.purpose + (f" {variant.price_words}." if variant.price_words else ""),
        effect="pays",
        inputs=(variant.params, Waiting),
        output=TaskFacts,
        run=partial(_run, variant),
    )


async def _run(variant: Variant, caller: Caller, raw: RawArguments) -> Outcome:
    started = anyio.current_time()
    params, waiting = accept(raw, variant.params, Waiting)
    runapi = caller.runapi
    runapi.require_key()
    resolution = params.output_resolution
    price = await runapi.prices.price(variant, None if resolution is MISSING else resolution)
    try:
        task = await create(runapi, variant, params)
    except RunapiFailure as failure:
        return _not_made(failure, variant, price)
    watch = await follow(
        Watch(task),
        partial(runapi.tasks.read, task.id, repeated=False),
        # The host counts from the call, not from the task.
        waiting.wait_seconds - (anyio.current_time() - started),
        caller.report,
    )
    return outcome_of(watch, price)


def _not_made(failure: RunapiFailure, variant: Variant, price: Price) -> Outcome:
    """What a failed create leaves: a task it named all the same, or what it may have cost."""
    if failure.answer.task_id is not None:
        logger.warning("a failed answer named task %s; get_task finds it", failure.answer.task_id)
        return outcome_in_doubt(failure, failure.answer.task_id, variant, price)
    if failure.in_doubt:
        # Also for a caller who has left and hears no answer.
        logger.warning("a create ended in doubt; check_balance tells whether it was charged")
        failure.happened += " Whether RunAPI made and charged a task is not known."
        failure.advice = (
            "Compare check_balance before calling again: a second call may pay for a second image."
        )
    else:
        failure.happened += " Nothing was paid."
    raise failure
