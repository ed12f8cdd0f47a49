"""Doing the same again: which failures are worth it, and how long to pause between."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

import anyio

from runapi_mcp.base.errors import Conflict, ProviderFailure, RateLimited
from runapi_mcp.providers.runapi.messages import Meaning, Request

ATTEMPT_SECONDS = 20.0
LONGEST_TURN_SECONDS = 30.0
SHORTEST_ATTEMPT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.4
LONGEST_PAUSE_SECONDS = 5.0


async def retry(
    attempt: Callable[[float], Awaitable[Meaning]],
    request: Request,
    wait_turn: Callable[[], Awaitable[None]],
) -> Meaning:
    """The meaning of the first attempt that works; each is told how many seconds it has.

    Each attempt waits for its turn; time is counted from the first one's.

    An attempt that pays is seen through although the caller leaves, and so is a doubt: it is asked
    again until it is settled. A caller who leaves before RunAPI took anything pays nothing.

    Raises:
        ProviderFailure: the last failure, when it is final or the time is up.
    """
    await _wait_first_turn(wait_turn)
    deadline = anyio.current_time() + request.total_seconds
    in_doubt, task_id, pause = request.in_doubt, None, 0.0
    for number in count():
        try:
            with anyio.CancelScope(shield=request.pays):
                return await attempt(min(ATTEMPT_SECONDS, deadline - anyio.current_time()))
        except ProviderFailure as failure:
            # A later refusal does not undo what an earlier try may have done.
            failure.in_doubt = in_doubt = in_doubt or failure.in_doubt
            task_id = failure.answer.task_id or task_id
            failure.answer = replace(failure.answer, task_id=task_id)
            pause = _pause_seconds(failure, number)
            # After a doubt our key can only be in conflict with our own request, still under way.
            passing = failure.retryable or (in_doubt and isinstance(failure, Conflict))
            # An attempt without time to end would turn a clean refusal into a doubt.
            needed = pause + (0 if in_doubt else SHORTEST_ATTEMPT_SECONDS)
            if not (request.repeated and passing) or anyio.current_time() + needed >= deadline:
                raise
        with anyio.CancelScope(shield=request.pays and in_doubt):
            await anyio.sleep(pause)
            await wait_turn()
    raise AssertionError("count() does not end")


async def _wait_first_turn(wait_turn: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(LONGEST_TURN_SECONDS) as limit:
        await wait_turn()
    if limit.cancelled_caught:
        raise RateLimited(
            "Too many requests of this key wait for their turn.", "Wait a minute, then call again."
        )


def _pause_seconds(failure: ProviderFailure, number: int) -> float:
    longest = min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS)
    # Jitter, so that servers that failed together do not return together.
    pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
    return max(pause, failure.answer.retry_after_seconds or 0.0)
