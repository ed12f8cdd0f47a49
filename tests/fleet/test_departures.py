"""Who leaves is heard of through each balancer, and no picture is sold twice for it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.balancers import Balancer, direct, haproxy, nginx
from tests.support.fleet.site import FleetSite, fleet_site
from tests.support.fleet.wire import WireClient
from tests.support.processes import LIMIT_SECONDS, SIGNALS, until

pytestmark = [pytest.mark.anyio, SIGNALS]


@asynccontextmanager
async def haproxy_that_tells(ports: Sequence[int]) -> AsyncGenerator[str]:
    async with haproxy(ports, "option abortonclose") as url:
        yield url


WAYS: dict[str, Balancer] = {
    "direct": direct,
    "HAProxy": haproxy,
    "HAProxy with abortonclose": haproxy_that_tells,
    "nginx": nginx,
}
CLIENTS = [*product(("2025-06-18", "2026-07-28"), (False, True))]
"""Of each era, with and without a wish for progress."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("way", WAYS)
async def test_who_leaves_and_comes_back_gets_the_picture_and_pays_once(
    fleet_database: SecretStr, way: str
) -> None:
    async with fleet_site(fleet_database) as there, WAYS[way](there.fleet.ports) as url:
        for left, (version, wants_progress) in enumerate(CLIENTS, 1):
            client = there.client(version, url)
            client.wants_progress = wants_progress
            # It is asked for every second, and done when its caller has long left.
            prompt = f"fox {left} [[takes 5s]] [[poll-after 1s]]"
            await _leave_with_the_task(there, client, prompt, left)
            await until(lambda left=left: there.farewells() == left)
            [row] = (await _tasks(client))[:1]
            assert not row["delivered"]
            with anyio.fail_after(LIMIT_SECONDS):
                drawn = (await client.draw(prompt))["structuredContent"]
            assert (drawn["status"], drawn["task_id"]) == ("completed", row["task_id"])
        assert there.net.account().spent_cents == 5 * len(CLIENTS)
        assert there.net.paid_requests() == len(CLIENTS)


async def _leave_with_the_task(
    there: FleetSite, client: WireClient, prompt: str, tasks: int
) -> None:
    """A call whose caller leaves as soon as RunAPI has made so many tasks."""
    async with anyio.create_task_group() as group:
        group.start_soon(client.draw, prompt)
        await until(lambda: len(there.net.account().tasks) == tasks)
        group.cancel_scope.cancel()


async def _tasks(client: WireClient) -> list[dict[str, Any]]:
    return (await client.call("list_tasks", {}))["structuredContent"]["tasks"]
