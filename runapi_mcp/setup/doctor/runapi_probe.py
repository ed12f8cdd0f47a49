"""RunAPI asked for what costs nothing: whether it answers, what time it has, who has which key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import anyio
from pydantic import SecretStr

from runapi_mcp.base.errors import Failure, Unreachable
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.providers.runapi.messages import Reply, Request

Meaning = TypeVar("Meaning")

ASK_SECONDS: Final = 8.0
_PRICES: Final = Request(
    "GET", "/api/v1/price_schedules", total_seconds=ASK_SECONDS, repeated=False
)


@dataclass(frozen=True, slots=True)
class Reached:
    """How RunAPI answers at an address."""

    failure: Failure | None = None
    seconds: float = 0.0
    ahead_seconds: float | None = None
    """How far this machine's clock is ahead of RunAPI's; None where it told no time."""


@dataclass(frozen=True, slots=True)
class LetIn:
    """What RunAPI makes of a key."""

    failure: Failure | None = None
    balance_cents: float = 0.0
    sandbox: bool = False


async def reached(base_url: str) -> Reached:
    """Whether RunAPI answers there, asked without a key."""
    began = anyio.current_time()
    ahead = await _answer(base_url, lambda there: there.send_publicly(_PRICES, _ahead_seconds))
    if isinstance(ahead, Failure):
        return Reached(ahead)
    return Reached(None, anyio.current_time() - began, ahead)


async def let_in(base_url: str, key: str) -> LetIn:
    """Whether RunAPI takes the key, and what is on the account."""
    own = Key(SecretStr(key))
    balance = await _answer(base_url, lambda there: there.provider(own).balance())
    if isinstance(balance, Failure):
        return LetIn(balance)
    return LetIn(None, balance.balance_cents, balance.sandbox)


async def _answer(base_url: str, ask: Callable[[RunAPI], Awaitable[Meaning]]) -> Meaning | Failure:
    """What RunAPI answers there, or why it does not."""
    upstream = RunAPI(base_url)
    try:
        with anyio.fail_after(ASK_SECONDS + 1):
            return await ask(upstream)
    except Failure as failure:
        return failure
    except TimeoutError:
        return _late(base_url)
    finally:
        await upstream.aclose()


def _ahead_seconds(reply: Reply) -> float | None:
    try:
        theirs = parsedate_to_datetime(reply.headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    return (datetime.now(UTC) - theirs).total_seconds()


def _late(base_url: str) -> Unreachable:
    return Unreachable(f"RunAPI did not answer at {base_url} in time.", "Check the network.")
