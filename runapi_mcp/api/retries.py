"""Doing the same again: which failures are worth it, and how long to pause between."""

import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import anyio

from runapi_mcp.errors import RunapiFailure

FIRST_PAUSE_SECONDS = 0.4
LONGEST_PAUSE_SECONDS = 5.0

Result = TypeVar("Result")


async def retrying(attempt: Callable[[], Awaitable[Result]], within_seconds: float) -> Result:
    """The result of the first attempt that works; no attempt starts after `within_seconds`.

    Raises:
        RunapiFailure: the last failure, when it is final or the time is up.
    """
    deadline = anyio.current_time() + within_seconds
    in_doubt = False
    for number in count():
        try:
            return await attempt()
        except RunapiFailure as failure:
            # A later refusal does not undo what an earlier try may have done.
            failure.in_doubt = in_doubt = in_doubt or failure.in_doubt
            pause = _pause_seconds(failure, number)
            if not failure.retryable or anyio.current_time() + pause > deadline:
                raise
        await anyio.sleep(pause)
    raise AssertionError("count() does not end")


def _pause_seconds(failure: RunapiFailure, number: int) -> float:
    if (wanted := failure.answer.retry_after_seconds) is not None:
        return max(wanted, 0.1)
    longest = min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS)
    # Jitter, so that servers that failed together do not return together.
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
