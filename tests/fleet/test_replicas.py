"""Three servers of one database: any version, in turn; who leaves or dies is missed by nobody."""

from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import anyio
import httpx
import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.balancers import Balancer, haproxy, nginx
from tests.support.fleet.replicas import DRAIN_SECONDS
from tests.support.fleet.site import FleetSite, fleet_site
from tests.support.fleet.wire import VERSIONS
from tests.support.processes import LIMIT_SECONDS, SIGNALS, SLOW, until

pytestmark = [pytest.mark.anyio, SIGNALS]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(fleet_database: SecretStr) -> AsyncGenerator[FleetSite]:
    async with fleet_site(fleet_database) as running:
        yield running


async def test_every_version_is_served_round_robin_without_an_error(there: FleetSite) -> None:
    async def converse(version: str) -> None:
        client = there.client(version, key=f"sandbox-of-{version}")
        await client.open()
        for number in range(8):
            assert (await client.ask("tools/list"))["tools"]
            drawn = await client.draw(f"a fox {number} [[poll-after 0.5s]]")
            assert drawn["structuredContent"]["status"] == "completed"

    async with anyio.create_task_group() as group:
        for version in VERSIONS:
            group.start_soon(converse, version)
    for version in VERSIONS:
        assert there.net.account(f"sandbox-of-{version}").spent_cents == 8 * 5


async def test_who_is_told_to_leave_answers_its_waits_and_goes(there: FleetSite) -> None:
    [first, *others] = there.fleet.replicas
    client, results = there.client("2026-07-28", first.url), list[dict[str, Any]]()

    async def wait(number: int) -> None:
        results.append(await client.draw(f"a fox {number} [[never]]", wait_seconds=300))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(wait, number)
        await until(lambda: len(there.net.account().tasks) == 20)
        first.tell_to_leave()
    facts = [result["structuredContent"] for result in results]
    assert {fact["task_id"] for fact in facts} == set(there.net.account().tasks)
    # It still serves: a balancer has yet to notice.
    ready = await there.http.get(f"{first.url}/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "leaving"})
    late = await client.draw("a late fox [[never]]", wait_seconds=300)
    assert late["structuredContent"]["task_id"] in there.net.account().tasks
    assert await first.ended() == 0
    assert (await there.http.get(f"{others[0].url}/readyz")).status_code == 200


async def test_what_pays_is_seen_through_before_it_goes(there: FleetSite) -> None:
    first, results = there.fleet.replicas[0], list[dict[str, Any]]()
    client = there.client("2025-06-18", first.url)

    async def draw() -> None:
        results.append(await client.draw("a fox [[slow 4s]]"))

    async with anyio.create_task_group() as group:
        group.start_soon(draw)
        await there.net.next_paid_request()
        assert await first.leave() == 0
    assert results[0]["structuredContent"]["task_id"] in there.net.account().tasks
    assert there.net.paid_requests() == 1


async def test_what_pays_for_a_caller_who_left_is_seen_through_as_well(there: FleetSite) -> None:
    [first, second, _] = there.fleet.replicas
    prompt = "a fox [[slow 4s]]"
    async with anyio.create_task_group() as group:
        group.start_soon(there.client("2026-07-28", first.url).draw, prompt)
        await there.net.next_paid_request()
        group.cancel_scope.cancel()
    assert await first.leave() == 0
    drawn = await there.client("2026-07-28", second.url).draw(prompt)
    assert drawn["structuredContent"]["task_id"] in there.net.account().tasks
    assert there.net.paid_requests() == 1


async def test_it_says_at_its_start_that_it_is_one_of_several_and_who_is_one_caller(
    there: FleetSite,
) -> None:
    first = there.fleet.replicas[0]
    await first.program.stderr.holding("A caller is a key")
    serves = f"runapi-mcp serves {first.url}/mcp (one of several, without SSE; other names: "
    one_caller = "A caller is a key: people behind one shared key are one caller, who see, join "
    assert first.program.stderr.seen == [
        f"{serves}--allow-host)",
        f"{one_caller}and spend together.",
    ]


async def test_leaving_ends_in_its_time_whatever_hangs(fleet_database: SecretStr) -> None:
    async with (
        fleet_site(fleet_database, "--drain-seconds", "3") as there,
        anyio.create_task_group() as group,
    ):
        first = there.fleet.replicas[0]
        began_at = anyio.current_time()

        async def draw() -> None:
            with pytest.raises(httpx.TransportError):
                await there.client("2025-06-18", first.url).draw(SLOW)

        group.start_soon(draw)
        await there.net.next_paid_request()
        assert await first.leave() == 0
        assert anyio.current_time() - began_at < LIMIT_SECONDS


async def test_a_second_signal_ends_it_at_once(fleet_database: SecretStr) -> None:
    async with fleet_site(fleet_database, "--drain-seconds", "3600") as there:
        first = there.fleet.replicas[0]
        first.tell_to_leave()
        await first.program.stderr.holding("leaving: ")
        assert await first.leave() == 0


@pytest.mark.parametrize("balancer", [haproxy, nginx])
async def test_a_rolling_restart_costs_no_caller_an_error(
    there: FleetSite, balancer: Balancer
) -> None:
    async with balancer(there.fleet.ports) as url:
        restarted = anyio.Event()
        outcomes: list[str] = []

        async def draw(number: int) -> None:
            # Each with a key of its own: the pace of one would be less than so many calls need.
            client = there.client(VERSIONS[number % len(VERSIONS)], url, key=f"sandbox-of-{number}")
            result = await client.draw(f"a fox {number} [[poll-after 0.5s]]")
            outcomes.append(result["structuredContent"]["status"])

        async def restart() -> None:
            for replica in there.fleet.replicas:
                await replica.leave()
                await replica.start()
            restarted.set()

        numbers = count()
        async with anyio.create_task_group() as group:
            group.start_soon(restart)
            while not restarted.is_set():
                group.start_soon(draw, next(numbers))
                await anyio.sleep(0.15)
        asked = next(numbers)
        assert len(outcomes) == asked > 3 * DRAIN_SECONDS
        spent = [there.net.account(f"sandbox-of-{number}").spent_cents for number in range(asked)]
        assert spent == [5] * asked
