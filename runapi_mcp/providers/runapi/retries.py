"""Doing the same again: which failures are worth it, and how long to pause between."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

import anyio

from runapi_mcp.base.errors import Conflict, ProviderFailure, RateLimited
from runapi_mcp.providers.failure_cases import is_answered, leaves_doubt
from runapi_mcp.providers.http_client import ATTEMPT_SECONDS
from runapi_mcp.providers.rate_limit import wait_first_turn
from runapi_mcp.providers.runapi.messages import Meaning, Request

SHORTEST_ATTEMPT_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.4
LONGEST_PAUSE_SECONDS = 5.0

GiveBack = Callable[[], None]
"""Ends a turn."""


@dataclass(slots=True)
class _Tries:
    """What the attempts so far leave open: a later refusal does not undo an earlier one's doubt."""

    request: Request
    in_doubt: bool
    answered: bool = True
    task_id: str | None = None

    def mark(self, failure: ProviderFailure) -> ProviderFailure:
        """The failure of one more attempt, with what is known from all of them."""
        if self.request.pays and leaves_doubt(failure):
            self.in_doubt = True
            self.answered &= is_answered(failure)
        self.task_id = failure.answer.task_id or self.task_id
        failure.in_doubt, failure.answered = self.in_doubt, self.answered
        failure.answer = failure.answer._replace(task_id=self.task_id)
        return failure

    def are_worth_another(self, failure: ProviderFailure) -> bool:
        # A conflict may be with our own request, still under way.
        passing = failure.retryable or (self.request.pays and isinstance(failure, Conflict))
        return self.request.repeated and passing


async def retry(
    attempt: Callable[[float], Awaitable[Meaning]],
    request: Request,
    take_turn: Callable[[], Awaitable[GiveBack]],
) -> Meaning:
    """The meaning of the first attempt that works; each is told how many seconds it has.

    Each attempt waits for its turn, and gives it back; time is counted from the first one's.

    An attempt that pays is seen through although the caller leaves, and so is a doubt: it is asked
    again until it is settled. A caller who leaves before RunAPI took anything pays nothing.

    Raises:
        ProviderFailure: the last failure, when it is final or the time is up.
    """
    tries = _Tries(request, request.in_doubt)
    try:
        give_back = await wait_first_turn(take_turn)
    except RateLimited as failure:
        # Nothing was sent, now.
        failure.in_doubt = tries.in_doubt
        raise
    deadline = anyio.current_time() + request.total_seconds
    for number in count():
        try:
            end = await _try_once(attempt, request, deadline)
        finally:
            give_back()
        if not isinstance(end, ProviderFailure):
            return end
        failed = tries.mark(end)
        pause = _pause_seconds(failed, number)
        # An attempt without time to end would turn a clean refusal into a doubt.
        needed = pause + (0 if tries.in_doubt else SHORTEST_ATTEMPT_SECONDS)
        if not tries.are_worth_another(failed) or anyio.current_time() + needed >= deadline:
            raise failed
        shield = request.pays and tries.in_doubt
        with anyio.CancelScope(deadline=deadline, shield=shield) as waiting:
            await anyio.sleep(pause)
            give_back = await take_turn()
        if waiting.cancelled_caught:
            raise failed
    raise AssertionError("count() does not end")


async def _try_once(
    attempt: Callable[[float], Awaitable[Meaning]], request: Request, deadline: float
) -> Meaning | ProviderFailure:
    """What comes of an attempt; what is raised before it is no failure of it, and goes on."""
    with anyio.CancelScope(shield=request.pays):
        if request.before_send is not None:
            await request.before_send()
        try:
            return await attempt(min(ATTEMPT_SECONDS, deadline - anyio.current_time()))
        except ProviderFailure as failure:
            return failure
    raise AssertionError("nothing cancels this scope")


def _pause_seconds(failure: ProviderFailure, number: int) -> float:
    longest = min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS)
    # Jitter, so that servers that failed together do not return together.
    pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
    return max(pause, failure.answer.retry_after_seconds or 0.0)
