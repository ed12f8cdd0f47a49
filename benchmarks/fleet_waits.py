"""How soon after its end a picture is answered by servers that share a database, at how many looks.

5,000 calls come to three servers in turn within a minute, each with a key of its own, and wait for
pictures whose ends are spread over five minutes. Previews and saving are off; the sandbox is a
process of its own and calls back to the first server alone. With callbacks, 99 of 100 answers are
to be there half a second after the end, at 1.3 looks a picture at most; without them, and where
they are sent and never arrive, all are to be delivered all the same. Before that each server draws
ten pictures, by which callbacks prove to come: until then none is relied on.

`--tenth` is a tenth of the calls in a tenth of the time, as CI runs it. Needs PostgreSQL.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import monotonic
from typing import Final, Literal, cast, get_args
from urllib.request import urlopen

import anyio
from callers import Answer, Prompts, http_callers
from figures import Limits
from host import clean_environ
from strangers import cpu_seconds

from runapi_mcp.cli.fleet_database import prepare
from tests.support.fleet.postgres_server import NOT_RUN, find_binaries, running_server
from tests.support.fleet.reserved_port import reserved_port

Callbacks = Literal["arrive", "are lost", "are off"]

CALLS: Final = 5_000
SERVERS: Final = 3
COME_WITHIN_SECONDS: Final = 60.0
SHORTEST_SECONDS: Final = 5.0
LAST_END_SECONDS: Final = 300.0
CLIENT_SECONDS: Final = 330.0
MOST_LAG_SECONDS: Final = 0.5
MOST_LOOKS: Final = 1.3
WARM_UP_CALLS: Final = 10
_FILES: Final = 20_000
_SANDBOX: Final = str(Path(__file__).parent / "far_sandbox.py")
SETTINGS: Final[Mapping[str, str]] = {
    "RUNAPI_SAVE": "off",
    "RUNAPI_PREVIEW": "off",
    "RUNAPI_HTTP_CONNECTIONS_PER_ADDRESS": "4000",
    "RUNAPI_FLEET_SECRET": "the-secret-of-the-benchmark",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the calls."""

    callbacks: Callbacks
    calls: int
    answers: Sequence[Answer]
    looks: int
    ends: Mapping[str, float]
    server_share: float
    """Of a CPU, that a server took."""

    @property
    def lags(self) -> list[float]:
        return [
            answer.at - self.ends[answer.task_id]
            for answer in self.answers
            if answer.task_id is not None and answer.task_id in self.ends
        ]

    def cells(self) -> Sequence[str]:
        lags = self.lags
        return [
            self.callbacks,
            f"{len(lags):,} of {self.calls:,}",
            f"{median(lags):.2f}",
            f"{quantiles(lags, n=100)[98]:.2f}",
            f"{max(lags):.2f}",
            f"{self.looks / self.calls:.2f}",
            f"{100 * self.server_share:.0f}",
        ]


_COLUMNS: Final = ("callbacks", "delivered", "lag p50", "lag p99", "most", "looks each", "CPU %")


async def main(callbacks: Sequence[Callbacks], share: float, *, lenient: bool) -> int:
    """1 where a limit is broken; where that is `lenient`, only where a picture did not come."""
    limits, lost = Limits(), Limits()
    print("".join(f"{cell:>16}" for cell in _COLUMNS))
    for each in callbacks:
        seen = await _waits(each, share)
        print("".join(f"{cell:>16}" for cell in seen.cells()), flush=True)
        for words in {answer.words for answer in seen.answers if answer.words}:
            print(f"        not delivered: {words}", file=sys.stderr)
            break
        lost.count(f"{each}: not delivered", seen.calls - len(seen.lags), 0)
        if each == "arrive":
            p99 = quantiles(seen.lags, n=100)[98]
            limits.number("s from the end to the answer, p99", p99, MOST_LAG_SECONDS)
            limits.number("looks a picture", seen.looks / seen.calls, MOST_LOOKS)
    return lost.exit_status if lenient else max(lost.exit_status, limits.exit_status)


async def _waits(callbacks: Callbacks, share: float) -> Seen:
    calls = int(CALLS * share)
    come_within, last = COME_WITHIN_SECONDS * share, LAST_END_SECONDS * share
    longest = last - come_within

    def seconds(number: int) -> float:
        return SHORTEST_SECONDS + (longest - SHORTEST_SECONDS) * (number * 0.618034 % 1)

    answers: list[Answer] = []
    async with running_sandbox() as base_url, _servers(base_url, callbacks) as servers:
        asks = [http_callers(f"{url}/mcp", Prompts(seconds)) for url in servers.urls]

        async def one(number: int) -> None:
            await anyio.sleep(come_within * number / calls)
            answer = Answer(monotonic(), None, "no answer in time")
            with anyio.move_on_after(CLIENT_SECONDS):
                answer = await asks[number % SERVERS](number)
            answers.append(answer)

        await _warm_up(servers)
        looks_before = cast("int", (await report_of(base_url))["looks"])
        began, cpu_before = monotonic(), servers.cpu_seconds()
        async with anyio.create_task_group() as group:
            for number in range(calls):
                group.start_soon(one, number)
        cpu = servers.cpu_seconds() - cpu_before
        report = await report_of(base_url)
        seen = cast("Mapping[str, tuple[float, float]]", report["seen"])
        return Seen(
            callbacks=callbacks,
            calls=calls,
            answers=answers,
            looks=cast("int", report["looks"]) - looks_before,
            ends={task_id: end for task_id, (end, _) in seen.items()},
            server_share=cpu / SERVERS / (monotonic() - began),
        )


async def _warm_up(servers: "Servers") -> None:
    asks = [http_callers(f"{url}/mcp", Prompts(lambda _: 1.0)) for url in servers.urls]

    async def draw(number: int) -> None:
        await asks[number % SERVERS](CALLS + number)

    async with anyio.create_task_group() as group:
        for number in range(SERVERS * WARM_UP_CALLS):
            group.start_soon(draw, number)


@dataclass(frozen=True, slots=True)
class Servers:
    urls: Sequence[str]
    process_ids: Sequence[int]

    def cpu_seconds(self) -> float:
        return sum(map(cpu_seconds, self.process_ids))


@asynccontextmanager
async def _servers(base_url: str, callbacks: Callbacks) -> AsyncGenerator[Servers]:
    with ExitStack() as held, clean_environ() as environ, running_server() as postgres:
        ports = [held.enter_context(reserved_port()) for _ in range(SERVERS)]
        nowhere = held.enter_context(reserved_port())
        database = postgres.url(postgres.create_database())
        await prepare(database)
        public = {"arrive": ports[0], "are lost": nowhere}.get(callbacks)
        environ |= {
            **SETTINGS,
            "RUNAPI_BASE_URL": base_url,
            "RUNAPI_DATABASE_URL": database.get_secret_value(),
            **({"RUNAPI_PUBLIC_URL": f"http://127.0.0.1:{public}"} if public else {}),
        }
        async with AsyncExitStack() as stack:
            process_ids = [await _start(environ, port, stack) for port in ports]
            yield Servers([f"http://127.0.0.1:{port}" for port in ports], process_ids)


async def _start(environ: Mapping[str, str], port: int, stack: AsyncExitStack) -> int:
    """The process of a server that answers, and is killed with the stack."""
    command = [sys.executable, "-m", "runapi_mcp", "serve", "--http", "--port", str(port)]
    process = await stack.enter_async_context(await anyio.open_process(command, env=environ))
    stack.callback(process.kill)
    assert process.stderr  # noqa: S101 - it is a pipe
    await process.stderr.receive()
    return process.pid


@asynccontextmanager
async def running_sandbox() -> AsyncGenerator[str]:
    # It would tell of each callback that nobody takes.
    command = [sys.executable, _SANDBOX]
    async with await anyio.open_process(command, stderr=subprocess.DEVNULL) as process:
        assert process.stdout  # noqa: S101 - it is a pipe
        yield (await process.stdout.receive()).decode().strip()
        process.kill()


async def report_of(base_url: str) -> Mapping[str, object]:
    def read() -> Mapping[str, object]:
        with urlopen(f"{base_url}/report") as answer:  # noqa: S310 - on this machine
            return json.load(answer)

    return await anyio.to_thread.run_sync(read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tenth", action="store_true", help="a tenth of all, as CI")
    parser.add_argument("--only", choices=get_args(Callbacks))
    asked = parser.parse_args()
    if find_binaries() is None:
        print(NOT_RUN)
        sys.exit(0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most_files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, hard))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    which = [asked.only] if asked.only else get_args(Callbacks)
    share = 0.1 if asked.tenth else 1.0
    sys.exit(anyio.run(partial(main, which, share, lenient=asked.tenth)))
