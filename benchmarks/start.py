"""How long a host waits for us: from the start of the process to the answer to tools/list.

Measured against the least a Python server can be: the SDK's MCPServer with one trivial tool
(bare_mcpserver.py), by the same interpreter, over the same pipes, in the same minutes. Every round
starts each contestant once, in an order that turns, so that a slow moment of the machine strikes
all alike. Both eras are measured: with the handshake of 2025, and with tools/list as the first
message, as of 2026-07-28. Unmeasured rounds first leave the bytecode compiled.
"""

import argparse
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from figures import Limits, Milliseconds, Ratio, at_least_two, print_times
from host import ERAS, RUNAPI_MCP, Era, Host, clean_environ

MOST_START: Final = 1.0
MOST_VERSION: Final = 0.25

_BARE: Final = (sys.executable, str(Path(__file__).with_name("bare_mcpserver.py")))
_WARM_UPS: Final = 2

Times = Mapping[str, Milliseconds]
Contestant = Callable[[Mapping[str, str]], Mapping[str, float]]
"""Runs once and tells how long what took, in ms."""


def main() -> int:
    """Run the rounds, print the figures, check the limits."""
    parser = argparse.ArgumentParser(description="Start-up of runapi-mcp against a bare server.")
    explained = "starts of each (default 30)"
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=30, help=explained)
    times = _measure(parser.parse_args().rounds)
    print_times(times)
    limits = Limits()
    for era in ERAS:
        ratio = Ratio(times[_label("runapi-mcp", era)], times[_label("bare", era)])
        limits.ratio(f"start to tools/list, {era}, over bare", ratio, MOST_START)
    version = Ratio(times["runapi-mcp --version"], times[_label("bare", ERAS[0])])
    limits.ratio(f"--version over bare's start, {ERAS[0]}", version, MOST_VERSION)
    return limits.exit_status


def _measure(rounds: int) -> Times:
    contestants = _contestants()
    times: dict[str, Milliseconds] = defaultdict(list)
    with clean_environ() as environ:
        for number in range(_WARM_UPS + rounds):
            turn = number % len(contestants)
            for contestant in (*contestants[turn:], *contestants[:turn]):
                for name, milliseconds in contestant(environ).items():
                    if number >= _WARM_UPS:
                        times[name].append(milliseconds)
    return dict(sorted(times.items()))


def _contestants() -> list[Contestant]:
    servers = [("runapi-mcp", RUNAPI_MCP), ("bare", _BARE)]
    starts = [_starting(name, program, era) for era in ERAS for name, program in servers]
    return [*starts, _version]


def _starting(name: str, program: Sequence[str], era: Era) -> Contestant:
    def start(environ: Mapping[str, str]) -> Mapping[str, float]:
        host = Host(program, environ, era)
        if era == "2025-11-25":
            host.handshake()
        host.list_tools()
        listed = perf_counter()
        host.close()
        return {
            _label(name, era): (listed - host.started) * 1000,
            f"{name} {era}: start to exit": (perf_counter() - host.started) * 1000,
        }

    return start


def _label(name: str, era: Era) -> str:
    return f"{name} {era}: start to list"


def _version(environ: Mapping[str, str]) -> Mapping[str, float]:
    started = perf_counter()
    subprocess.run([*RUNAPI_MCP, "--version"], env=environ, check=True, stdout=subprocess.DEVNULL)
    return {"runapi-mcp --version": (perf_counter() - started) * 1000}


if __name__ == "__main__":
    sys.exit(main())
