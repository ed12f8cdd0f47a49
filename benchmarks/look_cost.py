"""What a look costs, from the schedule to the ledger, beside a bare GET of the same answer.

In CPU time of the thread that does it, which other programs do not lengthen by being there.
"""

from collections.abc import Sequence
from contextlib import aclosing
from time import thread_time
from typing import Final

import anyio
import httpx
from callers import KEY_BEFORE

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.purchase import Purchase
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.providers.sellers import Sellers

TASKS: Final = 200
FOLLOWED_SECONDS: Final = 8.0
"""Around the time when a picture usually is there, so that looks are as dense as they get."""
_BEFORE_SECONDS: Final = 8.0
_AT_ONCE: Final = 10
_PATH: Final = "/api/v1/flux_2/text_to_image"


def look_costs(base_url: str) -> tuple[float, float]:
    """Milliseconds of a look, and of a bare GET."""
    return anyio.run(_measure, base_url)


async def _measure(base_url: str) -> tuple[float, float]:
    async with (
        aclosing(SqliteLedger.in_memory()) as ledger,
        aclosing(RunAPI(base_url)) as runapi,
        httpx.AsyncClient(base_url=base_url, trust_env=False) as http,
    ):
        shared = SharedState(ledger)
        followed = [await _order(shared, runapi, number) for number in range(TASKS)]
        await anyio.sleep(_BEFORE_SECONDS)
        looks_before, began = await _looks(http), thread_time()
        async with anyio.create_task_group() as group:
            for orders, tracked in followed:
                group.start_soon(orders.follow, tracked, FOLLOWED_SECONDS, _say_nothing)
        seconds = thread_time() - began
        looks = await _looks(http) - looks_before
        [tracked] = followed[0][1]
        return 1000 * seconds / looks, 1000 * await _bare_seconds(http, tracked.task.id, looks)


async def _order(
    shared: SharedState, runapi: RunAPI, number: int
) -> tuple[Orders, Sequence[TrackedTask]]:
    orders = Orders(
        shared, Sellers(runapi.provider(Key(SecretStr(f"{KEY_BEFORE}look-{number:06}"))))
    )
    settings = {"prompt": f"Fox {number:06} [[never]]"}
    purchase = Purchase(VARIANTS[0], settings, None, shared.ledger.now())
    order = await orders.intend(purchase, None)
    paid = await orders.pay(order, 30)
    return orders, [each for each in paid if isinstance(each, TrackedTask)]


async def _bare_seconds(http: httpx.AsyncClient, task_id: str, count: int) -> float:
    headers = {"Authorization": f"Bearer {KEY_BEFORE}look-{0:06}"}

    async def get(times: int) -> None:
        for _ in range(times):
            (await http.get(f"{_PATH}/{task_id}", headers=headers)).raise_for_status()

    began = thread_time()
    async with anyio.create_task_group() as group:
        for _ in range(_AT_ONCE):
            group.start_soon(get, count // _AT_ONCE)
    return (thread_time() - began) / (count // _AT_ONCE * _AT_ONCE)


async def _looks(http: httpx.AsyncClient) -> int:
    return (await http.get("/report")).json()["looks"]


async def _say_nothing(_: str) -> None:
    """Nobody is told."""
