"""What a host pays for a server that it starts: time, CPU, memory, and the first call.

Measured against the least a Python server can be: the SDK's MCPServer with one trivial tool
(bare_mcpserver.py), by the same interpreter, over the same pipes, in the same minutes. Every round
starts each contestant once, in an order that turns, so that a slow moment of the machine strikes
all alike. Both eras are measured: with the handshake of 2025, and with tools/list as the first
message, as of 2026-07-28. Unmeasured rounds first leave the bytecode compiled.

Uncompiled is with a cache of bytecode that is empty, the standard library's too. The first call is
list_tasks against the bare server's tool: it brings in the SDK and opens the ledger, and asks no
network. CPU is what the system counted for the process until it had exited.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from figures import Limits, Milliseconds, Ratio, at_least_two, print_times
from host import ERAS, RUNAPI_MCP, Era, Host, Json, clean_environ

MOST_START: Final = 0.10
MOST_UNCOMPILED: Final = 0.15
MOST_CPU: Final = 0.10
MOST_FIRST_CALL: Final = 1.15
MOST_MEGABYTES: Final = 4.0
MOST_VERSION: Final = 0.25

KEPT_OUT: Final = frozenset({"anyio", "asyncio", "httpx", "mcp", "pydantic"})

_BARE: Final = (sys.executable, str(Path(__file__).with_name("bare_mcpserver.py")))
_SCRIPT: Final = Path(sys.executable).with_name("runapi-mcp")
_WARM_UPS: Final = 2
_HANDSHAKE: Final[Era] = "2025-11-25"
_WAITING: Final = "import sys; print(flush=True); sys.stdin.read()"

Environ = Mapping[str, str]
Program = tuple[str, ...]
Times = Mapping[str, Milliseconds]
Contestant = Callable[[Environ], Mapping[str, float]]
"""Runs once and tells how long what took, in ms."""


def main() -> int:
    """Run the rounds, print the figures, check the limits."""
    parser = argparse.ArgumentParser(description="Start-up of runapi-mcp against a bare server.")
    explained = "starts of each (default 30)"
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=30, help=explained)
    times = _measure(parser.parse_args().rounds)
    print_times(times)
    limits = Limits()

    def compare(what: str, most: float) -> None:
        ratio = Ratio(times[f"runapi-mcp {what}"], times[f"bare {what}"])
        limits.ratio(f"{what}, over bare", ratio, most)

    for era in ERAS:
        compare(f"{era}: start to list", MOST_START)
        compare(f"{era}: CPU of a start", MOST_CPU)
        compare(f"{era}: start to first call", MOST_FIRST_CALL)
    compare("uncompiled: start to list", MOST_UNCOMPILED)
    version = Ratio(times["runapi-mcp --version"], times[f"bare {_HANDSHAKE}: start to list"])
    limits.ratio("--version over bare's start", version, MOST_VERSION)
    with _environ() as environ:
        _check_memory(limits, environ)
        _check_modules(limits, environ)
    print("NOT RUN a cold disk cache: it would have to be emptied for everybody on this machine")
    print("NOT RUN uvx, and npx of a bare TypeScript server: both would ask a registry")
    return limits.exit_status


@contextmanager
def _environ() -> Generator[Environ]:
    """A clean one with a key, which list_tasks asks for."""
    with clean_environ() as environ:
        yield {**environ, "RUNAPI_API_KEY": "sk-of-the-benchmark"}


def _measure(rounds: int) -> Times:
    contestants = _contestants()
    times: dict[str, Milliseconds] = defaultdict(list)
    with _environ() as environ:
        for number in range(_WARM_UPS + rounds):
            turn = number % len(contestants)
            for contestant in (*contestants[turn:], *contestants[:turn]):
                for name, milliseconds in contestant(environ).items():
                    if number >= _WARM_UPS:
                        times[name].append(milliseconds)
    return dict(sorted(times.items()))


def _contestants() -> list[Contestant]:
    servers: list[tuple[str, Program, str, Json]] = [
        ("runapi-mcp", RUNAPI_MCP, "list_tasks", {}),
        ("bare", _BARE, "add", {"a": 1, "b": 2}),
    ]
    contestants: list[Contestant] = [_version]
    for name, program, tool, arguments in servers:
        contestants += [_starting(name, program, era) for era in ERAS]
        contestants += [_calling(name, program, era, tool, arguments) for era in ERAS]
        contestants.append(_starting_uncompiled(name, program))
    if _SCRIPT.exists():
        contestants.append(_starting("the installed script", (str(_SCRIPT),), _HANDSHAKE))
    return contestants


def _starting(name: str, program: Program, era: Era) -> Contestant:
    def start(environ: Environ) -> Mapping[str, float]:
        used = _children_ms()
        host = _opened(program, environ, era)
        listed = perf_counter()
        host.close()
        return {
            f"{name} {era}: start to list": (listed - host.started) * 1000,
            f"{name} {era}: start to exit": (perf_counter() - host.started) * 1000,
            f"{name} {era}: CPU of a start": _children_ms() - used,
        }

    return start


def _starting_uncompiled(name: str, program: Program) -> Contestant:
    def start(environ: Environ) -> Mapping[str, float]:
        with TemporaryDirectory() as empty:
            nothing = {"PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"}
            host = _opened(program, {**environ, **nothing}, _HANDSHAKE)
            listed = perf_counter()
            host.close()
        return {f"{name} uncompiled: start to list": (listed - host.started) * 1000}

    return start


def _calling(name: str, program: Program, era: Era, tool: str, arguments: Json) -> Contestant:
    def start(environ: Environ) -> Mapping[str, float]:
        with _opened(program, environ, era) as host:
            host.call(tool, arguments)
            answered = perf_counter()
        return {f"{name} {era}: start to first call": (answered - host.started) * 1000}

    return start


def _opened(program: Program, environ: Environ, era: Era) -> Host:
    """A server that has listed its tools."""
    host = Host(program, environ, era)
    if era == _HANDSHAKE:
        host.handshake()
    host.list_tools()
    return host


def _children_ms() -> float:
    """The CPU of all processes that have been waited for."""
    spent = os.times()
    return (spent.children_user + spent.children_system) * 1000


def _version(environ: Environ) -> Mapping[str, float]:
    started = perf_counter()
    subprocess.run([*RUNAPI_MCP, "--version"], env=environ, check=True, stdout=subprocess.DEVNULL)
    return {"runapi-mcp --version": (perf_counter() - started) * 1000}


def _check_memory(limits: Limits, environ: Environ) -> None:
    if not Path("/proc/self/status").exists():
        print("NOT RUN resident memory: it is read from /proc, which only Linux has")
        return
    with _opened(RUNAPI_MCP, environ, _HANDSHAKE) as ours:
        idle = _resident_megabytes(ours.pid)
        ours.call("list_tasks", {})
        print(f"        MB after the first call: {_resident_megabytes(ours.pid):.1f}")
    with _opened(_BARE, environ, _HANDSHAKE) as bare:
        print(
            f"        MB of the bare server after tools/list: {_resident_megabytes(bare.pid):.1f}"
        )
    least = _least_megabytes(environ)
    print(f"        MB after tools/list: {idle:.1f}; of python -c pass: {least:.1f}")
    limits.number("MB after tools/list above python -c pass", idle - least, MOST_MEGABYTES)


def _least_megabytes(environ: Environ) -> float:
    """What an interpreter takes that does nothing."""
    command = [sys.executable, "-c", _WAITING]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe) as interpreter:
        assert interpreter.stdin  # noqa: S101 - both are pipes
        assert interpreter.stdout  # noqa: S101 - as above
        interpreter.stdout.readline()
        least = _resident_megabytes(interpreter.pid)
        interpreter.stdin.close()
    return least


def _resident_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _check_modules(limits: Limits, environ: Environ) -> None:
    lines = b'{"jsonrpc":"2.0","id":1,"method":"resources/templates/list","params":{"_meta":{'
    lines += b'"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    lines += b'"io.modelcontextprotocol/clientCapabilities":{}}}}\n'
    asked = [sys.executable, "-X", "importtime", *RUNAPI_MCP[1:]]
    ran = subprocess.run(asked, input=lines, env=environ, capture_output=True, check=True)
    timed = [line for line in ran.stderr.decode().splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in timed[1:]}
    print(f"        modules imported before the first call: {len(loaded)}")
    limits.fact("none of them is the SDK's", holds=loaded.isdisjoint(KEPT_OUT))


if __name__ == "__main__":
    sys.exit(main())
