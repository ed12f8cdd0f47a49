"""How soon a server ends, whatever it does, and how long a call is held up by a locked ledger.

Ends are measured from the end of stdin, or from the signal, to the exit of the process: while it is
idle, while a call waits for its picture, and while the request that pays is out and unanswered. The
RunAPI behind them is the sandbox in this process.

A ledger that another program keeps locked is waited for once by a call, however often the call
needs it; the server that reads it has just started.
"""

import argparse
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter, sleep
from typing import Final

from anyio.from_thread import start_blocking_portal
from figures import Limits, Milliseconds, at_least_two, print_times
from host import RUNAPI_MCP, Host, clean_environ
from loopback import KEY, Loopback, loopback

MOST_END_MS: Final = 1_000.0
MOST_LOCKED_MS: Final = 8_000.0
"""One wait of 5 s, and what a call takes besides."""

_DRAW: Final = "flux_2_pro_text_to_image"
_DOING: Final = {"idle": "", "waiting": "a fox [[never]]", "paying": "a fox [[slow 3s]]"}
_SIGNALS: Final = () if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM)

Environ = Mapping[str, str]
End = Callable[[Host], None]


def main() -> int:
    """Run the rounds, print the figures, check the limits."""
    parser = argparse.ArgumentParser(description="How soon runapi-mcp ends, or gives up a lock.")
    explained = "ends of each kind (default 5)"
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=5, help=explained)
    rounds = parser.parse_args().rounds
    limits = Limits()
    with (
        clean_environ() as environ,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(loopback()) as runapi,
    ):
        environ |= {"RUNAPI_BASE_URL": runapi.base_url, "RUNAPI_API_KEY": KEY}
        _check_ends(environ, runapi, rounds, limits)
        _check_locked(environ, limits)
    return limits.exit_status


def _check_ends(environ: Environ, runapi: Loopback, rounds: int, limits: Limits) -> None:
    measures = _measures(environ, runapi)
    times = {name: [measure() for _ in range(rounds)] for name, measure in measures}
    print_times(times)
    for name, values in times.items():
        limits.number(f"ms, the slowest {name}", max(values), MOST_END_MS)


def _measures(environ: Environ, runapi: Loopback) -> Iterator[tuple[str, Callable[[], float]]]:
    for doing in _DOING:
        yield f"end of stdin, {doing}", _ending(environ, runapi, doing, Host.close)
        for number in _SIGNALS:
            yield f"{number.name}, {doing}", _ending(environ, runapi, doing, _signalling(number))


def _signalling(number: int) -> End:
    return lambda host: host.send_signal(number)


def _ending(environ: Environ, runapi: Loopback, doing: str, end: End) -> Callable[[], float]:
    def measure() -> float:
        runapi.requests.clear()
        with Host(RUNAPI_MCP, {**environ, "RUNAPI_LEDGER": "off"}, "2026-07-28") as host:
            host.connect()
            _do(host, runapi, doing)
            started = perf_counter()
            end(host)
            return (perf_counter() - started) * 1000

    return measure


def _do(host: Host, runapi: Loopback, doing: str) -> None:
    """Let it be in the middle of that."""
    if not _DOING[doing]:
        return
    arguments = {"prompt": _DOING[doing], "wait_seconds": 60}
    host.begin("tools/call", {"name": _DRAW, "arguments": arguments})
    while not any(
        request.is_poll if doing == "waiting" else request.method == "POST"
        for request in runapi.requests
    ):
        sleep(0.01)


def _check_locked(environ: Environ, limits: Limits) -> None:
    path = Path(environ["HOME"]) / "ledger"
    environ = {**environ, "RUNAPI_LEDGER": str(path)}
    with Host(RUNAPI_MCP, environ, "2026-07-28") as host:
        host.call(_DRAW, {"prompt": "a hare", "wait_seconds": 0})
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    times: dict[str, Milliseconds] = {
        "list_tasks": _locked(environ, "list_tasks"),
        "a paid call": _locked(environ, _DRAW),
    }
    locker.close()
    for name, (milliseconds,) in times.items():
        limits.number(f"ms of {name} on a locked ledger", milliseconds, MOST_LOCKED_MS)


def _locked(environ: Environ, tool: str) -> Milliseconds:
    with Host(RUNAPI_MCP, environ, "2026-07-28") as host:
        host.connect()
        arguments = {"prompt": "a fox"} if tool == _DRAW else {}
        started = perf_counter()
        host.ask("tools/call", {"name": tool, "arguments": arguments})
        return [(perf_counter() - started) * 1000]


if __name__ == "__main__":
    sys.exit(main())
