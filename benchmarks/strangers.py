"""What an honest caller over HTTP feels of strangers, and what they leave in the server's memory.

The honest caller has a key and asks for the list of tools and for prices, one after the other, from
an address of its own. Beside it a process attacks from another address, by 32 callers that do not
pause. Its 99th percentile under each attack is compared with what it was just before, because the
machine is noisy; what the attack costs the server's process, the honest caller still aside, stands
beside it. Then sessions and requests come and go, and the resident set must stay.

Needs Linux: all of 127.0.0.0/8 is this machine there, and memory is read from /proc.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final

import anyio
import httpx
from attacks import ACCEPT, ATTACKS, asking, opening
from figures import Limits
from host import RUNAPI_MCP, clean_environ
from loopback import KEY, loopback

MOST_TIMES: Final = 2.0
MOST_GROWN_MB: Final = 8.0
_ASKED: Final = 100
_SETTLE_SECONDS: Final = 2.5
"""In it the attack begins, and has its burst."""
_REQUESTS: Final = 2_000
_SESSIONS: Final = 200
_ATTACKS_PY: Final = str(Path(__file__).with_name("attacks.py"))


@asynccontextmanager
async def serving() -> AsyncGenerator[tuple[httpx.AsyncClient, int]]:
    """A server, the honest caller's way to it, and its process."""
    async with loopback() as runapi:
        with clean_environ() as environ:
            environ["RUNAPI_BASE_URL"] = runapi.base_url
            command = [*RUNAPI_MCP, "serve", "--http", "--port", "0"]
            process = await anyio.open_process(command, env=environ, stdout=None)
            async with process:
                assert process.stderr  # noqa: S101 - it is a pipe
                said = (await process.stderr.receive()).decode()
                url = next(word for word in said.split() if word.endswith("/mcp"))
                async with httpx.AsyncClient(
                    base_url=url.removesuffix("/mcp"), timeout=120, trust_env=False
                ) as http:
                    yield http, process.pid
                process.kill()


@contextmanager
def under(name: str, url: str) -> Generator[None]:
    command = [sys.executable, _ATTACKS_PY, name, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout  # noqa: S101 - it is a pipe
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def times_ms(http: httpx.AsyncClient, number: int) -> Sequence[float]:
    times: list[float] = []
    for at in range(number):
        began = perf_counter()
        if at % 2:
            await asking(http, "tools/list", KEY)
        else:
            await asking(http, "tools/call", KEY, name="check_pricing", arguments={})
        times.append((perf_counter() - began) * 1000)
        await anyio.sleep(0.004)
    return times


def p99(times: Sequence[float]) -> float:
    return quantiles(times, n=100)[98]


async def feel(http: httpx.AsyncClient, pid: int, limits: Limits, rounds: int) -> None:
    print(f"{'ms, 99th percentile':<30}{'quiet':>9}{'attacked':>9}{'medians':>18}{'CPU, %':>8}")
    for name in ATTACKS:
        quiet: list[float] = []
        attacked: list[float] = []
        busy_seconds = 0.0
        for _ in range(rounds):
            quiet += await times_ms(http, _ASKED)
            with under(name, str(http.base_url)):
                before = cpu_seconds(pid)
                await anyio.sleep(_SETTLE_SECONDS)
                busy_seconds += cpu_seconds(pid) - before
                attacked += await times_ms(http, _ASKED)
        medians = f"{median(quiet):.1f}, {median(attacked):.1f}"
        busy = 100 * busy_seconds / _SETTLE_SECONDS / rounds
        print(f"{name:<30}{p99(quiet):>9.1f}{p99(attacked):>9.1f}{medians:>18}{busy:>8.0f}")
        limits.number(f"{name}, times its quiet value", p99(attacked) / p99(quiet), MOST_TIMES)


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().split()[13:15]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2]
    return int(status.split()[0]) / 1024


async def come_and_go(http: httpx.AsyncClient, requests: int, sessions: int) -> None:
    headers = {
        "Content-Type": "application/json",
        "Accept": ACCEPT,
        "Authorization": f"Bearer {KEY}",
    }
    for _ in range(sessions):
        opened = await http.post("/mcp", headers=headers, content=opening())
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        await http.delete("/mcp", headers={**headers, **session})
    for _ in range(requests):
        await asking(http, "tools/list", KEY)


async def main(rounds: int, *, with_attacks: bool) -> int:
    limits = Limits()
    async with serving() as (http, pid):
        await times_ms(http, _ASKED)
        if with_attacks:
            await feel(http, pid, limits, rounds)
        # What the attacks left, and what the first requests grow for good, is there by then.
        await come_and_go(http, _REQUESTS // 2, _SESSIONS // 2)
        before = resident_mb(pid)
        await come_and_go(http, _REQUESTS * rounds, _SESSIONS * rounds)
        print(f"{_REQUESTS * rounds:,} requests, {_SESSIONS * rounds:,} sessions: {before:.0f} MB")
        limits.number("MB more after them", resident_mb(pid) - before, MOST_GROWN_MB)
    return limits.exit_status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1, help="10 for 20,000 requests")
    parser.add_argument("--memory", action="store_true", help="measure memory alone")
    asked = parser.parse_args()
    sys.exit(anyio.run(partial(main, asked.rounds, with_attacks=not asked.memory)))
