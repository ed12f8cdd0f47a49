"""The spans of a call: what the SDK begins, this program goes on with."""

import pytest

from tests.support.processes import QUICK, SIGNALS, draw, host, network
from tests.support.traced_server import id_of, spans_of, trace_of, traced, url_of
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_call_has_the_spans_of_its_ledger_its_create_its_wait_and_its_fetch() -> None:
    async with network() as net, traced(net.environment()) as running:
        async with host(await url_of(running), "/mcp", "auto", KEY) as client:
            await draw(client, QUICK)
        spans = await spans_of(running)
    [call] = [span for span in spans if span["name"].startswith("tools/call")]
    children = [span for span in spans if span["parent_id"] == id_of(call)]
    names = {span["name"] for span in children}
    assert {"ledger read", "ledger intend", "runapi create", "wait", "fetch"} <= names
    assert {trace_of(span) for span in children} == {trace_of(call)}
    [wait] = [span for span in children if span["name"] == "wait"]
    assert any(span["name"] == "runapi read" and span["parent_id"] == id_of(wait) for span in spans)
    assert all(span["attributes"] == {} for span in children)
    assert KEY not in str(spans)
    assert QUICK not in str(spans)
