"""What it costs to be looked on: nothing where nobody does, little where Prometheus does.

In CPU time of the thread that does it, which other programs do not lengthen by being there. Calls
are paid ones, from an MCP client to a picture that is drawn at once, all in this process; those of
a server that nobody looks at and of one with `--metrics` take turns.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from statistics import median
from time import perf_counter, thread_time
from typing import Final

import anyio
import httpx
from callers import KEY_BEFORE
from figures import Ratio
from mcp import Client

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.base.stages import stage
from runapi_mcp.cli.watching import MetricsAddress, Watch
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.server import Keys, Service, create_server

ROUNDS: Final = 80
STAGES_OF_A_CALL: Final = 3
_TIMES: Final = 100_000
_PAUSE_SECONDS: Final = 0.1
"""So many paying requests of a key are let out in a second."""
_ADDRESS: Final = "http://127.0.0.1"


async def main() -> None:
    async with _client(Watch()) as alone, _client(Watch(MetricsAddress("127.0.0.1", 0))) as watched:
        plain, looked_on = list[float](), list[float]()
        for number in range(ROUNDS):
            plain.append(await _call_ms(alone, number))
            looked_on.append(await _call_ms(watched, number))
    nothing_us = 1e6 * _seconds_of_stages() / _TIMES
    call_ms = median(plain)
    share = STAGES_OF_A_CALL * nothing_us / (10 * call_ms)
    print(f"a paid call, CPU:                  {call_ms:.2f} ms")
    print(f"nobody looks on, {STAGES_OF_A_CALL} x {nothing_us:.2f} us:     {share:.4f} % of it")
    ratio = Ratio(looked_on, plain)
    print(f"with --metrics, over without:      {ratio.of_medians:.3f} ({ratio.spread})")


@asynccontextmanager
async def _client(watch: Watch) -> AsyncGenerator[Client]:
    wire = httpx.ASGITransport(app=Sandbox(draw_seconds=0).app)
    ledger = SqliteLedger.in_memory()
    async with aclosing(ledger), aclosing(RunAPI(_ADDRESS, wire)) as upstream:
        shared = SharedState(watch.ledger(ledger))
        keys = Keys(Key(SecretStr(f"{KEY_BEFORE}watched")))
        store = PictureStore(_ADDRESS, Folders(), wire)
        seller = watch.upstream(upstream)
        service = Service(seller, shared, keys, store, saves=False, previews=False)
        server = create_server(service, VARIANTS)
        watch.server(server, [])
        async with (
            watch.running(shared.ledger),
            shared.background.running(),
            Client(server) as client,
        ):
            yield client


async def _call_ms(client: Client, number: int) -> float:
    await anyio.sleep(_PAUSE_SECONDS)
    arguments = {"prompt": f"a fox, number {number}", "wait_seconds": 30}
    began = thread_time()
    result = await client.call_tool("flux_2_pro_text_to_image", arguments)
    milliseconds = 1000 * (thread_time() - began)
    if result.is_error:
        raise SystemExit(f"no picture: {result.content}")
    return milliseconds


def _seconds_of_stages() -> float:
    began = perf_counter()
    for _ in range(_TIMES):
        with stage("wait"):
            pass
    return perf_counter() - began


if __name__ == "__main__":
    anyio.run(main)
