"""The trace of a call that moves from one server to another is one, as its client began it."""

from collections.abc import Sequence

import httpx
import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.fleet.site import fleet_environment
from tests.support.fleet.wire import WireClient
from tests.support.processes import DRAW, LIMIT_SECONDS, QUICK, SIGNALS, Program, network
from tests.support.traced_server import Span, spans_of, trace_of, traced, url_of
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS]

TRACE, CLIENTS_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
DRAIN = ("--drain-seconds", "2")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_a_call_begun_at_one_server_and_ended_at_others_is_one_trace(
    fleet_database: SecretStr, version: str
) -> None:
    async with network() as net, httpx.AsyncClient(timeout=LIMIT_SECONDS) as http:
        environment = fleet_environment(net, fleet_database)
        async with traced(environment, *DRAIN) as first, traced(environment, *DRAIN) as second:
            urls = iter([await url_of(first), await url_of(second), await url_of(second)])
            client = WireClient(http, urls, version, KEY)
            client.trace_parent = f"00-{TRACE}-{CLIENTS_SPAN}-01"
            begun = await client.draw(QUICK, wait_seconds=0)
            ended = await client.draw(QUICK)
            task_id = ended["structuredContent"]["task_id"]
            known = await client.call("get_task", {"task_id": task_id})
            at_first, at_second = await of_trace(first), await of_trace(second)
        assert begun["structuredContent"]["task_id"] == task_id
        assert known["structuredContent"]["status"] == "completed"
        assert net.account().spent_cents == 5
    assert below(CLIENTS_SPAN, at_first) == [f"tools/call {DRAW}"]
    assert below(CLIENTS_SPAN, at_second) == [f"tools/call {DRAW}", "tools/call get_task"]
    assert asked(at_first) == {"runapi prices", "runapi create"}
    assert asked(at_second) == {"runapi read"}


async def of_trace(running: Program) -> Sequence[Span]:
    """What a server tells of the client's trace, in the end."""
    return [span for span in await spans_of(running) if trace_of(span) == f"0x{TRACE}"]


def below(parent: str, spans: Sequence[Span]) -> Sequence[str]:
    return sorted(span["name"] for span in spans if span["parent_id"] == f"0x{parent}")


def asked(spans: Sequence[Span]) -> set[str]:
    """What RunAPI was asked in them."""
    return {span["name"] for span in spans if span["name"].startswith("runapi ")}
