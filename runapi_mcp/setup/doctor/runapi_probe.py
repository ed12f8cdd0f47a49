"""RunAPI asked for what costs nothing: whether it answers, what time it has, who has which key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import anyio

from runapi_mcp.base.errors import Failure, Unreachable
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.providers.runapi.messages import Reply, Request

Answered = TypeVar("Answered")

ASK_SECONDS: Final = 8.0
_PRICES: Final = Request(
    "GET", "/api/v1/price_schedules", total_seconds=ASK_SECONDS, repeated=False
)


@dataclass(frozen=True, slots=True)
class RunapiAnswer:
    """How RunAPI answers at an address, and what it makes of a key."""

    unreached: Failure | None = None
    seconds: float = 0.0
    ahead_seconds: float | None = None
    """How far this machine's clock is ahead of RunAPI's; None where it told no time."""
    has_key: bool = False
    key_failure: Failure | None = None
    balance_cents: float = 0.0

    @property
    def accepts_key(self) -> bool:
        return self.has_key and self.key_failure is None


async def ask_runapi(base_url: str, key: str) -> RunapiAnswer:
    """Asks without a key, and, once that is answered, for the balance with it."""
    began = anyio.current_time()
    ahead = await _ask(base_url, lambda there: there.send_publicly(_PRICES, _ahead_seconds))
    if isinstance(ahead, Failure):
        return RunapiAnswer(unreached=ahead)
    answer = RunapiAnswer(seconds=anyio.current_time() - began, ahead_seconds=ahead)
    if not key:
        return answer
    own = Key(SecretStr(key))
    balance = await _ask(base_url, lambda there: there.provider(own).balance())
    if isinstance(balance, Failure):
        return replace(answer, has_key=True, key_failure=balance)
    return replace(answer, has_key=True, balance_cents=balance.balance_cents)


async def _ask(base_url: str, ask: Callable[[RunAPI], Awaitable[Answered]]) -> Answered | Failure:
    upstream = RunAPI(base_url)
    try:
        with anyio.fail_after(ASK_SECONDS + 1):
            return await ask(upstream)
    except Failure as failure:
        return failure
    except TimeoutError:
        return Unreachable(f"RunAPI did not answer at {base_url} in time.", "Check the network.")
    finally:
        await upstream.aclose()


def _ahead_seconds(reply: Reply) -> float | None:
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    return (datetime.now(UTC) - theirs).total_seconds()
