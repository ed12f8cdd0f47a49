"""How many calls one process lets wait at once, and what a look at a task costs it.

100, 500, 1,000 and 2,000 calls come within a second, each for a picture that takes 15 s, and wait:
over HTTP with a key and a connection each, and over one stdio session with one key. Previews and
saving are off, so that it is the waiting that is measured; the sandbox is a process of its own.

lag: from a picture's end, as the sandbox knows it, to its answer with the caller.
answer: from the sandbox's answer to the look that saw the end, to the answer with the caller.
after: from the last picture's end to the last answer.
CPU: of the server's process alone, all threads, for each picture; memory: what a wait adds to its
resident set. held: the longest that the event loop did not come round, without what its thread
waited for a CPU (probed_server.py).

One key may ask RunAPI 17 times a second, which 2,000 calls would wait for, and not for the process:
over stdio the pace is set higher (RUNAPI_REQUESTS_PER_SECOND). Needs Linux: it reads /proc.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import monotonic
from typing import Final, Literal, cast, get_args
from urllib.request import urlopen

import anyio
from callers import SHARED_KEY, Answer, Ask, Prompts, http_callers, stdio_callers
from figures import Limits
from host import clean_environ
from look_cost import look_costs
from strangers import cpu_seconds, resident_mb

Way = Literal["http", "stdio"]

CROWDS: Final = (100, 500, 1_000, 2_000)
PICTURE_SECONDS: Final = 15.0
COME_WITHIN_SECONDS: Final = 1.0
CLIENT_SECONDS: Final = 285.0
MOST_AFTER_SECONDS: Final = 30.0
MOST_ANSWER_SECONDS: Final = 0.5
MOST_MB_A_WAIT: Final = 0.1
MOST_HELD_MS: Final = 50.0
MOST_LOOK_MS: Final = 1.0
_FILES: Final = 10_000
_HERE: Final = Path(__file__).parent
_PROBED: Final = str(_HERE / "probed_server.py")
_SANDBOX: Final = str(_HERE / "far_sandbox.py")
_HTTP: Final = ("serve", "--http", "--port", "0")
_SETTINGS: Final[Mapping[str, str]] = {
    "RUNAPI_SAVE": "off",
    "RUNAPI_PREVIEW": "off",
    "RUNAPI_HTTP_CONNECTIONS_PER_ADDRESS": "4000",
    "RUNAPI_REQUESTS_PER_SECOND": "1000",
    "RUNAPI_API_KEY": SHARED_KEY,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of a crowd."""

    way: Way
    calls: int
    answers: Sequence[Answer]
    looks: int
    ends: Mapping[str, tuple[float, float]]
    """When each picture ended, and when a look was answered that saw it."""
    cpu_seconds: float
    sandbox_cpu_seconds: float
    seconds: float
    mb_a_wait: float
    held_ms: float

    @property
    def delivered(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.task_id in self.ends]

    @property
    def lags(self) -> list[float]:
        return [answer.at - self.ends[str(answer.task_id)][0] for answer in self.delivered]

    @property
    def answer_seconds(self) -> list[float]:
        return [answer.at - self.ends[str(answer.task_id)][1] for answer in self.delivered]

    @property
    def after_seconds(self) -> float:
        last_end = max(end for end, _ in self.ends.values())
        return max(answer.at for answer in self.answers) - last_end

    def cells(self) -> Sequence[str]:
        lags, pictures = self.lags, len(self.delivered) or 1
        return [
            f"{self.way} {self.calls:,}",
            f"{len(self.delivered):,}",
            f"{_p(lags, 50):.2f}",
            f"{_p(lags, 99):.2f}",
            f"{_p(self.answer_seconds, 99):.2f}",
            f"{self.after_seconds:.1f}" if self.ends else "",
            f"{self.looks / self.calls:.1f}",
            f"{1000 * self.cpu_seconds / pictures:.0f}",
            f"{100 * self.cpu_seconds / self.seconds:.0f}",
            f"{100 * self.sandbox_cpu_seconds / self.seconds:.0f}",
            f"{self.mb_a_wait:.3f}",
            f"{self.held_ms:.0f}",
        ]


_COLUMNS: Final = (
    "waits",
    "delivered",
    "lag p50",
    "lag p99",
    "answer p99",
    "after",
    "looks each",
    "CPU ms each",
    "CPU %",
    "sandbox %",
    "MB a wait",
    "held ms",
)


async def main(ways: Sequence[Way], crowds: Sequence[int], *, lenient: bool) -> int:
    """1 where a limit is broken; where that is `lenient`, only where a picture did not come."""
    limits, lost = Limits(), Limits()
    async with _sandbox() as base_url:
        ours, bare = await anyio.to_thread.run_sync(look_costs, base_url)
    print(f"CPU ms of a look {ours:.2f}, of a bare httpx GET of the same answer {bare:.2f}")
    limits.number("CPU ms of a look", ours, MOST_LOOK_MS)
    _print_row(_COLUMNS)
    crowd = [await _meet(way, calls) for way in ways for calls in crowds]
    for seen in crowd:
        name = f"{seen.way} {seen.calls:,}"
        lost.count(f"{name}: not delivered", seen.calls - len(seen.delivered), 0)
        _check(name, seen, limits)
    return lost.exit_status if lenient else max(lost.exit_status, limits.exit_status)


async def _meet(way: Way, calls: int) -> Seen:
    seen = await _crowd(way, calls)
    _print_row(seen.cells())
    words = next((answer.words for answer in seen.answers if answer.words), "")
    if words:
        print(f"not delivered: {words}", file=sys.stderr)
    return seen


def _check(name: str, seen: Seen, limits: Limits) -> None:
    limits.number(f"{name}: s after the last end", seen.after_seconds, MOST_AFTER_SECONDS)
    limits.number(f"{name}: s of an answer, p99", _p(seen.answer_seconds, 99), MOST_ANSWER_SECONDS)
    limits.number(f"{name}: MB a wait", seen.mb_a_wait, MOST_MB_A_WAIT)
    limits.number(f"{name}: ms the loop was held", seen.held_ms, MOST_HELD_MS)


def _print_row(cells: Sequence[str]) -> None:
    print("".join(f"{cell:>12}" for cell in cells), flush=True)


def _p(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return max(values, default=float("nan"))
    return median(values) if percent == 50 else quantiles(values, n=100)[percent - 1]


async def _crowd(way: Way, calls: int) -> Seen:
    prompts = Prompts(lambda _: PICTURE_SECONDS)
    async with _sandbox() as base_url, _serving(way, base_url, prompts) as (ask, server):
        # What the first call of all costs, imports and prices, is no wait's.
        await ask(0)
        before_mb, cpu_before = resident_mb(server.pid), cpu_seconds(server.pid)
        report_before = await _report(base_url)
        began = monotonic()
        answers, most_mb = await _ask_all(ask, calls, server.pid)
        seconds = monotonic() - began
        report = await _report(base_url)
        ends = cast("dict[str, tuple[float, float]]", report["seen"])
        for task_id in cast("dict[str, object]", report_before["seen"]):
            del ends[task_id]
        return Seen(
            way=way,
            calls=calls,
            answers=answers,
            looks=_int(report, "looks") - _int(report_before, "looks"),
            ends=ends,
            cpu_seconds=cpu_seconds(server.pid) - cpu_before,
            sandbox_cpu_seconds=_float(report, "cpu_seconds")
            - _float(report_before, "cpu_seconds"),
            seconds=seconds,
            mb_a_wait=(most_mb - before_mb) / calls,
            held_ms=server.held_ms(began),
        )


async def _ask_all(ask: Ask, calls: int, pid: int) -> tuple[Sequence[Answer], float]:
    """The answers, and the most memory that the server had meanwhile."""
    answers: list[Answer] = []
    most_mb = 0.0

    async def one(number: int) -> None:
        await anyio.sleep(COME_WITHIN_SECONDS * number / calls)
        with anyio.move_on_after(CLIENT_SECONDS) as patience:
            answers.append(await ask(number))
        if patience.cancelled_caught:
            answers.append(Answer(monotonic(), None, "no answer in time"))

    async with anyio.create_task_group() as group:
        for number in range(1, calls + 1):
            group.start_soon(one, number)
        while len(answers) < calls:
            most_mb = max(most_mb, resident_mb(pid))
            await anyio.sleep(0.5)
    return answers, most_mb


@dataclass(frozen=True, slots=True)
class Server:
    pid: int
    folder: Path

    def held_ms(self, since: float) -> float:
        lines = (self.folder / "beats").read_text().splitlines()
        beats = [tuple(map(float, line.split())) for line in lines]
        return 1000 * max((beat[2] for beat in beats if beat[0] > since), default=0.0)


@asynccontextmanager
async def _serving(way: Way, base_url: str, prompts: Prompts) -> AsyncGenerator[tuple[Ask, Server]]:
    with clean_environ() as environ, tempfile.TemporaryDirectory() as folder:
        environ |= {**_SETTINGS, "RUNAPI_BASE_URL": base_url}
        more = _HTTP if way == "http" else ()
        command = [sys.executable, _PROBED, folder, "--beats", *more]
        stderr = subprocess.PIPE if way == "http" else subprocess.DEVNULL
        process = await anyio.open_process(command, env=environ, stderr=stderr)
        async with process:
            server = Server(process.pid, Path(folder))
            if way == "http":
                assert process.stderr  # noqa: S101 - it is a pipe
                said = (await process.stderr.receive()).decode()
                url = next(word for word in said.split() if word.endswith("/mcp"))
                yield http_callers(url, prompts), server
            else:
                assert process.stdin  # noqa: S101 - they are pipes
                assert process.stdout  # noqa: S101 - as above
                async with stdio_callers(process.stdin, process.stdout, prompts) as ask:
                    yield ask, server
            process.kill()


@asynccontextmanager
async def _sandbox() -> AsyncGenerator[str]:
    async with await anyio.open_process([sys.executable, _SANDBOX], stderr=None) as process:
        assert process.stdout  # noqa: S101 - it is a pipe
        yield (await process.stdout.receive()).decode().strip()
        process.kill()


async def _report(base_url: str) -> Mapping[str, object]:
    def read() -> Mapping[str, object]:
        with urlopen(f"{base_url}/report") as answer:  # noqa: S310 - on this machine
            return json.load(answer)

    return await anyio.to_thread.run_sync(read)


def _int(report: Mapping[str, object], name: str) -> int:
    return cast("int", report[name])


def _float(report: Mapping[str, object], name: str) -> float:
    return cast("float", report[name])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tenth", action="store_true", help="a tenth of the largest crowd, as CI")
    parser.add_argument("--only", choices=get_args(Way))
    parser.add_argument("--calls", type=int, help="one crowd of so many")
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most_files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, hard))
    crowds = [asked.calls] if asked.calls else [CROWDS[-1] // 10] if asked.tenth else CROWDS
    ways = [asked.only] if asked.only else get_args(Way)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    sys.exit(anyio.run(partial(main, ways, crowds, lenient=asked.tenth)))
