"""Three servers of one database: in any version, restarted in turn, and killed again and again.

- `versions`: 500 calls of five versions, each request to another server: no protocol error.
- `restart`: 20 calls a second through HAProxy while all three are told to leave and started again,
  one after the other: no client sees an error, and each call is charged once.
- `soak`: 5,000 calls, some at a time, while a server or the database is killed every few seconds;
  whoever gets no picture makes the same call again, at the next server. Every call has its picture,
  and what the sandbox has charged is what is completed in the ledger, once it was told by get_task
  what it could not be told while it was down.
- `waits`: fleet_waits.py; `outages`: fleet_outages.py; `dying`: fleet_deaths.py.

`--tenth` is a tenth of each number, as CI runs it, in some minutes. Previews and saving are off.
Needs PostgreSQL, and HAProxy for `restart`; says NOT RUN where one is missing. From the root of the
repository: `PYTHONPATH=. python benchmarks/fleet.py`.
"""

import argparse
import os
import random
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from time import monotonic
from typing import Final

import anyio
import fleet_waits
from figures import Limits
from fleet_deaths import dying
from fleet_outages import outages
from fleet_site import SHORT_DRAIN_SECONDS, Site, site

from tests.support.fleet.balancers import haproxy
from tests.support.fleet.postgres_server import NOT_RUN, find_binaries
from tests.support.fleet.wire import VERSIONS, WireClient

CENTS: Final = 5
CONVERSATION_CALLS: Final = 100
CALLS_A_SECOND: Final = 20.0
DRAIN_SECONDS: Final = 60
SOAK_CALLS: Final = 5_000
AT_ONCE: Final = 40
KILL_EVERY_SECONDS: Final = 5.0
MOST_TRIES: Final = 40
_SEED: Final = 15
_FILES: Final = 20_000


async def versions(limits: Limits, share: float) -> None:
    calls = round(CONVERSATION_CALLS * share)
    async with site() as there:
        drawn: list[str | None] = []

        async def converse(number: int) -> None:
            client = there.client(number)
            await client.open()
            for call in range(calls):
                await client.ask("tools/list")
                drawn.append(await there.draw(client, f"a fox {call} [[takes 0.5s]]"))

        async with anyio.create_task_group() as group:
            for number in range(len(VERSIONS)):
                group.start_soon(converse, number)
        print(f"{len(drawn)} calls of {len(VERSIONS)} versions, each request to the next server")
        there.print_failures()
        limits.count("versions: protocol errors", there.failures.total(), 0)
        limits.count("versions: not drawn", drawn.count(None), 0)


async def restart(limits: Limits, share: float) -> None:
    if shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") is None:
        print("NOT RUN restart: haproxy is not installed (apt-get install haproxy)")
        return
    drain_seconds = DRAIN_SECONDS if share == 1 else SHORT_DRAIN_SECONDS
    async with site(drain_seconds) as there, haproxy(there.fleet.ports) as url:
        restarted, drawn = anyio.Event(), list[int]()

        async def restart_all() -> None:
            for replica in there.fleet.replicas:
                await replica.leave()
                await replica.start()
            restarted.set()

        async def draw(number: int) -> None:
            client = there.client(number, url)
            prompt = "a fox [[takes 2s]]"
            # Told the id of its task by servers that leave, it is drawn all the same.
            for _ in range(MOST_TRIES):
                if await there.draw(client, prompt):
                    drawn.append(number)
                    return
                await anyio.sleep(1)

        began, due_at = monotonic(), anyio.current_time()
        numbers = count()
        async with anyio.create_task_group() as group:
            group.start_soon(restart_all)
            while not restarted.is_set():
                group.start_soon(draw, number := next(numbers))
                # What the loop is late by, the next ones catch up.
                await anyio.sleep_until(due_at + number / (CALLS_A_SECOND * share))
        asked, seconds = next(numbers), monotonic() - began
        print(f"{asked} calls in {seconds:.0f} s, {asked / seconds:.1f} a second, three restarts")
        there.print_failures()
        limits.count("restart: client errors", there.failures.total(), 0)
        limits.count("restart: not drawn", asked - len(drawn), 0)
        charged_twice = await there.spent_cents() // CENTS - asked
        limits.count("restart: charges too many", charged_twice, 0)


async def soak(limits: Limits, share: float) -> None:
    calls = round(SOAK_CALLS * share)
    async with site() as there:
        room, tries, killed = anyio.Semaphore(AT_ONCE), list[int](), Counter[str]()
        drawn: dict[str, WireClient] = {}

        async def draw(number: int) -> None:
            client = there.client(number)
            async with room:
                for tried in range(1, MOST_TRIES + 1):
                    if task_id := await there.draw(client, "a fox [[takes 1s]]"):
                        tries.append(tried)
                        drawn[task_id] = client
                        return
                    # What is down is up again in a moment.
                    await anyio.sleep(min(0.2 * tried, 2.0))

        began = monotonic()
        async with anyio.create_task_group() as killing:
            killing.start_soon(_kill_now_and_then, there, killed)
            async with anyio.create_task_group() as group:
                for number in range(calls):
                    group.start_soon(draw, number)
            killing.cancel_scope.cancel()
        of_what = ", ".join(f"{times} times {what}" for what, times in sorted(killed.items()))
        print(f"{calls} calls in {monotonic() - began:.0f} s; killed: {of_what or 'nothing'}")
        again, most = sum(tries) - len(tries), max(tries, default=0)
        print(f"        {again} times a call was made again, one of them {most - 1} times")
        limits.count("soak: not delivered", calls - len(tries), 0)
        charges = await there.spent_cents() // CENTS
        limits.count("soak: charges too many or too few", abs(charges - calls), 0)
        untold = there.pictures(are_completed=False)
        print(f"        {len(untold)} ends could not be written when they were seen")
        for task_id in untold:
            await drawn[task_id].call("get_task", {"task_id": task_id})
        completed = len(there.pictures(are_completed=True))
        limits.count("soak: charges that the ledger lacks", abs(charges - completed), 0)


async def _kill_now_and_then(there: Site, killed: Counter[str]) -> None:
    chance = random.Random(_SEED)  # noqa: S311 - the same each time
    while True:
        await anyio.sleep(KILL_EVERY_SECONDS * chance.uniform(0.5, 1.5))
        with anyio.CancelScope(shield=True):
            if chance.random() < 0.25:
                killed["the database"] += 1
                await anyio.to_thread.run_sync(there.postgres.kill)
                await anyio.to_thread.run_sync(there.postgres.start)
            else:
                killed["a server"] += 1
                replica = chance.choice(there.fleet.replicas)
                await replica.kill()
                await replica.start()


async def waits(limits: Limits, share: float) -> None:
    # CI runs a tenth, on machines that are busy: how soon is printed there, and no more.
    if await fleet_waits.main(["arrive", "are off"], share, lenient=share < 1):
        limits.broken.append("waits")


STORIES: Final[Mapping[str, Callable[[Limits, float], Awaitable[None]]]] = {
    "versions": versions,
    "restart": restart,
    "soak": soak,
    "waits": waits,
    "outages": outages,
    "dying": dying,
}


async def main(names: list[str], share: float) -> int:
    limits = Limits()
    for name in names:
        print(f"{name}:", flush=True)
        await STORIES[name](limits, share)
    return limits.exit_status


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tenth", action="store_true", help="a tenth of all, as CI")
    parser.add_argument("--only", choices=STORIES, action="append")
    given = parser.parse_args()
    if find_binaries() is None:
        print(NOT_RUN)
        sys.exit(0)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most_files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, hard))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    sys.exit(anyio.run(partial(main, given.only or [*STORIES], 0.1 if given.tenth else 1.0)))
