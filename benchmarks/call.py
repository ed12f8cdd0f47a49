"""What our server adds to a call.

From memory: check_pricing for one model, answered from the price list that an earlier call fetched,
against a bare low-level server's trivial tool (bare_lowlevel.py). Each server is a process of its
own and is asked over its pipes with raw JSON lines, as a host asks it: an in-process client would
spend more on its own side than either server does, and so draw any ratio towards 1.

Create: a paid call with `wait_seconds: 0` over the same pipes, against an httpx.AsyncClient that
posts the same body to the same server, with a key and an Idempotency-Key as ours has them, over a
connection kept open, as ours is. RunAPI is the sandbox in a process of its own, with pictures
ready at once. Its accounts hold credit for 200 of these images, so both sides change to new keys
together: ours by a new server process, whose first calls (which fetch prices and connect) are not
measured, as the other's first posts are not. Each call asks for another picture, because the same
one would be continued and not paid; and before each there is a pause, because our server lets no
more than twelve paying requests of a key out in a second, which is not what is measured here.

Ledger: the same create by a server with its ledger on the disk against one without. Beside them one
row is committed by a bare SQLite as the ledger commits, in the same folder: a create waits for two
such flushes, before its request goes out and before its answer does. That is what it promises and
not what it computes, so the ratio is also printed without them.

All take turns in blocks, and who begins a round alternates.
"""

import argparse
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Final
from uuid import uuid4

import anyio
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from figures import Limits, Milliseconds, Ratio, at_least_two, print_times
from host import ERAS, RUNAPI_MCP, Era, Host, Json, clean_environ

MOST_FROM_MEMORY: Final = 1.3
MOST_CREATE: Final = 2.2
MOST_LEDGER_MS: Final = 5.0
FLUSHES: Final = 2
"""That a create waits for: the note of its send, and the task's id."""
CREATE_PAUSE_SECONDS: Final = 0.1

CALLS_A_BLOCK: Final = 10
BLOCKS_A_KEY: Final = 15
"""150 images at 5 cents and the warm-ups, of an account's 1000 cents."""
WARM_UPS: Final = 10

DELAYED_MS: Final = 30.0
"""Linux holds acknowledgements back for 40 ms. A sandbox that waited for them would add as much to
both sides, and every ratio would look like 1."""

_BARE: Final = (sys.executable, str(Path(__file__).with_name("bare_lowlevel.py")))
_MODEL: Final = "flux-2-pro-text-to-image"
_DRAW: Final = "flux_2_pro_text_to_image"
_BODY: Final[Json] = {
    "prompt": "A red fox asleep in fresh snow under a birch, morning light, soft colours",
    "aspect_ratio": "16:9",
    "output_resolution": "1k",
}

Environ = Mapping[str, str]
Block = Callable[[int], Milliseconds]
"""Does that many calls and tells how long each took."""


def main() -> int:
    """Run the rounds, print the figures, check the limits."""
    parser = argparse.ArgumentParser(description="Calls of runapi-mcp against bare ones.")
    explained = f"blocks of {CALLS_A_BLOCK} calls of each (default 50)"
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=50, help=explained)
    rounds = parser.parse_args().rounds
    limits = Limits()
    with clean_environ() as environ, _sandbox(environ) as base_url:
        environ["RUNAPI_BASE_URL"] = base_url
        for era in ERAS:
            ratio = _from_memory(environ, era, rounds)
            limits.ratio(f"check_pricing from memory, {era}, over bare", ratio, MOST_FROM_MEMORY)
        for era in ERAS:
            times = _create(environ, era, max(2, rounds // 3))
            print_times(times)
            ours, without, raw, flush = times.values()
            limits.ratio(f"create, {era}, over a raw post", Ratio(ours, raw), MOST_CREATE)
            limits.ratio(
                f"create, {era}, without its {FLUSHES} flushes, over a raw post",
                Ratio([each - FLUSHES * median(flush) for each in ours], raw),
                MOST_CREATE,
            )
            added_ms = median(ours) - median(without)
            limits.number(f"ms the ledger adds to a create, {era}", added_ms, MOST_LEDGER_MS)
            prompt = median(raw) < DELAYED_MS
            limits.fact("the sandbox's answers wait for no acknowledgement", holds=prompt)
    return limits.exit_status


def _from_memory(environ: Environ, era: Era, rounds: int) -> Ratio:
    question: Json = {"model": _MODEL}
    with Host(RUNAPI_MCP, environ, era) as ours, Host(_BARE, environ, era) as bare:
        ours.connect()
        bare.connect()
        times = _in_turn(
            {
                f"runapi-mcp {era}: check_pricing": _calling(ours, "check_pricing", question),
                f"bare {era}: trivial tool": _calling(bare, "trivial", question),
            },
            rounds,
        )
    return _print_table(times)


def _create(environ: Environ, era: Era, rounds: int) -> Mapping[str, Milliseconds]:
    times: dict[str, Milliseconds] = {}
    with start_blocking_portal() as portal, _client(portal, environ) as client:
        for first in range(0, rounds, BLOCKS_A_KEY):
            blocks = min(BLOCKS_A_KEY, rounds - first)
            for name, values in _on_new_keys(environ, era, portal, client, blocks).items():
                times.setdefault(name, []).extend(values)
    return times


def _on_new_keys(
    environ: Environ, era: Era, portal: BlockingPortal, client: httpx.AsyncClient, blocks: int
) -> Mapping[str, Milliseconds]:
    """Creates of both sides, each on an account of its own."""
    key, other_key = ({"RUNAPI_API_KEY": _new_key()} for _ in range(2))
    off = {"RUNAPI_LEDGER": "off"}
    with (
        Host(RUNAPI_MCP, {**environ, **key}, era) as ours,
        Host(RUNAPI_MCP, {**environ, **other_key, **off}, era) as without,
        closing(_bare_database(Path(environ["HOME"], "bare.sqlite3"))) as bare,
    ):
        ours.connect()
        without.connect()
        contestants = {
            f"runapi-mcp {era}: create": _creating(ours),
            f"runapi-mcp {era}: no ledger": _creating(without),
            "httpx.AsyncClient: post": _posting(portal, client, _new_key()),
            "sqlite3: a row, flushed": _committing(bare),
        }
        return _in_turn(contestants, blocks)


def _in_turn(contestants: Mapping[str, Block], rounds: int) -> Mapping[str, Milliseconds]:
    times: dict[str, Milliseconds] = {name: [] for name in contestants}
    for block in contestants.values():
        block(WARM_UPS)
    for number in range(rounds):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            times[name] += contestants[name](CALLS_A_BLOCK)
    return times


def _calling(host: Host, tool: str, arguments: Json) -> Block:
    def block(calls: int) -> Milliseconds:
        times: Milliseconds = []
        for _ in range(calls):
            started = perf_counter()
            host.call(tool, arguments)
            times.append((perf_counter() - started) * 1000)
        return times

    return block


def _creating(host: Host) -> Block:
    def block(calls: int) -> Milliseconds:
        times: Milliseconds = []
        for _ in range(calls):
            sleep(CREATE_PAUSE_SECONDS)
            prompt = f"{_BODY['prompt']}, number {next(_PICTURES)}"
            started = perf_counter()
            host.call(_DRAW, {**_BODY, "prompt": prompt, "wait_seconds": 0})
            times.append((perf_counter() - started) * 1000)
        return times

    return block


def _posting(portal: BlockingPortal, client: httpx.AsyncClient, key: str) -> Block:
    async def posts(calls: int) -> Milliseconds:
        times: Milliseconds = []
        for _ in range(calls):
            headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4())}
            # As before ours: a machine that rested is slower.
            await anyio.sleep(CREATE_PAUSE_SECONDS)
            started = perf_counter()
            response = await client.post(
                "/api/v1/flux_2/text_to_image", json={"model": _MODEL, **_BODY}, headers=headers
            )
            task_id = response.json()["id"]
            times.append((perf_counter() - started) * 1000)
            assert response.status_code == 202, task_id  # noqa: S101 - out of credit, say
        return times

    return lambda calls: portal.call(posts, calls)


def _bare_database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (text TEXT)")
    return connection


def _committing(bare: sqlite3.Connection) -> Block:
    def block(calls: int) -> Milliseconds:
        times: Milliseconds = []
        for _ in range(calls):
            sleep(CREATE_PAUSE_SECONDS)
            started = perf_counter()
            bare.execute("INSERT INTO rows VALUES (?)", ["a row" * 100])
            times.append((perf_counter() - started) * 1000)
        return times

    return block


@contextmanager
def _client(portal: BlockingPortal, environ: Environ) -> Generator[httpx.AsyncClient]:
    client = httpx.AsyncClient(base_url=environ["RUNAPI_BASE_URL"], trust_env=False)
    with portal.wrap_async_context_manager(client):
        yield client


@contextmanager
def _sandbox(environ: Environ) -> Generator[str]:
    """The base URL of a sandbox in a process of its own."""
    program = [*RUNAPI_MCP, "sandbox", "--port", "0", "--draw-seconds", "0"]
    process = subprocess.Popen(program, env=environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr  # noqa: S101 - it is a pipe
    with process.stderr as said:
        try:
            yield _address(said.readline())
        finally:
            process.terminate()
            process.wait(10)


def _address(line: str) -> str:
    found = re.search(r"http://\S+", line)
    return found[0] if found else sys.exit(f"The sandbox did not start: {line}")


_KEYS: Final = count(1)
_PICTURES: Final = count(1)


def _new_key() -> str:
    return f"sandbox-benchmark-{next(_KEYS)}"


def _print_table(times: Mapping[str, Milliseconds]) -> Ratio:
    print_times(times)
    ours, theirs = times.values()
    return Ratio(ours, theirs)


if __name__ == "__main__":
    sys.exit(main())
